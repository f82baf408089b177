// A request's own session with the broker: what it declares, publishes and gets is asked of authorise() like anybody's.
// Always: (1) the session ends with the request, so what it got and did not settle goes back; (2) a change is answered when it is durable.
// Refuses: to outlive it; what has to wait for an ack, pulls.ts keeps.

import { AmqpError, ReplyCode } from '../../shared/error.ts';
import type { Publisher } from '../broker/publisher.ts';
import type { Session } from '../broker/session.ts';
import type { SessionSink } from '../broker/session-sink.ts';
import type { Call } from './route.ts';

type Told = { readonly routed: number } | { readonly error: AmqpError };

type Deliver = SessionSink['deliver'];

export class RequestSink implements SessionSink {
  told: ((what: Told) => void) | undefined;
  delivered: Deliver | undefined;

  deliver(...delivery: Parameters<Deliver>): void {
    this.delivered?.(...delivery);
  }
  confirm(_publisher: Publisher, _firstSeq: number, _count: number, routed: number): void {
    this.told?.({ routed });
  }
  refuse(_publisher: Publisher, _seq: number, error: AmqpError): void {
    this.told?.({ error });
  }
  returned(): void {
    // the answer says whether it was routed
  }
  credit(): void {
    // one publish has enough
  }
  cancelled(): void {
    this.told?.({ error: new AmqpError(ReplyCode.NotFound, 'the queue is gone') });
  }
  active(): void {
    // whoever waits gets its message when it is its turn
  }
  blocked(): void {
    // a publish is refused then
  }
  failed(_op: 'settle' | 'publish', _handle: number, error: AmqpError): void {
    this.told?.({ error });
  }
  writable(): boolean {
    return true;
  }
  takesReplies(): boolean {
    return false;
  }
  flush(): void {
    // nothing is encoded
  }
  close(error: AmqpError): void {
    this.told?.({ error });
  }
}

export interface Acting {
  readonly session: Session;
  /** Resolves with the number of queues that took it, once it is confirmed. */
  publish(run: Uint8Array): Promise<number>;
}

/** Does `action` in a session of the caller's in `vhost`, and waits until what it changed is durable. */
export async function acting<Result>(call: Call, vhost: string, action: (acting: Acting) => Result | Promise<Result>): Promise<Result> {
  const { broker, account } = call;
  const sink = new RequestSink();
  const session = broker.openSession(sink, { account, vhost, name: 'management API' });
  try {
    const result = await action({ session, publish: (run) => publish(session, sink, run) });
    await settled(session);
    return result;
  } finally {
    session.close();
  }
}

async function publish(session: Session, sink: RequestSink, run: Uint8Array): Promise<number> {
  const publisher = session.openPublisher(1, true);
  const told = await new Promise<Told>((resolve) => {
    sink.told = resolve;
    session.publish(publisher, run, 0, run.length, false);
  });
  if ('error' in told) throw told.error;
  return told.routed;
}

/** Waits until what a session did is on disk. */
export function settled(session: Session): Promise<void> {
  return new Promise((resolve) => session.whenDurable(resolve));
}

/** Waits until what administrators changed is on disk. */
export function durable({ broker }: Call): Promise<void> {
  return new Promise((resolve) => broker.whenDurable(broker.definedLsn, resolve));
}

/** Throws 404 for a vhost that is not there, 401 for one that the caller may not see, or may not change. */
export function checkVhost({ broker, account }: Pick<Call, 'broker' | 'account'>, name: string, act: 'see' | 'change' = 'see'): void {
  if (broker.vhost(name) === undefined) throw new AmqpError(ReplyCode.NotFound, `no vhost '${name}'`);
  if (account.rights(name) !== undefined || account.tags.has('administrator')) return;
  if (act === 'see' && account.tags.has('monitoring')) return;
  throw new AmqpError(ReplyCode.AccessRefused, `User not authorised to access virtual host`, {
    hint: `${act === 'see' ? '' : 'the tag monitoring sees and does not change; '}an administrator may grant rights: PUT /api/permissions/{vhost}/{user}`,
  });
}
