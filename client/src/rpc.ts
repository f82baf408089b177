// Requests and replies over direct reply-to.
// Always: (1) one reply consumer a connection, made by the first request; (2) a request settles once: by its reply, or because nobody answers, time is up,
// its signal aborts, or the connection is lost after the broker took the request (the reply would find nobody); (3) what the serving handler threw comes back as
// a REMOTE error with its message alone, never a stack.
// Refuses: to send a request again once it may have been served.

import { aborted } from './publisher.ts';
import { toMs } from './duration.ts';
import { LeveretError, toLeveretError } from './error.ts';
import type { Message } from './message.ts';
import type { RequestOptions } from './options.ts';
import type { Session } from './session.ts';
import { Subscription, type Reader } from './subscription.ts';
import { Worker, type Handler } from './worker.ts';

const REPLY_QUEUE = 'amq.rabbitmq.reply-to';
const ERROR_TYPE = 'leveret.error';

interface Open {
  isTaken: boolean;
  settle(reply: Message | LeveretError): void;
}

export class Rpc implements Reader {
  readonly #session: Session;
  readonly #open = new Map<string, Open>();
  #subscription: Subscription | undefined;
  #lastId = 0;

  constructor(session: Session) {
    this.#session = session;
  }

  request<R>(name: string, body: unknown, options: RequestOptions): Promise<R> {
    const { signal, headers } = options;
    const timeoutMs = toMs(options.timeout ?? 30_000);
    return new Promise<R>((resolve, reject) => {
      if (signal?.aborted) return reject(aborted(signal));
      this.#listen();
      const id = (++this.#lastId).toString(36);
      const stop = this.#session.ports.after(timeoutMs, () => open.settle(new LeveretError('TIMEOUT', `no reply from '${name}' in ${timeoutMs} ms`)));
      const abort = (): void => signal && open.settle(aborted(signal));
      signal?.addEventListener('abort', abort);
      const open: Open = {
        isTaken: false,
        settle: (reply) => {
          if (!this.#open.delete(id)) return;
          stop();
          signal?.removeEventListener('abort', abort);
          if (reply instanceof LeveretError) return reject(reply);
          try {
            const answer = reply.body;
            if (reply.properties.type === ERROR_TYPE) reject(new LeveretError('REMOTE', String(answer)));
            else resolve(answer as R);
          } catch (error) {
            reject(toLeveretError(error, 'UNREADABLE'));
          }
        },
      };
      this.#open.set(id, open);
      // Nobody waits for it longer than we do here.
      const publish = { replyTo: REPLY_QUEUE, correlationId: id, timeout: timeoutMs, ttl: timeoutMs, persistent: false, ...(headers && { headers }) };
      this.#session.publish('', name, body, { ...publish, ...(signal && { signal }) }).then(
        () => {
          open.isTaken = true;
        },
        (error: LeveretError) => open.settle(error.code === 'NO_ROUTE' ? nobody(name, error) : error),
      );
    });
  }

  async serve<B>(name: string, handler: Handler<B>, concurrency: number): Promise<Worker<B>> {
    // Transient, and gone with its last server: then a request is told at once that nobody answers.
    await this.#session.request('queue.declare', { queue: name, durable: false, autoDelete: true });
    return new Worker<B>(this.#session, name, { concurrency }, async (msg, context) => {
      const { replyTo, correlationId } = msg.properties;
      const address = { ...(correlationId !== undefined && { correlationId }), persistent: false, unroutable: 'ignore' } as const;
      let failure: unknown;
      let reply: unknown;
      try {
        reply = (await handler(msg, context)) ?? null;
      } catch (thrown) {
        failure = thrown ?? new Error('no reason');
      }
      if (replyTo === undefined || msg.isSettled) return;
      if (failure === undefined) await this.#session.publish('', replyTo, reply, address);
      else await this.#session.publish('', replyTo, failure instanceof Error ? failure.message : String(failure), { ...address, type: ERROR_TYPE });
    });
  }

  message(message: Message): void {
    this.#open.get(message.properties.correlationId ?? '')?.settle(message);
  }

  /** What the broker took will be answered to a consumer that is gone; what it did not take is published again, to the next one. */
  lost(): void {
    for (const open of this.#open.values()) {
      if (open.isTaken) open.settle(new LeveretError('DISCONNECTED', 'the connection was lost before the reply'));
    }
  }

  ended(error: LeveretError): void {
    this.#subscription = undefined;
    for (const open of this.#open.values()) open.settle(error);
  }

  #listen(): void {
    if (this.#subscription !== undefined) return;
    this.#subscription = new Subscription(this.#session, { op: 'consume', fields: { queue: REPLY_QUEUE, noAck: true } }, this);
    this.#session.start(this.#subscription);
  }
}

function nobody(name: string, cause: LeveretError): LeveretError {
  return new LeveretError('NOBODY_ANSWERS', `nobody answers '${name}'`, { hint: `is a service running that serves '${name}'?`, cause });
}
