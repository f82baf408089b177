// What a request is refused with, and how an error of the broker becomes a status: RabbitMQ's management API says {"error", "reason"}.
// Always: our own faults are 500 without what they were. Refuses: to log; api.ts does.

import { AmqpError, ReplyCode, replyName } from '../../shared/error.ts';

export type RefusalStatus = 400 | 401 | 404 | 405 | 413 | 500 | 503;

export class HttpError extends Error {
  readonly status: RefusalStatus;
  /** RabbitMQ's word for it. */
  readonly error: string;
  readonly hint: string | undefined;

  constructor(status: RefusalStatus, error: string, reason: string, hint?: string) {
    super(reason);
    this.status = status;
    this.error = error;
    this.hint = hint;
  }
}

export function notFound(): HttpError {
  return new HttpError(404, 'Object Not Found', 'Not Found');
}
export function badRequest(reason: string, hint?: string): HttpError {
  return new HttpError(400, 'bad_request', reason, hint);
}
export function notAuthorised(reason: string, hint?: string): HttpError {
  return new HttpError(401, 'not_authorised', reason, hint);
}

export function toHttpError(error: unknown): HttpError {
  if (error instanceof HttpError) return error;
  if (!(error instanceof AmqpError)) return new HttpError(500, 'internal_server_error', 'see the log of the server');
  const text = error.message.replace(`${replyName.get(error.code)} - `, '');
  const { hint } = error.detail;
  switch (error.code) {
    case ReplyCode.AccessRefused:
      return notAuthorised(text, hint);
    case ReplyCode.NotFound:
      return notFound();
    case ReplyCode.ResourceError:
      return new HttpError(503, 'service_unavailable', text, hint);
    case ReplyCode.InternalError:
      return new HttpError(500, 'internal_server_error', 'see the log of the server');
    default:
      return badRequest(text, hint);
  }
}
