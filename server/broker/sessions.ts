// The sessions that are open, and whose they are.
// Always: a connection counts once, however many sessions (AMQP channels) it has. Refuses: what a session does.

import type { AmqpError } from '../../shared/error.ts';
import type { Session } from './session.ts';
import type { Totals } from './traffic.ts';

export class Sessions implements Iterable<Session> {
  readonly #sessions = new Set<Session>();
  readonly #countByOwner = new Map<object, number>();
  readonly #totals: Totals;

  constructor(totals: Totals) {
    this.#totals = totals;
  }

  /** Connections that have a session. */
  get ownerCount(): number {
    return this.#countByOwner.size;
  }
  [Symbol.iterator](): Iterator<Session> {
    return this.#sessions.values();
  }

  add(session: Session): void {
    this.#sessions.add(session);
    this.#totals.channelsOpened++;
    this.#countByOwner.set(session.owner, (this.#countByOwner.get(session.owner) ?? 0) + 1);
  }

  remove(session: Session): void {
    if (!this.#sessions.delete(session)) return;
    this.#totals.channelsClosed++;
    const left = (this.#countByOwner.get(session.owner) ?? 1) - 1;
    if (left > 0) this.#countByOwner.set(session.owner, left);
    else this.#countByOwner.delete(session.owner);
  }

  /** A right of `user` in `vhost` came or went. */
  rightsChanged(user: string, vhost: string): void {
    for (const session of this.#sessions)
      if (session.identity.account.name === user && session.vhost.name === vhost) session.rightsChanged();
  }

  /** Ends those that `which` picks, at once. */
  end(error: AmqpError, which: (session: Session) => boolean = () => true): void {
    for (const session of [...this.#sessions]) {
      if (!which(session)) continue;
      session.sink.close(error);
      session.close();
    }
  }
}
