// What a peer asks in binary: publishes, settles, consumer credit, and the bodies that come in parts. hot
// Always: (1) frames are carried out in the order in which they came; (2) a publish that cannot be done is refused in its publisher's sequence, a
// settle that cannot be done is an `error` event: neither ends the connection; (3) a frame that makes no sense throws, and connection.ts closes
// with 4000 + the reply code; (4) unfinished bodies of one connection hold at most four times the largest message.
// Refuses: frames that only a server sends (504).

import { CONTENT_HEADER_FIXED_BYTES } from '../../shared/amqp/properties.ts';
import { readU16, readU32 } from '../../shared/bytes.ts';
import { Content } from '../../shared/content.ts';
import { AmqpError, ReplyCode } from '../../shared/error.ts';
import { FrameParser, FrameType, PublishHead, readCredit, SettleAction, SettleReader } from '../../shared/protocol/frames.ts';
import { Assembly } from './assembly.ts';
import { type PublisherHandle, wrongHandle } from './handles.ts';
import type { Peer } from './peer.ts';

// class u16 · weight u16, then the body size; flags u16 after it
const BODY_SIZE_AT = 4;
const FLAGS_AT = 12;
const DELIVERY_MODE_ALONE = 0x1000;
// Unfinished bodies of one connection, in units of the largest message.
const ASSEMBLIES_MAX = 4;
// Error events for one binary message: nine bytes of SETTLE must not become a flood of text.
const SETTLE_ERRORS_MAX = 1000;

export class DataFrames {
  readonly #peer: Peer;
  readonly #parser = new FrameParser();
  readonly #head = new PublishHead();
  readonly #settles = new SettleReader();
  readonly #content = new Content();
  #settleErrorCount = 0;

  constructor(peer: Peer) {
    this.#peer = peer;
  }

  /** Carries out one binary message, or what `mayGoOn` lets of it; `goOn` does the rest. Throws what closes the connection. */
  take(message: Uint8Array, mayGoOn: () => boolean): boolean {
    this.#parser.open(message);
    this.#settleErrorCount = 0;
    return this.goOn(mayGoOn);
  }

  /** False: there is more to do. */
  goOn(mayGoOn: () => boolean): boolean {
    const parser = this.#parser;
    while (!this.#peer.isClosed) {
      if (!mayGoOn()) return false;
      if (!parser.next()) return true;
      switch (parser.type) {
        case FrameType.Publish:
          this.#publish(parser);
          break;
        case FrameType.Body:
          this.#body(parser);
          break;
        case FrameType.Settle:
          this.#settle(parser);
          break;
        case FrameType.Credit:
          this.#credit(parser);
          break;
        default:
          throw new AmqpError(ReplyCode.ChannelError, `a frame of type ${parser.type} comes from a server only`);
      }
    }
    return true;
  }

  #publisher(number: number): PublisherHandle {
    const handle = this.#peer.context.handles.get(number);
    if (handle?.kind !== 'publisher') throw wrongHandle(number, 'publisher', handle);
    return handle;
  }

  #publish(frame: FrameParser): void {
    const handle = this.#publisher(frame.handle);
    if (handle.assembly !== undefined)
      throw new AmqpError(ReplyCode.FrameError, `malformed frame: PUBLISH on handle ${frame.handle}, whose body is not complete`);
    const { bytes, payloadStart, payloadEnd } = frame;
    const { mandatory, contentStart } = this.#head.read(bytes, payloadStart, payloadEnd);
    const missingBytes = this.#missingBytes(bytes, contentStart, payloadEnd);
    if (missingBytes <= 0) {
      this.#peer.session.publish(handle.publisher, bytes, contentStart, payloadEnd, mandatory);
      return;
    }
    const { messageBytesMax } = this.#peer.context;
    const { bodyBytes } = this.#content.read(bytes, contentStart, payloadEnd);
    let refusal: AmqpError | undefined;
    if (bodyBytes > messageBytesMax) {
      refusal = new AmqpError(
        ReplyCode.PreconditionFailed,
        `message size ${bodyBytes} is larger than configured max size ${messageBytesMax}`,
        { hint: 'store the body elsewhere, or raise limits.message-bytes' },
      );
    } else if (this.#peer.context.handles.assemblingBytes + bodyBytes > ASSEMBLIES_MAX * messageBytesMax) {
      refusal = new AmqpError(
        ReplyCode.ResourceError,
        `unfinished bodies above ${ASSEMBLIES_MAX * messageBytesMax} bytes on one connection`,
        { hint: 'finish one large message before the next' },
      );
    }
    const assembly = new Assembly(bytes.subarray(contentStart, payloadEnd), missingBytes, mandatory, refusal);
    this.#peer.context.handles.beginBody(handle, assembly);
    if (refusal !== undefined) this.#peer.session.refusePublish(handle.publisher, refusal, payloadEnd - payloadStart);
  }

  /** Bytes of body that this frame does not hold. What is malformed counts as complete: the session says what is wrong with it. */
  #missingBytes(bytes: Uint8Array, start: number, end: number): number {
    const keyAt = start + 1 + (bytes[start] as number);
    const header = keyAt + 1 + (bytes[keyAt] as number);
    const propertiesAt = header + CONTENT_HEADER_FIXED_BYTES;
    if (start >= end || keyAt >= end || propertiesAt > end) return 0;
    const flags = readU16(bytes, header + FLAGS_AT);
    // The body of nearly every message fits: told by its low half, and without reading properties.
    if (readU32(bytes, header + BODY_SIZE_AT) === 0) {
      const bodyBytes = readU32(bytes, header + BODY_SIZE_AT + 4);
      if (flags === 0) return bodyBytes - (end - propertiesAt);
      if (flags === DELIVERY_MODE_ALONE) return propertiesAt === end ? 0 : bodyBytes - (end - propertiesAt - 1);
    }
    const content = this.#content.read(bytes, start, end);
    return content.bodyBytes - (end - content.bodyStart);
  }

  #body(frame: FrameParser): void {
    const handle = this.#publisher(frame.handle);
    const { assembly } = handle;
    const { bytes, payloadStart, payloadEnd } = frame;
    const partBytes = payloadEnd - payloadStart;
    if (assembly === undefined)
      throw new AmqpError(ReplyCode.FrameError, `malformed frame: BODY on handle ${frame.handle}, where none is awaited`);
    if (partBytes > assembly.missingBytes) throw new AmqpError(ReplyCode.FrameError, 'malformed frame: more BODY than the header said');
    assembly.add(bytes.subarray(payloadStart, payloadEnd));
    if (assembly.refusal !== undefined) this.#dropped(handle, partBytes);
    if (assembly.missingBytes > 0) return;
    this.#peer.context.handles.endBody(handle);
    if (assembly.refusal !== undefined) return;
    this.#peer.session.publish(handle.publisher, assembly.bytes, 0, assembly.length, assembly.mandatory);
  }

  /** A part of a refused message: it costs credit, which comes back at the end of the turn, or the peer would wait for it for good. */
  #dropped(handle: PublisherHandle, bytes: number): void {
    handle.publisher.spend(bytes);
    this.#peer.context.broker.touchSession(this.#peer.session);
  }

  #settle(frame: FrameParser): void {
    if (frame.handle !== 0) throw new AmqpError(ReplyCode.ChannelError, `SETTLE belongs on handle 0, not ${frame.handle}`);
    const settles = this.#settles.open(frame.bytes, frame.payloadStart, frame.payloadEnd);
    const { session } = this.#peer;
    while (settles.next()) {
      try {
        if (settles.action === SettleAction.Ack) session.ack(settles.tag, settles.multiple);
        else if (settles.action === SettleAction.Nack) session.nack(settles.tag, settles.multiple, settles.requeue);
        else if (settles.action === SettleAction.Release) session.release(settles.tag, settles.multiple);
        else session.reject(settles.tag, settles.requeue);
      } catch (error) {
        if (!(error instanceof AmqpError)) throw error;
        if (++this.#settleErrorCount <= SETTLE_ERRORS_MAX) this.#peer.failed('settle', 0, error);
      }
    }
  }

  #credit(frame: FrameParser): void {
    const messages = readCredit(frame.bytes, frame.payloadStart, frame.payloadEnd);
    const handle = this.#peer.context.handles.get(frame.handle);
    if (handle?.kind === 'gone') return;
    if (handle?.kind !== 'consumer') throw wrongHandle(frame.handle, 'consumer', handle);
    this.#peer.session.grant(handle.consumer, messages);
  }
}
