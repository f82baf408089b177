// What a session declares, binds and deletes: the vhost's rules, in the name of this session.
// Always: (1) the session, or the connection it is a part of, is the owner of what it declares exclusive; (2) an empty queue name means the queue it declared last (semantics Q4);
// (3) what was changed is durable before `whenDurable` calls back.
// (4) every operation is authorised before anything else is looked at.
// Refuses: rules of its own: vhost.ts has them, and authorise.ts.

import type { FieldTable } from '../../shared/amqp/table.ts';
import { AmqpError, ReplyCode } from '../../shared/error.ts';
import type { Sample } from '../../shared/protocol/control.ts';
import { authorise, mayDo, type Named, type Operation } from './authorise.ts';
import type { Broker } from './broker.ts';
import type { Identity } from './login.ts';
import type { Queue } from './queue.ts';
import { isReplyName, REPLY_TO } from './reply-to.ts';
import { Sight } from './sight.ts';
import { sampleVhost } from './stats.ts';
import type { Vhost } from './vhost.ts';

export interface ExchangeDeclaration {
  readonly exchange: string;
  readonly type: string;
  readonly durable: boolean;
  readonly autoDelete: boolean;
  readonly internal: boolean;
  readonly passive: boolean;
  readonly arguments: FieldTable;
}

export interface QueueDeclaration {
  readonly queue: string;
  readonly durable: boolean;
  readonly exclusive: boolean;
  readonly autoDelete: boolean;
  readonly passive: boolean;
  readonly arguments: FieldTable;
}

export interface QueueDeclared {
  readonly queue: string;
  readonly messageCount: number;
  readonly consumerCount: number;
}

export class Topology {
  readonly vhost: Vhost;
  /** Whose exclusive queues this may use. */
  readonly owner: object;
  readonly identity: Identity;
  readonly #broker: Broker;
  readonly #taps = new Map<Queue, { readonly exchange: string; readonly key: string }>();
  readonly #sight: Sight;
  #lastQueue = '';

  constructor(broker: Broker, vhost: Vhost, identity: Identity, owner: object | undefined) {
    this.#broker = broker;
    this.vhost = vhost;
    this.identity = identity;
    this.#sight = new Sight(identity);
    this.owner = owner ?? this;
  }

  declareExchange(declaration: ExchangeDeclaration): void {
    const { exchange, passive } = declaration;
    this.authorise(passive ? 'exchange.inspect' : 'exchange.declare', { exchange });
    const alternate = declaration.arguments.get('alternate-exchange');
    if (!passive && typeof alternate === 'string') this.authorise('exchange.declare alternate', { exchange, target: alternate });
    this.act(() => this.vhost.declareExchange(declaration));
  }
  deleteExchange(exchange: string, ifUnused: boolean): void {
    this.authorise('exchange.delete', { exchange });
    this.act(() => this.vhost.deleteExchange(exchange, ifUnused));
  }
  bindExchange(destination: string, source: string, key: string, args: FieldTable): void {
    this.authorise('exchange.bind', { destination, source, key });
    this.act(() => this.vhost.bindExchange(destination, source, key, args));
  }
  unbindExchange(destination: string, source: string, key: string, args: FieldTable): void {
    this.authorise('exchange.unbind', { destination, source, key });
    this.act(() => this.vhost.unbindExchange(destination, source, key, args));
  }

  declareQueue(declaration: QueueDeclaration): QueueDeclared {
    if (declaration.queue === REPLY_TO || isReplyName(declaration.queue)) return this.#replyQueue(declaration.queue);
    this.#authoriseQueue(declaration);
    const queue = this.act(() => this.vhost.declareQueue(declaration, this.owner));
    queue.used();
    if (!declaration.passive) this.#broker.totals.queuesDeclared++;
    this.#lastQueue = queue.name;
    return { queue: queue.name, messageCount: queue.readyCount, consumerCount: queue.consumerCount };
  }

  bindQueue(queue: string, exchange: string, key: string, args: FieldTable): void {
    const name = this.queueName(queue);
    const bindingKey = queue === '' && key === '' ? name : key;
    this.authorise('queue.bind', { queue: name, exchange, key: bindingKey });
    this.act(() => this.vhost.bindQueue(name, exchange, bindingKey, args, this.owner));
  }
  unbindQueue(queue: string, exchange: string, key: string, args: FieldTable): void {
    const name = this.queueName(queue);
    const bindingKey = queue === '' && key === '' ? name : key;
    this.authorise('queue.unbind', { queue: name, exchange, key: bindingKey });
    this.act(() => this.vhost.unbindQueue(name, exchange, bindingKey, args, this.owner));
  }
  purgeQueue(queue: string): number {
    const name = this.queueName(queue);
    this.authorise('queue.purge', { queue: name });
    return this.vhost.findQueue(name, this.owner).purge();
  }
  deleteQueue(queue: string, ifUnused: boolean, ifEmpty: boolean): number {
    const name = this.queueName(queue);
    this.authorise('queue.delete', { queue: name });
    return this.act(() => this.vhost.deleteQueue(name, ifUnused, ifEmpty, this.owner));
  }
  /** The queue, to look at: closes nothing, renews nothing. */
  inspectQueue(queue: string): Queue {
    const name = this.queueName(queue);
    this.authorise('queue.inspect', { queue: name });
    return this.vhost.findQueue(name, this.owner);
  }

  /** The queues that `match` selects among those that may be inspected; whoever sees not all gets no number of what it does not see. */
  sample(match: (queue: string) => boolean): Sample {
    return sampleVhost(this.#broker, this.vhost, match, this.#sight);
  }

  /** Calls back once every change of topology so far is durable: at once where it is. In the order of the calls. */
  whenDurable(done: () => void): void {
    this.#broker.whenDurable(this.#broker.definedLsn, done);
  }

  /** `name`, or the queue this session declared last. */
  protected queueName(name: string): string {
    if (name !== '') return name;
    if (this.#lastQueue === '')
      throw new AmqpError(ReplyCode.NotFound, 'no previously declared queue', {
        hint: 'name the queue, or declare one on this connection first',
        path: '/queue',
      });
    return this.#lastQueue;
  }

  /** Throws 403 unless this session's account may do `operation` to what is named. */
  protected authorise(operation: Operation, named: Named): void {
    authorise({ account: this.identity.account, vhost: this.vhost.name }, operation, named);
  }

  /** What happens in `work` is done by this session's user. */
  protected act<Result>(work: () => Result): Result {
    return this.#broker.events.as(this.identity.account.name, work);
  }

  /** Whether what allowed a consumer of `queue`, or a tap, still does. */
  protected mayRead(queue: Queue): boolean {
    const actor = { account: this.identity.account, vhost: this.vhost.name };
    const tapped = this.#taps.get(queue);
    return tapped === undefined ? mayDo(actor, 'basic.consume', { queue: queue.name }) : mayDo(actor, 'tap.open', tapped);
  }

  #authoriseQueue({ queue, passive, arguments: args }: QueueDeclaration): void {
    this.authorise(passive ? 'queue.inspect' : 'queue.declare', { queue });
    const target = args.get('x-dead-letter-exchange');
    if (!passive && typeof target === 'string') this.authorise('queue.declare dead-letter', { queue, target });
  }

  protected bindTap(exchange: string, key: string, args: FieldTable, buffer: number): Queue {
    this.authorise('tap.open', { exchange, key });
    const tap = this.#broker.hiddenQueues.createTap(this.vhost, this, buffer);
    this.vhost.bindTap(tap, exchange, key, args);
    this.#taps.set(tap, { exchange, key });
    return tap;
  }
  protected closeTap(tap: Queue): void {
    this.#taps.delete(tap);
    this.vhost.unbindTap(tap);
    if (!tap.isDeleted) tap.delete('tap closed');
  }

  /** Direct reply-to looks like a queue as long as its requester is there. */
  #replyQueue(name: string): QueueDeclared {
    if (name !== REPLY_TO && this.#broker.replyConsumers.find(name) === undefined)
      throw new AmqpError(ReplyCode.NotFound, `no queue '${name}' in vhost '${this.vhost.name}'`, { path: '/queue' });
    return { queue: name, messageCount: 0, consumerCount: 1 };
  }
}
