// What comes in on one open channel, frame by frame: publishes with their content, settlements, and all other methods through their handlers. hot
// Always: (1) content follows its method at once on the channel, or the connection ends with 505; (2) a publish is carried out when its body is
// whole; (3) a frame that must wait is left alone, to be shown again.
// Refuses: a message above the largest, before its body is read (406), and unfinished bodies above eight of the largest on one connection (506).

import { type FrameReader, FrameType, unknownFrame } from '../../shared/amqp/frame.ts';
import { HotKey, PublishReader, SettleReader } from '../../shared/amqp/hot.ts';
import { decodeMethod } from '../../shared/amqp/methods.ts';
import { readU32 } from '../../shared/bytes.ts';
import { AmqpError, ReplyCode } from '../../shared/error.ts';
import { Assembly, noMethod } from './assembly.ts';
import type { Channel } from './channel.ts';
import { handle } from './handlers/handlers.ts';
import { PublishJoiner } from './publish-joiner.ts';

// What has come of unfinished bodies on one connection, in units of the largest message: clients interleave those of their channels.
const ASSEMBLIES_MAX = 8;
// Names and headers of the same, which nearly always are a few dozen bytes each.
const HEADERS_BYTES_MAX = 1024 * 1024;

const publish = new PublishReader();
const settle = new SettleReader();
const joiner = new PublishJoiner();

/** Carries out the frame that `reader` shows. False: it has to wait. */
export function take(channel: Channel, reader: FrameReader): boolean {
  switch (reader.type) {
    case FrameType.Method:
      return takeMethod(channel, reader);
    case FrameType.Header:
      takeHeader(channel, reader);
      return true;
    case FrameType.Body:
      takeBody(channel, reader);
      return true;
    default:
      throw unknownFrame(reader);
  }
}

function takeMethod(channel: Channel, reader: FrameReader): boolean {
  const { bytes, payloadStart, payloadEnd } = reader;
  if (channel.assembly !== undefined) throw channel.assembly.interrupted();
  const key = payloadEnd - payloadStart < 4 ? 0 : readU32(bytes, payloadStart);
  if (key === HotKey.Publish) {
    takePublish(channel, reader);
  } else if (key === HotKey.Ack) {
    settle.read(bytes, payloadStart, payloadEnd);
    channel.session.ack(settle.deliveryTag, settle.first);
  } else if (key === HotKey.Nack) {
    settle.read(bytes, payloadStart, payloadEnd);
    channel.session.nack(settle.deliveryTag, settle.first, settle.second);
  } else if (key === HotKey.Reject) {
    settle.read(bytes, payloadStart, payloadEnd);
    channel.session.reject(settle.deliveryTag, settle.first);
  } else return handle(channel, decodeMethod(bytes, payloadStart, payloadEnd));
  return true;
}

function takePublish(channel: Channel, reader: FrameReader): void {
  const { bytes, payloadStart, payloadEnd } = reader;
  publish.read(bytes, payloadStart, payloadEnd);
  const { namesStart, namesEnd, mandatory, immediate } = publish;
  if (!immediate && bytes === reader.chunk && joiner.join(reader, namesStart, namesEnd))
    channel.publish(bytes, joiner.start, joiner.end, mandatory);
  else {
    channel.assembly = new Assembly(bytes, namesStart, namesEnd, mandatory, immediate);
    countHeader(channel, channel.assembly.length);
  }
}

function takeHeader(channel: Channel, { bytes, payloadStart, payloadEnd }: FrameReader): void {
  const { assembly } = channel;
  if (assembly === undefined) throw noMethod();
  const bodyBytes = assembly.header(bytes, payloadStart, payloadEnd);
  countHeader(channel, payloadEnd - payloadStart);
  const { messageBytesMax } = channel.host;
  if (bodyBytes > messageBytesMax)
    throw new AmqpError(ReplyCode.PreconditionFailed, `message size ${bodyBytes} is larger than configured max size ${messageBytesMax}`);
  if (assembly.isWhole) finish(channel, assembly);
}

function takeBody(channel: Channel, { bytes, payloadStart, payloadEnd }: FrameReader): void {
  const { assembly } = channel;
  if (assembly === undefined) throw noMethod();
  assembly.body(bytes, payloadStart, payloadEnd);
  countBody(channel, payloadEnd - payloadStart);
  if (assembly.isWhole) finish(channel, assembly);
}

function countBody({ host }: Channel, bytes: number): void {
  host.assemblingBytes += bytes;
  const bytesMax = ASSEMBLIES_MAX * host.messageBytesMax;
  if (host.assemblingBytes > bytesMax)
    throw new AmqpError(ReplyCode.ResourceError, `unfinished bodies above ${bytesMax} bytes on one connection`);
}

/** Names and header of a message that is not whole: a peer may send thousands of these, and never a body. */
function countHeader({ host }: Channel, bytes: number): void {
  host.assemblingHeaderBytes += bytes;
  if (host.assemblingHeaderBytes > HEADERS_BYTES_MAX)
    throw new AmqpError(ReplyCode.ResourceError, `headers of unfinished messages above ${HEADERS_BYTES_MAX} bytes on one connection`);
}

function finish(channel: Channel, assembly: Assembly): void {
  channel.dropAssembly();
  if (assembly.immediate) throw new AmqpError(ReplyCode.NotImplemented, 'immediate=true');
  channel.publish(assembly.bytes, 0, assembly.length, assembly.mandatory);
}
