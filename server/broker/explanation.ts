// What would become of a publish: every exchange it meets, every binding tried there, and what each queue would do. A dry run.
// Always: (1) nothing changes: no counter, no queue, no log; (2) the queues are those the router finds, in a slower way that keeps the reasons; (3) whether a binding
// matches is asked of a matcher of its exchange's type with that binding alone, so no rule of matching is written twice; (4) work and answer are
// bounded, whatever is bound and asked, and the answer says what it leaves out.
// Refuses: rights (who asks is asked before). RabbitMQ has no such thing.

import type { Properties } from '../../shared/amqp/properties.ts';
import type { FieldTable } from '../../shared/amqp/table.ts';
import { Content, encodeContent } from '../../shared/content.ts';
import { AmqpError, ReplyCode } from '../../shared/error.ts';
import { type Binding, createMatcher, type Destination, type Exchange } from './exchange.ts';
import { canonicalTable, canonicalValue } from './field-values.ts';
import { oversize, readExpiration } from './intake.ts';
import { Destinations } from './matchers/matcher.ts';
import type { Queue } from './queue.ts';
import { extraKeysOf } from './router.ts';
import type { Vhost } from './vhost.ts';

export interface Attempt {
  readonly exchange: string;
  readonly type: string;
  /** '' for a binding of the default exchange, which nobody made. */
  readonly bindingKey: string;
  readonly arguments: FieldTable;
  readonly destinationType: 'queue' | 'exchange';
  readonly destination: string;
  readonly isMatch: boolean;
  readonly why: string;
}

export interface Visit {
  readonly exchange: string;
  readonly type: string;
  /** How the message came here. */
  readonly from: 'publish' | 'binding' | 'alternate';
  readonly via: string | undefined;
  /** What its alternate exchange has to do with it. */
  readonly alternate:
    | { readonly exchange: string; readonly outcome: 'not needed' | 'followed' | 'missing' | 'visited already' }
    | undefined;
}

export interface QueueOutcome {
  readonly queue: string;
  readonly outcome: 'enqueue' | 'refuse' | 'dead-letter' | 'wait' | 'drop-head';
  readonly why: string;
  /** How long it would wait there; undefined: for ever. */
  readonly ttlMs: number | undefined;
  readonly priority: number;
}

export interface Explanation {
  readonly visits: readonly Visit[];
  readonly attempts: readonly Attempt[];
  readonly queues: readonly QueueOutcome[];
  /** Nothing took it: it would be returned if mandatory, else dropped. undefined: what was not looked at might take it. */
  readonly isUnroutable: boolean | undefined;
  /** What is missing here, in words; empty where nothing is. */
  readonly leftOut: readonly string[];
}

export interface Publish {
  readonly exchange: string;
  readonly key: string;
  readonly properties: Properties;
  readonly bodyBytes: number;
}

/** Bindings of one answer, and how much text they may be. */
const ATTEMPTS_MAX = 1_000;
const TEXT_MAX = 2_097_152;
/** Keys in CC and BCC that are tried. */
const EXTRA_KEYS_MAX = 100;
/** Bindings that are tried, and what that may cost: 1 for every key and argument compared, more for long ones. */
const LOOKS_MAX = 10_000;
const COST_MAX = 200_000;
/** Of what a reason quotes. */
const QUOTED_MAX = 64;
const NAMED_MAX = 3;

/** Throws what the publish itself would be refused for: an exchange that is not there or internal, an expiration that is none. */
export function explain(vhost: Vhost, { exchange: name, key, properties, bodyBytes }: Publish, now: number): Explanation {
  const run = encodeContent(name, key, properties, new Uint8Array(0));
  const content = new Content().read(run, 0, run.length);
  const walk = new Walk(vhost, key, content);
  walk.from(vhost.exchangeToPublish(name));
  const expirationMs = readExpiration(properties.expiration);
  const queues = walk.queues.map((queue) => outcomeOf(queue, bodyBytes, content.priority, expirationMs, now));
  const { visits, attempts, leftOut, isWhole } = walk;
  return { visits, attempts, queues, isUnroutable: queues.length > 0 ? false : isWhole ? true : undefined, leftOut };
}

class Walk {
  readonly visits: Visit[] = [];
  readonly attempts: Attempt[] = [];
  readonly queues: Queue[] = [];
  readonly #vhost: Vhost;
  readonly #keys: readonly string[];
  readonly #keysCost: number;
  /** Keys that are not tried. */
  readonly #keysOver: number;
  readonly #content: Content;
  #looks = 0;
  #cost = 0;
  /** Stopped before all bindings were tried. */
  #isCut = false;
  #text = 0;
  #attemptsOver = 0;
  readonly #seen = new Set<Destination>();
  readonly #waiting: { readonly exchange: Exchange; readonly from: Visit['from']; readonly via: string | undefined }[] = [];

  constructor(vhost: Vhost, key: string, content: Content) {
    this.#vhost = vhost;
    this.#content = content;
    for (const header of ['CC', 'BCC']) {
      const value = content.headers?.get(header);
      if (value !== undefined && !Array.isArray(value))
        throw new AmqpError(ReplyCode.PreconditionFailed, `the header ${header} must be an array of routing keys`, {
          path: `/properties/headers/${header}`,
        });
    }
    const extra = extraKeysOf(content);
    this.#keys = [key, ...extra.slice(0, EXTRA_KEYS_MAX)];
    this.#keysOver = Math.max(0, extra.length - EXTRA_KEYS_MAX);
    this.#keysCost = this.#keys.reduce((cost, { length }) => cost + 1 + length / QUOTED_MAX, 0);
  }

  /** Everything was tried, if not shown. */
  get isWhole(): boolean {
    return !this.#isCut && this.#keysOver === 0;
  }

  get leftOut(): string[] {
    const told: string[] = [];
    if (this.#keysOver > 0) told.push(`${this.#keysOver} keys in CC and BCC were not tried: ${EXTRA_KEYS_MAX} are`);
    if (this.#isCut) told.push(`no more bindings were tried after ${this.#looks}: queues and exchanges behind others are missing`);
    if (this.#attemptsOver > 0) told.push(`${this.#attemptsOver} bindings were tried and are not shown`);
    return told;
  }

  from(exchange: Exchange): void {
    this.#seen.add(exchange);
    this.#waiting.push({ exchange, from: 'publish', via: undefined });
    for (let next = this.#waiting.pop(); next !== undefined && !this.#isCut; next = this.#waiting.pop()) {
      const isMatched = this.#tryAll(next.exchange);
      const { name, shownType: type } = next.exchange;
      this.visits.push({ exchange: name, type, from: next.from, via: next.via, alternate: this.#alternate(next.exchange, isMatched) });
    }
  }

  /** Whether anything matched here. */
  #tryAll(exchange: Exchange): boolean {
    let isMatched = false;
    if (exchange === this.#vhost.defaultExchange) for (const key of new Set(this.#keys)) isMatched = this.#tryNamed(key) || isMatched;
    else
      for (const binding of exchange.outgoing.values()) {
        if (binding.isTap) continue;
        if (this.#looks >= LOOKS_MAX || this.#cost >= COST_MAX) {
          this.#isCut = true;
          break;
        }
        isMatched = this.#tryBinding(exchange, binding) || isMatched;
      }
    return isMatched;
  }

  #tryNamed(key: string): boolean {
    const queue = this.#vhost.queues.get(key);
    const why = queue === undefined ? `no queue has this name` : 'every queue is bound to the default exchange under its name';
    this.#note(() => ({
      exchange: '',
      type: 'direct',
      bindingKey: key,
      arguments: new Map(),
      destinationType: 'queue',
      destination: key,
      isMatch: queue !== undefined,
      why,
    }));
    if (queue !== undefined) this.#reach(queue, '');
    return queue !== undefined;
  }

  #tryBinding(exchange: Exchange, binding: Binding): boolean {
    const matching = this.#matching(exchange, binding);
    const { key, arguments: args, destination } = binding;
    this.#note(() => ({
      exchange: exchange.name,
      type: exchange.shownType,
      bindingKey: key,
      arguments: args,
      destinationType: destination.kind,
      destination: destination.name,
      isMatch: matching !== undefined,
      why: whyOf(exchange.type, binding, matching, this.#keys, this.#content),
    }));
    if (matching !== undefined) this.#reach(destination, exchange.name);
    return matching !== undefined;
  }

  /** The key that the binding matches. */
  #matching({ type }: Exchange, binding: Binding): string | undefined {
    const matcher = createMatcher(type);
    matcher.bind(binding);
    this.#looks++;
    this.#cost += (matcher.usesKey ? this.#keysCost : 1) + binding.arguments.size;
    const found = new Destinations<Destination>();
    return (matcher.usesKey ? this.#keys : this.#keys.slice(0, 1)).find((key) => {
      matcher.match(key, this.#content, found);
      return found.count > 0;
    });
  }

  #reach(destination: Destination, via: string): void {
    if (this.#seen.has(destination)) return;
    this.#seen.add(destination);
    if (destination.kind === 'queue') this.queues.push(destination);
    else this.#waiting.push({ exchange: destination, from: 'binding', via });
  }

  #alternate({ alternate, name }: Exchange, isMatched: boolean): Visit['alternate'] {
    if (alternate === undefined || (!this.isWhole && !isMatched)) return undefined; // what was not tried may have matched
    if (isMatched) return { exchange: alternate, outcome: 'not needed' };
    const exchange = this.#vhost.exchanges.get(alternate);
    if (exchange === undefined || exchange === this.#vhost.defaultExchange) return { exchange: alternate, outcome: 'missing' };
    if (this.#seen.has(exchange)) return { exchange: alternate, outcome: 'visited already' };
    this.#seen.add(exchange);
    this.#waiting.push({ exchange, from: 'alternate', via: name });
    return { exchange: alternate, outcome: 'followed' };
  }

  #note(make: () => Attempt): void {
    if (this.attempts.length >= ATTEMPTS_MAX || this.#text >= TEXT_MAX) {
      this.#attemptsOver++;
      return;
    }
    const attempt = make();
    this.attempts.push(attempt);
    this.#text += attempt.why.length + attempt.bindingKey.length + canonicalTable(attempt.arguments).length;
  }
}

function whyOf(
  type: string,
  { key: bindingKey, arguments: args }: Binding,
  matching: string | undefined,
  keys: readonly string[],
  content: Content,
): string {
  switch (type) {
    case 'fanout':
      return 'a fanout exchange sends everything everywhere';
    case 'headers': {
      const tests = [...args].filter(([name]) => name !== 'x-match').map(([name, value]) => `${name}=${canonicalValue(value).slice(1)}`);
      const has = [...(content.headers?.keys() ?? [])];
      return `x-match ${String(args.get('x-match') ?? 'all')} of ${some(tests) || 'nothing'}; the message has ${some(has) || 'no headers'}`;
    }
    default: {
      const is = type === 'topic' ? 'the pattern' : 'the key';
      const bound = `${is} '${short(bindingKey)}'`;
      return matching === undefined ? `${some(keys, "'")} is not ${bound}` : `'${short(matching)}' matches ${bound}`;
    }
  }
}

function some(names: readonly string[], quote = ''): string {
  const shown = names.slice(0, NAMED_MAX).map((name) => quote + short(name) + quote);
  return names.length > NAMED_MAX ? `${shown.join(', ')} and ${names.length - NAMED_MAX} more` : shown.join(', ');
}

function short(text: string): string {
  return text.length > QUOTED_MAX ? `${text.slice(0, QUOTED_MAX)}...` : text;
}

/** As the intake would find it: without a dispatch that could make room first. */
function outcomeOf(queue: Queue, bodyBytes: number, priority: number, expirationMs: number, now: number): QueueOutcome {
  const { settings, readyCount, readyBytes } = queue;
  const deadline = queue.deadlineFor(expirationMs, now);
  const told = { queue: queue.name, ttlMs: deadline === 0 ? undefined : deadline - now, priority: queue.priorityFor(priority) };
  if (bodyBytes > settings.maxMessageBytes)
    return { ...told, outcome: 'refuse', why: oversize(bodyBytes, settings.maxMessageBytes, queue).message };
  const isOver = readyCount + 1 > settings.maxLength || readyBytes + bodyBytes > settings.maxLengthBytes;
  if (!isOver) return { ...told, outcome: 'enqueue', why: `${readyCount} ready, room for it` };
  const full = `full: ${readyCount} ready of at most ${settings.maxLength}, ${readyBytes} bytes of at most ${settings.maxLengthBytes}`;
  switch (settings.overflow) {
    case 'drop-head':
      return { ...told, outcome: 'drop-head', why: `${full}; it enters, and the oldest goes` };
    case 'block':
      return { ...told, outcome: 'wait', why: `${full}; its confirm waits for room` };
    case 'reject-publish-dlx':
      if (settings.deadLetterExchange !== undefined)
        return { ...told, outcome: 'dead-letter', why: `${full}; refused, and dead-lettered to '${settings.deadLetterExchange}'` };
      return { ...told, outcome: 'refuse', why: `${full}; refused` };
    default:
      return { ...told, outcome: 'refuse', why: `${full}; refused` };
  }
}
