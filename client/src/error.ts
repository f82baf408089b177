// The one error class of the client, and Drop, which a handler throws to give a message up.
// Always: (1) `code` is a name: AMQP's for what the broker said (NOT_FOUND ...), else one of LocalCode; (2) `retryable` is true when the same call may
// succeed later, unchanged; (3) nothing here is ever emitted as an unlistened event: errors are rejections, or go to `fault` listeners.
// Refuses: to carry credentials (urls are shown without them).

import type { ErrorJson } from '../../shared/protocol/control.ts';

/** The codes that the client itself gives. All others are AMQP reply code names, such as `NOT_FOUND`. */
export type LocalCode =
  | 'TIMEOUT'
  | 'ABORTED'
  | 'DISCONNECTED'
  | 'CLOSED'
  | 'OVERFLOW'
  | 'NOBODY_ANSWERS'
  | 'REMOTE'
  | 'UNREADABLE'
  | 'PROTOCOL'
  | 'INVALID'
  | 'UNSUPPORTED'
  | 'REFUSED';

/** What an error may tell besides its code and reason. */
export interface LeveretErrorDetail {
  readonly replyCode?: number | undefined;
  readonly hint?: string | undefined;
  readonly path?: string | undefined;
  readonly queue?: string | undefined;
  readonly retryable?: boolean | undefined;
  readonly cause?: unknown;
}

// 320 forced, 405 locked (an exclusive queue of our own lost connection), 506 resource error, 541 internal error: these pass.
const RETRYABLE = [320, 405, 506, 541];

/**
 * Everything that goes wrong here is one of these.
 * ```ts
 * const error = await mq.queue('no-such-queue').purge().catch((error) => error);
 * console.log(error.code, error.replyCode, error.reason, error.hint, error.retryable);
 * ```
 */
export class LeveretError extends Error {
  /** 'NOT_FOUND', 'NO_ROUTE', 'TIMEOUT' ...: what to compare with. */
  declare readonly code: string;
  /** The AMQP reply code, where the broker gave one. */
  declare readonly replyCode: number | undefined;
  /** The sentence; the same as `message`. */
  declare readonly reason: string;
  /** What to do next. */
  declare readonly hint: string | undefined;
  /** JSON pointer to the offending field of the request. */
  declare readonly path: string | undefined;
  /** The queue that refused, where one did. */
  declare readonly queue: string | undefined;
  /** Whether the same call may succeed later. */
  declare readonly retryable: boolean;

  constructor(code: LocalCode | (string & {}), reason: string, detail: LeveretErrorDetail = {}) {
    super(reason, detail);
    Object.assign(this, { name: 'LeveretError', code, reason, retryable: /^(TIM|DISC|OVER|NOB)/.test(code) }, detail);
  }
}

/**
 * Thrown by a worker's handler: this message will never work, dead-letter it (or drop it where the queue has no dead-letter exchange).
 * ```ts
 * await mq.declareQueue('orders-to-check');
 * const worker = mq.queue<{ total: number }>('orders-to-check').work({}, (msg) => {
 *   if (msg.body.total < 0) throw new Drop('negative total');
 * });
 * await worker.drain();
 * ```
 */
export class Drop extends Error {}

/** An error as the broker wrote it. */
export function brokerError({ code, reason, ...detail }: ErrorJson): LeveretError {
  return new LeveretError(reason.split(' ', 1)[0] ?? '', reason, { replyCode: code, retryable: RETRYABLE.includes(code), ...detail });
}

/** What was thrown, as one of ours. */
export function toLeveretError(thrown: unknown, code: LocalCode): LeveretError {
  if (thrown instanceof LeveretError) return thrown;
  return new LeveretError(code, thrown instanceof Error ? thrown.message : String(thrown), { cause: thrown });
}
