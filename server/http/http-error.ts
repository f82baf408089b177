// What a request is refused with, and how an error of the broker becomes a status: RabbitMQ's management API says {"error", "reason"}.
// Always: our own faults are 500 without what they were. Refuses: to log; api.ts does.

import { AmqpError, ReplyCode, replyName } from '../../shared/error.ts';

export type RefusalStatus = 400 | 401 | 403 | 404 | 405 | 413 | 415 | 429 | 500 | 503;

export interface MoreOfRefusal {
  readonly hint?: string | undefined;
  /** Where in the body: a JSON pointer. */
  readonly path?: string | undefined;
  /** Beside those of every answer. */
  readonly headers?: Readonly<Record<string, string>>;
}

export class HttpError extends Error {
  readonly status: RefusalStatus;
  /** RabbitMQ's word for it. */
  readonly error: string;
  readonly more: MoreOfRefusal;

  constructor(status: RefusalStatus, error: string, reason: string, more: MoreOfRefusal = {}) {
    super(reason);
    this.status = status;
    this.error = error;
    this.more = more;
  }
}

export function notFound(): HttpError {
  return new HttpError(404, 'Object Not Found', 'Not Found');
}
export function badRequest(reason: string, hint?: string, path?: string): HttpError {
  return new HttpError(400, 'bad_request', reason, { hint, path });
}
export function tooMany(reason: string, hint: string): HttpError {
  return new HttpError(429, 'too_many_requests', reason, { hint, headers: { 'retry-after': '1' } });
}
export function notAuthorised(reason: string, hint?: string): HttpError {
  return new HttpError(401, 'not_authorised', reason, { hint });
}

export function toHttpError(error: unknown): HttpError {
  if (error instanceof HttpError) return error;
  if (!(error instanceof AmqpError)) return new HttpError(500, 'internal_server_error', 'see the log of the server');
  const text = error.message.replace(`${replyName.get(error.code)} - `, '');
  const { hint, path } = error.detail;
  switch (error.code) {
    case ReplyCode.AccessRefused:
      return notAuthorised(text, hint);
    case ReplyCode.NotFound:
      return notFound();
    case ReplyCode.ResourceError:
    case ReplyCode.ConnectionForced:
      return new HttpError(503, 'service_unavailable', text, { hint });
    case ReplyCode.InternalError:
      return new HttpError(500, 'internal_server_error', 'see the log of the server');
    default:
      return badRequest(text, hint, path);
  }
}
