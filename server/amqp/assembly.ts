// One publish whose frames do not lie together in one chunk: its method, then its header, then its body in parts, put together as a content run. hot
//
//   Header ──► Body ──► (whole)        what may come next; anything else is 505
//
// Always: (1) memory grows with what has come, not with what was announced; (2) the body is counted against its header's size: a byte more is 501.
// Refuses: to read properties; the session does.

import { BlamelessError, FrameType, unknownFrame } from '../../shared/amqp/frame.ts';
import { BASIC_CLASS, CONTENT_HEADER_FIXED_BYTES } from '../../shared/amqp/properties.ts';
import { readU16, readU64 } from '../../shared/bytes.ts';
import { AmqpError, ReplyCode } from '../../shared/error.ts';

export class Assembly {
  readonly mandatory: boolean;
  readonly immediate: boolean;
  /** The run so far is bytes[0, length). */
  bytes: Uint8Array;
  length: number;
  /** As its header says; -1 while that has not come. */
  bodyBytes = -1;
  #missingBytes = 0;

  /** names[start, end): exchange and routing key as short strings. */
  constructor(names: Uint8Array, start: number, end: number, mandatory: boolean, immediate: boolean) {
    this.bytes = new Uint8Array(names.subarray(start, end)); // not slice(), which on a Buffer is a view
    this.length = end - start;
    this.mandatory = mandatory;
    this.immediate = immediate;
  }

  /** Of the body, so far. */
  get bodyBytesHere(): number {
    return this.bodyBytes < 0 ? 0 : this.bodyBytes - this.#missingBytes;
  }
  get isWhole(): boolean {
    return this.bodyBytes >= 0 && this.#missingBytes === 0;
  }

  /** A content header frame's payload. Answers the body size it announces. */
  header(bytes: Uint8Array, start: number, end: number): number {
    if (this.bodyBytes >= 0) throw this.interrupted();
    if (end - start < CONTENT_HEADER_FIXED_BYTES)
      throw unknownFrame({ type: FrameType.Header, bytes, payloadStart: start, payloadEnd: end });
    const classId = readU16(bytes, start);
    if (classId !== BASIC_CLASS) throw unexpected(`expected content header for class ${BASIC_CLASS}, got one for class ${classId} instead`);
    if (readU16(bytes, start + 2) !== 0) throw this.interrupted(); // AMQP 0-9-1, 4.2.6.1: weight must be zero
    this.bodyBytes = readU64(bytes, start + 4);
    this.#missingBytes = this.bodyBytes;
    this.#append(bytes, start, end);
    return this.bodyBytes;
  }

  /** A body frame's payload. */
  body(bytes: Uint8Array, start: number, end: number): void {
    if (this.bodyBytes < 0) throw this.interrupted();
    // RabbitMQ 3.10 counts on and delivers what came (CVE-2026-67235): 501 is what its later versions answer.
    if (end - start > this.#missingBytes) throw new AmqpError(ReplyCode.FrameError, 'more content body than its header said');
    this.#missingBytes -= end - start;
    this.#append(bytes, start, end);
  }

  /** Another frame came than the one that is due. */
  interrupted(): AmqpError {
    const due = this.bodyBytes < 0 ? 'content header' : 'content body';
    const of = this.bodyBytes < 0 ? ` for class ${BASIC_CLASS}` : '';
    return unexpected(`expected ${due}${of}, got non ${due} frame instead`);
  }

  #append(bytes: Uint8Array, start: number, end: number): void {
    const needed = this.length + end - start;
    if (needed > this.bytes.length) {
      const whole = needed + this.#missingBytes;
      const grown = new Uint8Array(Math.min(whole, Math.max(needed, this.bytes.length * 2)));
      grown.set(this.bytes.subarray(0, this.length));
      this.bytes = grown;
    }
    this.bytes.set(bytes.subarray(start, end), this.length);
    this.length = needed;
  }
}

/** Content that belongs to nothing. */
export function noMethod(): BlamelessError {
  return new BlamelessError(ReplyCode.UnexpectedFrame, 'expected method frame, got non method frame instead');
}

export function unexpected(text: string): AmqpError {
  return new AmqpError(ReplyCode.UnexpectedFrame, text);
}
