// What a session declares, binds and deletes: the vhost's rules, in the name of this session.
// Always: (1) the session, or the connection it is a part of, is the owner of what it declares exclusive; (2) an empty queue name means the queue it declared last (semantics Q4);
// (3) what was changed is durable before `whenDurable` calls back.
// Refuses: rules of its own: vhost.ts has them.

import type { FieldTable } from '../../shared/amqp/table.ts';
import { AmqpError, ReplyCode } from '../../shared/error.ts';
import type { Broker } from './broker.ts';
import type { Queue } from './queue.ts';
import { isReplyName, REPLY_TO } from './reply-to.ts';
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
  readonly #broker: Broker;
  #lastQueue = '';

  constructor(broker: Broker, vhost: Vhost, owner: object | undefined) {
    this.#broker = broker;
    this.vhost = vhost;
    this.owner = owner ?? this;
  }

  declareExchange(declaration: ExchangeDeclaration): void {
    this.vhost.declareExchange(declaration);
  }
  deleteExchange(exchange: string, ifUnused: boolean): void {
    this.vhost.deleteExchange(exchange, ifUnused);
  }
  bindExchange(destination: string, source: string, key: string, args: FieldTable): void {
    this.vhost.bindExchange(destination, source, key, args);
  }
  unbindExchange(destination: string, source: string, key: string, args: FieldTable): void {
    this.vhost.unbindExchange(destination, source, key, args);
  }

  declareQueue(declaration: QueueDeclaration): QueueDeclared {
    if (declaration.queue === REPLY_TO || isReplyName(declaration.queue)) return this.#replyQueue(declaration.queue);
    const queue = this.vhost.declareQueue(declaration, this.owner);
    queue.used();
    this.#lastQueue = queue.name;
    return { queue: queue.name, messageCount: queue.readyCount, consumerCount: queue.consumerCount };
  }

  bindQueue(queue: string, exchange: string, key: string, args: FieldTable): void {
    const name = this.queueName(queue);
    this.vhost.bindQueue(name, exchange, queue === '' && key === '' ? name : key, args, this.owner);
  }
  unbindQueue(queue: string, exchange: string, key: string, args: FieldTable): void {
    const name = this.queueName(queue);
    this.vhost.unbindQueue(name, exchange, queue === '' && key === '' ? name : key, args, this.owner);
  }
  purgeQueue(queue: string): number {
    return this.vhost.findQueue(this.queueName(queue), this.owner).purge();
  }
  deleteQueue(queue: string, ifUnused: boolean, ifEmpty: boolean): number {
    return this.vhost.deleteQueue(this.queueName(queue), ifUnused, ifEmpty, this.owner);
  }
  /** The queue, to look at: closes nothing, renews nothing. */
  inspectQueue(queue: string): Queue {
    return this.vhost.findQueue(this.queueName(queue), this.owner);
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

  protected bindTap(exchange: string, key: string, args: FieldTable, buffer: number): Queue {
    const tap = this.#broker.hiddenQueues.createTap(this.vhost, this, buffer);
    this.vhost.bindTap(tap, exchange, key, args);
    return tap;
  }
  protected closeTap(tap: Queue): void {
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
