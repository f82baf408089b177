// An exchange by name: publish to it, watch what goes through it. Holds nothing: make one whenever it is handy.

import { Feed } from './feed.ts';
import type { Message } from './message.ts';
import type { Published, PublishOptions, SubscribeOptions } from './options.ts';
import type { Session } from './session.ts';
import type { BodyFor } from './topology.ts';

/** What goes through an exchange from now on: see {@link Exchange.subscribe}. After a reconnect it goes on; what passed meanwhile is missed. */
export type Tap<B = unknown> = Feed<Message<B>>;

/**
 * An exchange: see {@link Connection.exchange}.
 * ```ts
 * const { routed } = await mq.exchange('amq.topic').publish('order.created', { total: 9.5 }, { unroutable: 'ignore' });
 * console.log(routed);
 * ```
 */
export class Exchange<Messages = Record<never, never>> {
  readonly name: string;
  readonly #session: Session;

  /** @internal */
  constructor(session: Session, name: string) {
    this.#session = session;
    this.name = name;
  }

  /**
   * Resolves when every queue that took the message has stored it. Rejects with NO_ROUTE when none did, and on refusal, timeout or abort. While the connection is down it
   * waits; what was sent and not confirmed when it broke is sent again with the same id, so a queue may then hold it twice.
   * ```ts
   * await mq.exchange('amq.topic').publish('a.b', 'text, bytes, or anything that is JSON', { unroutable: 'ignore' });
   * ```
   */
  publish<Key extends (keyof Messages & string) | (string & {})>(
    key: Key,
    body: BodyFor<Messages, Key>,
    options?: PublishOptions,
  ): Promise<Published> {
    return this.#session.publish(this.name, key, body, options);
  }

  /**
   * A live tap: nothing is queued, nothing needs an ack, publishers are never held up; a slow reader misses the oldest.
   * ```ts
   * const tap = mq.exchange('amq.topic').subscribe('order.*', { buffer: 10 });
   * await mq.exchange('amq.topic').publish('order.created', { total: 9.5 }, { unroutable: 'ignore' });
   * for await (const msg of tap) { console.log(msg.key, msg.body); break; }
   * ```
   */
  subscribe<Key extends (keyof Messages & string) | (string & {})>(
    key: Key,
    { buffer = 100, ...options }: SubscribeOptions = {},
  ): Tap<BodyFor<Messages, Key>> {
    return new Feed(this.#session, 'tap.open', { ...options, exchange: this.name, key, buffer }, { ...options, buffer });
  }
}
