// The one error a peer can cause. Thrown anywhere, translated in one place per protocol (channel.close, connection.close, a JSON error).
// Always: `code` is an AMQP 0-9-1 reply code; `text` starts with its name, as RabbitMQ writes it ("NOT_FOUND - no queue ...").
// Refuses: to carry a stack to the peer, or to stand for our own faults (assert.ts).

/** Reply codes and their names. AMQP 0-9-1, section 1.2 (constants), with RabbitMQ's additions. */
export const ReplyCode = {
  ContentTooLarge: 311,
  NoRoute: 312,
  NoConsumers: 313,
  ConnectionForced: 320,
  InvalidPath: 402,
  AccessRefused: 403,
  NotFound: 404,
  ResourceLocked: 405,
  PreconditionFailed: 406,
  FrameError: 501,
  SyntaxError: 502,
  CommandInvalid: 503,
  ChannelError: 504,
  UnexpectedFrame: 505,
  ResourceError: 506,
  NotAllowed: 530,
  NotImplemented: 540,
  InternalError: 541,
} as const;
export type ReplyCode = (typeof ReplyCode)[keyof typeof ReplyCode];

/** `NotFound` is NOT_FOUND on the wire. */
export const replyName: ReadonlyMap<number, string> = new Map(
  Object.entries(ReplyCode).map(([name, code]) => [code, name.replace(/(?<=[a-z])(?=[A-Z])/g, '_').toUpperCase()]),
);

export interface ErrorDetail {
  /** What to do next, in one sentence. */
  readonly hint?: string;
  /** JSON pointer to the offending field of a request. */
  readonly path?: string;
  /** The queue that refused, where one did. */
  readonly queue?: string;
}

export class AmqpError extends Error {
  readonly code: ReplyCode;
  readonly detail: ErrorDetail;

  /** `text` without the code's name: new AmqpError(404, "no queue 'q' in vhost '/'") reads "NOT_FOUND - no queue ...". */
  constructor(code: ReplyCode, text: string, detail: ErrorDetail = {}) {
    super(`${replyName.get(code) ?? code} - ${text}`);
    this.name = 'AmqpError';
    this.code = code;
    this.detail = detail;
  }
}
