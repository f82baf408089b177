// How bad an error is, which AMQP's reply code decides, and how its text fits the wire.
// Always: a soft error closes the channel, a hard one the connection (AMQP 0-9-1, 1.2, and RabbitMQ's documentation on channels).
// Refuses: to send anything; channel.ts and connection.ts do. Our own faults are logged, and told as 541 without what they were.

import { BlamelessError, type FrameReader, FrameType } from '../../shared/amqp/frame.ts';
import { HotKey } from '../../shared/amqp/hot.ts';
import { readU32 } from '../../shared/bytes.ts';
import { AmqpError, ReplyCode } from '../../shared/error.ts';
import { SHORT_STRING_BYTES_MAX, utf8Length } from '../../shared/text.ts';
import type { ConnectionLog } from '../ports.ts';
import type { Channel } from './channel.ts';
import { type Phase, phaseNames } from './phase.ts';

const SOFT: ReadonlySet<number> = new Set([
  ReplyCode.ContentTooLarge,
  ReplyCode.NoRoute,
  ReplyCode.NoConsumers,
  ReplyCode.AccessRefused,
  ReplyCode.NotFound,
  ReplyCode.ResourceLocked,
  ReplyCode.PreconditionFailed,
]);

export function isHard(code: number): boolean {
  return !SOFT.has(code);
}

/** The text of a close: a short string, so what does not fit is cut, with dots as RabbitMQ has them. */
export function replyText({ message }: AmqpError): string {
  if (utf8Length(message) <= SHORT_STRING_BYTES_MAX) return message;
  let text = message.slice(0, SHORT_STRING_BYTES_MAX - 3);
  while (utf8Length(text) > SHORT_STRING_BYTES_MAX - 3) text = text.slice(0, -1);
  return `${text}...`;
}

/** A method that has no place in this phase. */
export function mistimed(phase: Phase): AmqpError {
  return new AmqpError(ReplyCode.ChannelError, `unexpected method in connection state ${phaseNames[phase]}`);
}

/** Logs why a connection ends, and answers what its peer is told of it. */
export function logEnd(log: ConnectionLog, error: unknown): AmqpError {
  if (!(error instanceof AmqpError)) {
    log.error({ err: error }, 'internal error: the connection is closed');
    return new AmqpError(ReplyCode.InternalError, 'see the log of the server');
  }
  const { code, message: reason } = error;
  if (code === ReplyCode.ConnectionForced) log.info({ reason }, 'the connection is closed');
  else
    log.warn(
      { code, reason },
      code === ReplyCode.InternalError
        ? 'the connection is closed: the broker has failed'
        : 'the connection is closed for what its peer sent',
    );
  return error;
}

/** The class and method that a frame was of: what a close names as its cause; 0 where nothing of the client's is to blame. */
export function keyOf(error: unknown, reader: FrameReader, channel: Channel | undefined): number {
  if (error instanceof BlamelessError) return 0;
  if (reader.type === FrameType.Method && channel?.assembly === undefined) return readU32(reader.bytes, reader.payloadStart);
  return channel === undefined ? 0 : HotKey.Publish; // content belongs to it
}
