// Requests and replies over direct reply-to.
// Loaded by the first request or service: a page that publishes or watches never asks for it.
// Always: (1) one reply consumer a connection, made by the first request; (2) a request settles once: by its reply, or because nobody answers, time is up,
// its signal aborts, or the connection is lost after the broker took the request (the reply would find nobody); (3) what the serving handler threw comes back as
// a REMOTE error with its message alone, never a stack.
// Refuses: to send a request again once it may have been served.

import { toMs } from './duration.ts';
import { LeveretError } from './error.ts';
import type { Message } from './message.ts';
import type { RequestOptions } from './options.ts';
import { Pool } from './pool.ts';
import { onAbort } from './publisher.ts';
import type { Session } from './session.ts';
import { type Reader, Subscription } from './subscription.ts';
import { type Handler, Worker } from './worker.ts';

const REPLY_QUEUE = 'amq.rabbitmq.reply-to';
const ERROR_TYPE = 'leveret.error';

interface Asked {
  isTaken: boolean;
  settle(reply: Message | LeveretError): void;
}

const known = new WeakMap<Session, Rpc>();

/** The one of this connection. */
export function rpcOf(session: Session): Rpc {
  let rpc = known.get(session);
  if (rpc === undefined) known.set(session, (rpc = new Rpc(session)));
  return rpc;
}

class Rpc implements Reader<Message> {
  readonly #session: Session;
  readonly #asked = new Map<string, Asked>();
  #subscription: Subscription<Message> | undefined;
  #lastId = 0;

  constructor(session: Session) {
    this.#session = session;
  }

  request<R>(name: string, body: unknown, { timeout = 30_000, signal, headers = {} }: RequestOptions): Promise<R> {
    const session = this.#session;
    const timeoutMs = toMs(timeout);
    return new Promise((resolve, reject) => {
      this.#subscription ??= new Subscription(session, 'consume', { queue: REPLY_QUEUE, noAck: true }, this);
      const correlationId = String(++this.#lastId);
      const stops = [session.ports.after(timeoutMs, () => asked.settle(new LeveretError('TIMEOUT', `no reply from '${name}'`)))];
      const asked: Asked = {
        isTaken: false,
        settle: (reply) => {
          if (!this.#asked.delete(correlationId)) return;
          for (const stop of stops) stop();
          if (reply instanceof LeveretError) reject(reply);
          else
            try {
              const answer = reply.body;
              if (reply.properties.type === ERROR_TYPE) throw new LeveretError('REMOTE', String(answer));
              resolve(answer as R);
            } catch (error) {
              reject(error);
            }
        },
      };
      this.#asked.set(correlationId, asked);
      if (signal) stops.push(onAbort(signal, asked.settle));
      // It need not outlive the wait for its reply.
      const options = { correlationId, replyTo: REPLY_QUEUE, headers, timeout: timeoutMs, ttl: timeoutMs, persistent: false };
      session.publish('', name, body, signal ? { ...options, signal } : options).then(
        () => {
          asked.isTaken = true;
        },
        (error: LeveretError) =>
          asked.settle(error.code === 'NO_ROUTE' ? new LeveretError('NOBODY_ANSWERS', `nobody serves '${name}'`) : error),
      );
    });
  }

  async serve<B>(name: string, handler: Handler<B>, concurrency: number): Promise<Worker<B>> {
    const session = this.#session;
    // Transient, and gone with its last server: then a request is told at once that nobody answers.
    await session.request('queue.declare', { queue: name, durable: false, autoDelete: true });
    const pool = new Pool<B>(session, name, { concurrency }, async (message, context) => {
      const { replyTo = '', correlationId = '' } = message.properties;
      const options = { correlationId, persistent: false, unroutable: 'ignore' } as const;
      const reply = (body: unknown, type: string) => !message.isSettled && session.publish('', replyTo, body, { ...options, type });
      let answer: unknown;
      try {
        answer = (await handler(message, context)) ?? null;
      } catch (thrown) {
        await reply(thrown instanceof Error ? thrown.message : String(thrown), ERROR_TYPE);
        return;
      }
      await reply(answer, 'leveret.reply');
    });
    return new Worker(Promise.resolve(pool));
  }

  push(message: Message): void {
    this.#asked.get(message.properties.correlationId ?? '')?.settle(message);
  }

  /** What the broker took will be answered to a consumer that is gone; what it did not take is published again, to the next one. */
  lost(): void {
    for (const asked of this.#asked.values()) {
      if (asked.isTaken) asked.settle(new LeveretError('DISCONNECTED', 'the connection was lost before the reply'));
    }
  }

  end(error: LeveretError): void {
    this.#subscription = undefined;
    for (const asked of this.#asked.values()) asked.settle(error);
  }
}
