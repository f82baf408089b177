// Messages for scripts, which have no connection: pulled one at a time, waited for, and settled by a token.
// Always: (1) a message that was pulled is unacked until its token is settled or its hold is over, and then back in its queue; (2) a token is 128 random
// bits, good once, for the user who pulled; (3) whoever hangs up while waiting takes nothing; (4) a pull is a session of its own, so rights, limits
// and redelivery are those of every consumer; (5) neither wait nor hold goes beyond the token that the caller came with.
// Refuses: more than OPEN_PULLS_MAX at once of one user.

import { AmqpError, ReplyCode } from '../../shared/error.ts';
import type { Session } from '../broker/session.ts';
import type { Got } from '../broker/session-sink.ts';
import type { Timer } from '../ports.ts';
import { RequestSink, settled } from './acting.ts';
import { notFound, tooMany } from './http-error.ts';
import type { Call } from './route.ts';

/** Waiting, or not yet settled: each is a session. */
const OPEN_PULLS_MAX = 1_000;

export type Outcome = 'ack' | 'requeue' | 'reject';

export interface PullOptions {
  readonly vhost: string;
  readonly queue: string;
  /** How long to wait for a message; 0: not at all. */
  readonly waitMs: number;
  /** How long it may stay unsettled; undefined: it is acked before it is answered. */
  readonly holdMs: number | undefined;
}
export interface Pulled {
  readonly redelivered: boolean;
  readonly deliveryCount: number;
  /** A copy of the content run. */
  readonly content: Uint8Array;
  /** What settles it; undefined when it is settled. */
  readonly token: string | undefined;
}
type Taken = Omit<Pulled, 'token'> & { readonly tag: number };

interface Held {
  readonly session: Session;
  readonly user: string;
  readonly tag: number;
  readonly timer: Timer;
}

export class Pulls {
  readonly #held = new Map<string, Held>();
  readonly #openByUser = new Map<string, number>();

  /** The next message of the queue; undefined when none came in time. */
  async pull(call: Call, options: PullOptions): Promise<Pulled | undefined> {
    const { broker, account } = call;
    if ((this.#openByUser.get(account.name) ?? 0) >= OPEN_PULLS_MAX)
      throw tooMany(`user '${account.name}' has ${OPEN_PULLS_MAX} pulls open`, 'settle what was pulled: DELETE /v1/deliveries/{token}');
    const sink = new RequestSink();
    const session = broker.openSession(sink, { account, vhost: options.vhost, name: 'pull' });
    this.#count(account.name, 1);
    let token: string | undefined;
    try {
      const taken = await take(call, session, sink, options);
      if (taken === undefined || call.signal.aborted) return undefined;
      if (options.holdMs === undefined) {
        session.ack(taken.tag, false);
        await settled(session);
      } else token = this.#hold(call, session, sink, taken.tag, options.holdMs);
      return { ...taken, token };
    } finally {
      if (token === undefined) this.#release(session, account.name);
    }
  }

  /** Throws 404 for a token that is not, no longer, or somebody else's. */
  async settle(token: string, user: string, outcome: Outcome): Promise<void> {
    const held = this.#held.get(token);
    if (held === undefined || held.user !== user) throw notFound();
    this.#held.delete(token);
    held.timer.cancel();
    try {
      if (outcome === 'ack') held.session.ack(held.tag, false);
      else held.session.nack(held.tag, false, outcome === 'requeue');
      await settled(held.session);
    } finally {
      this.#release(held.session, user);
    }
  }

  #hold(call: Call, session: Session, sink: RequestSink, tag: number, holdMs: number): string {
    const { broker, account } = call;
    const token = broker.randomName();
    const end = (): void => {
      if (!this.#held.delete(token)) return;
      timer.cancel();
      this.#release(session, account.name);
    };
    const timer = broker.clock.setTimer(until(call, holdMs), end);
    this.#held.set(token, { session, user: account.name, tag, timer });
    sink.told = end; // the broker ends the session
    return token;
  }

  #release(session: Session, user: string): void {
    session.close();
    this.#count(user, -1);
  }

  #count(user: string, change: number): void {
    const open = (this.#openByUser.get(user) ?? 0) + change;
    if (open > 0) this.#openByUser.set(user, open);
    else this.#openByUser.delete(user);
  }
}

/** In `ms`, or when the caller's token ends. */
function until({ broker, account }: Call, ms: number): number {
  return Math.min(broker.clock.now() + ms, account.expiresAt ?? Number.POSITIVE_INFINITY);
}

async function take(call: Call, session: Session, sink: RequestSink, options: PullOptions): Promise<Taken | undefined> {
  const got = await first(session, sink, options.queue);
  if (got !== undefined || options.waitMs === 0) return got;
  return await waitFor(call, session, sink, options);
}

/** What is there already. */
function first(session: Session, sink: RequestSink, queue: string): Promise<Taken | undefined> {
  return new Promise((resolve, reject) => {
    sink.told = (what) => reject('error' in what ? what.error : new AmqpError(ReplyCode.InternalError, 'a pull publishes nothing'));
    session.get(queue, false, (got) => resolve(got && keep(got)));
  });
}

/** The bytes are there during the call alone. */
function keep({
  tag,
  redelivered,
  deliveryCount,
  bytes,
  start,
  end,
}: Pick<Got, (keyof Taken & keyof Got) | 'bytes' | 'start' | 'end'>): Taken {
  return { tag, redelivered, deliveryCount, content: bytes.slice(start, end) };
}

/** A consumer that takes one message. */
function waitFor(call: Call, session: Session, sink: RequestSink, { queue, waitMs }: PullOptions): Promise<Taken | undefined> {
  const { broker, signal } = call;
  const consumer = session.consume({
    ...{ handle: 1, queue, consumerTag: '', noAck: false, exclusive: false, prefetch: 1, credit: 1, priority: 0, arguments: new Map() },
  });
  return new Promise<Taken | undefined>((resolve, reject) => {
    const hungUp = (): void => end(() => resolve(undefined));
    const timer = broker.clock.setTimer(until(call, waitMs), hungUp);
    const end = (answer: () => void): void => {
      timer.cancel();
      signal.removeEventListener('abort', hungUp);
      sink.told = undefined;
      answer();
    };
    signal.addEventListener('abort', hungUp);
    sink.delivered = (_consumer, tag, redelivered, deliveryCount, _number, _seq, bytes, start, stop) => {
      const taken = keep({ tag, redelivered, deliveryCount, bytes, start, end: stop });
      end(() => resolve(taken));
    };
    sink.told = (what) => {
      if ('error' in what) end(() => reject(what.error));
    };
  }).finally(() => session.cancel(consumer));
}
