// One exchange and the bindings on both of its sides.
// Always: (1) a binding is its source, destination, key and arguments: the same key with other arguments is a second binding; (2) the
// matcher knows exactly the bindings in `outgoing`; (3) `boundCount` counts them without taps, which keep no exchange alive.
// Refuses: names and rights (vhost.ts), walking to other exchanges (router.ts), deciding what matches (matchers/).

import type { FieldTable } from '../../shared/amqp/table.ts';
import { AmqpError, ReplyCode } from '../../shared/error.ts';
import { canonicalTable, typeName } from './field-values.ts';
import { DirectMatcher } from './matchers/direct.ts';
import { FanoutMatcher } from './matchers/fanout.ts';
import { HeadersMatcher } from './matchers/headers.ts';
import type { Bound, Matcher } from './matchers/matcher.ts';
import { TopicMatcher } from './matchers/topic.ts';
import { describe } from './names.ts';
import { alternateIn, type EffectivePolicy, NO_POLICY } from './policy-definition.ts';
import type { Queue } from './queue.ts';
import { checkArgumentEquivalent, checkFieldEquivalent } from './queue-arguments.ts';

export type Destination = Queue | Exchange;

export interface ExchangeOptions {
  readonly type: string;
  readonly durable: boolean;
  readonly autoDelete: boolean;
  readonly internal: boolean;
  readonly arguments: FieldTable;
}

export class Binding implements Bound<Destination> {
  readonly source: Exchange;
  readonly destination: Destination;
  readonly key: string;
  readonly arguments: FieldTable;
  /** The key of `source.outgoing`. */
  readonly identity: string;

  constructor(source: Exchange, destination: Destination, key: string, args: FieldTable) {
    this.source = source;
    this.destination = destination;
    this.key = key;
    this.arguments = args;
    this.identity = identify(destination, key, args);
  }

  get isTap(): boolean {
    return this.destination.kind === 'queue' && this.destination.isTap;
  }

  /** Durable between durable ends. An exclusive queue ends with its connection, whatever it says. */
  get isDurable(): boolean {
    const { source, destination } = this;
    return (
      source.durable && destination.durable && !this.isTap && (destination.kind === 'exchange' || destination.exclusiveOwner === undefined)
    );
  }
}

export class Exchange {
  readonly kind = 'exchange';
  readonly name: string;
  readonly type: string;
  readonly durable: boolean;
  readonly autoDelete: boolean;
  readonly internal: boolean;
  readonly arguments: FieldTable;
  /** Where messages go that nothing here matches. */
  alternate: string | undefined;
  policy: EffectivePolicy = NO_POLICY;
  readonly matcher: Matcher<Destination>;
  /** Bindings with this exchange as their source, by identity. */
  readonly outgoing = new Map<string, Binding>();
  /** Bindings with this exchange as their destination. */
  readonly incoming = new Set<Binding>();
  /** Publishes to this exchange, and how many queues they went to in all. */
  publishedCount = 0;
  routedCount = 0;
  /** The router's: the routing pass that saw this exchange last. */
  routeMark = 0;
  /** The router's: the topology in which it reported that the alternate is missing. */
  alternateReportedIn = 0;
  #boundCount = 0;

  constructor(name: string, options: ExchangeOptions, vhost: string) {
    this.name = name;
    this.type = options.type;
    this.durable = options.durable;
    this.autoDelete = options.autoDelete;
    this.internal = options.internal;
    this.arguments = options.arguments;
    this.alternate = alternateOf(options.arguments, name, vhost);
    this.matcher = createMatcher(options.type);
  }

  /** As everybody is told: the default exchange is direct (AMQP 0-9-1), and inside a topic exchange, for taps. */
  get shownType(): string {
    return this.name === '' ? 'direct' : this.type;
  }

  get boundCount(): number {
    return this.#boundCount;
  }

  /** Another policy holds for it. The argument goes before it; the default exchange has no alternate, as in RabbitMQ. */
  follow(policy: EffectivePolicy): void {
    this.policy = policy;
    if (!this.arguments.has('alternate-exchange') && this.name !== '') this.alternate = alternateIn(policy.definition);
  }

  /** Throws 406 unless this is what `requested` asks for. Of the arguments only the alternate exchange counts. */
  checkEquivalent(requested: ExchangeOptions, vhost: string): void {
    const name = describe('exchange', this.name, vhost);
    checkFieldEquivalent('type', this.type, requested.type, name);
    checkFieldEquivalent('durable', this.durable, requested.durable, name);
    checkFieldEquivalent('auto_delete', this.autoDelete, requested.autoDelete, name);
    checkFieldEquivalent('internal', this.internal, requested.internal, name);
    checkArgumentEquivalent('alternate-exchange', this.arguments, requested.arguments, name);
  }

  find(destination: Destination, key: string, args: FieldTable): Binding | undefined {
    return this.outgoing.get(identify(destination, key, args));
  }

  attach(binding: Binding): void {
    this.matcher.bind(binding);
    this.outgoing.set(binding.identity, binding);
    incomingOf(binding.destination).add(binding);
    if (!binding.isTap) this.#boundCount++;
  }

  detach(binding: Binding): void {
    if (!this.outgoing.delete(binding.identity)) return;
    this.matcher.unbind(binding);
    incomingOf(binding.destination).delete(binding);
    if (!binding.isTap) this.#boundCount--;
  }
}

/** RabbitMQ 3.x closes the connection with 503 here; 4.x, and we, the channel with 406. */
export function createMatcher(type: string): Matcher<Destination> {
  switch (type) {
    case 'direct':
      return new DirectMatcher();
    case 'fanout':
      return new FanoutMatcher();
    case 'topic':
      return new TopicMatcher();
    case 'headers':
      return new HeadersMatcher();
    default:
      throw new AmqpError(ReplyCode.PreconditionFailed, `unknown exchange type '${type}'`, {
        path: '/type',
        hint: 'Use direct, fanout, topic or headers.',
      });
  }
}

export function incomingOf(destination: Destination): Set<Binding> {
  return destination.kind === 'queue' ? destination.bindings : destination.incoming;
}

function identify(destination: Destination, key: string, args: FieldTable): string {
  const { kind, name } = destination;
  return `${kind} ${name.length}:${name}${key.length}:${key}${canonicalTable(args)}`;
}

function alternateOf(args: FieldTable, name: string, vhost: string): string | undefined {
  const alternate = args.get('alternate-exchange');
  if (alternate === undefined || typeof alternate === 'string') return alternate;
  const text = `invalid type '${typeName(alternate)}' for arg 'alternate-exchange' in ${describe('exchange', name, vhost)}`;
  throw new AmqpError(ReplyCode.PreconditionFailed, text, { path: '/arguments/alternate-exchange' });
}
