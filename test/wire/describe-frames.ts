// A binary message as plain data and back, as vectors.json writes it: every reader and every writer of frames.ts passes through here.

import { decodeProperties, encodeContentHeader } from '../../shared/amqp/properties.ts';
import { Content } from '../../shared/content.ts';
import type { ErrorJson, PropertiesJson } from '../../shared/protocol/control.ts';
import {
  ConfirmReader,
  closeFrame,
  DeliverHead,
  FrameParser,
  FrameType,
  PublishHead,
  ReturnHead,
  readCredit,
  SettleAction,
  SettleReader,
  writeConfirm,
  writeCredit,
  writeDeliverHead,
  writeFrameHeader,
  writePublishHead,
  writeRefused,
  writeReturnHead,
  writeSettle,
} from '../../shared/protocol/frames.ts';
import { errorFromBytes, propertiesFromJson, propertiesToJson } from '../../shared/protocol/json.ts';
import { decodeUtf8, encodeUtf8, writeShortString } from '../../shared/text.ts';

interface ContentFields {
  exchange: string;
  key: string;
  bodyBytes: number;
  properties: PropertiesJson;
  body: string;
}
interface SettleFields {
  tag: number;
  action: 'ack' | 'nack' | 'reject' | 'release';
  requeue: boolean;
  multiple: boolean;
}
interface ConfirmFields {
  firstSeq: number;
  count: number;
  refused: boolean;
  routed: number;
  error?: ErrorJson;
}
export type FrameFields = { handle: number } & (
  | ({ type: 'PUBLISH'; mandatory: boolean } & ContentFields)
  | ({ type: 'DELIVER'; tag: number; redelivered: boolean; deliveryCount: number; queueNumber: number; seq: number } & ContentFields)
  | { type: 'SETTLE'; settles: SettleFields[] }
  | { type: 'CONFIRM'; confirms: ConfirmFields[] }
  | ({ type: 'RETURN'; seq: number; code: number; text: string } & ContentFields)
  | { type: 'CREDIT'; amount: number }
  | { type: 'BODY'; body: string }
);

const actions = ['ack', 'nack', 'reject', 'release'] as const;
const actionOf = { ack: SettleAction.Ack, nack: SettleAction.Nack, reject: SettleAction.Reject, release: SettleAction.Release };

/** Parses a whole binary message. One parser for all, as a connection has. */
const parser = new FrameParser();
export function readFrames(bytes: Uint8Array): FrameFields[] {
  const frames: FrameFields[] = [];
  parser.open(bytes);
  while (parser.next()) frames.push(readFrame());
  return frames;
}

function readFrame(): FrameFields {
  const { type, handle, bytes, payloadStart, payloadEnd } = parser;
  switch (type) {
    case FrameType.Publish: {
      const { mandatory, contentStart } = new PublishHead().read(bytes, payloadStart, payloadEnd);
      return { type: 'PUBLISH', handle, mandatory, ...readContent(bytes, contentStart, payloadEnd) };
    }
    case FrameType.Deliver: {
      const { contentStart, ...head } = new DeliverHead().read(bytes, payloadStart, payloadEnd);
      return { type: 'DELIVER', handle, ...head, ...readContent(bytes, contentStart, payloadEnd) };
    }
    case FrameType.Settle: {
      const settles: SettleFields[] = [];
      const reader = new SettleReader().open(bytes, payloadStart, payloadEnd);
      while (reader.next()) {
        const { tag, action, requeue, multiple } = reader;
        settles.push({ tag, action: actions[action], requeue, multiple });
      }
      return { type: 'SETTLE', handle, settles };
    }
    case FrameType.Confirm: {
      const confirms: ConfirmFields[] = [];
      const reader = new ConfirmReader().open(bytes, payloadStart, payloadEnd);
      while (reader.next()) {
        const { firstSeq, count, refused, routed, errorStart, errorEnd } = reader;
        confirms.push({ firstSeq, count, refused, routed, ...(refused ? { error: errorFromBytes(bytes, errorStart, errorEnd) } : {}) });
      }
      return { type: 'CONFIRM', handle, confirms };
    }
    case FrameType.Return: {
      const { contentStart, ...head } = new ReturnHead().read(bytes, payloadStart, payloadEnd);
      return { type: 'RETURN', handle, ...head, ...readContent(bytes, contentStart, payloadEnd) };
    }
    case FrameType.Credit:
      return { type: 'CREDIT', handle, amount: readCredit(bytes, payloadStart, payloadEnd) };
    case FrameType.Body:
      return { type: 'BODY', handle, body: decodeUtf8(bytes, payloadStart, payloadEnd) };
  }
}

function readContent(bytes: Uint8Array, start: number, end: number): ContentFields {
  const content = new Content().read(bytes, start, end);
  const { exchange, key, bodyBytes, propertiesStart, bodyStart, flags } = content;
  const properties = propertiesToJson(decodeProperties(bytes, propertiesStart, bodyStart, flags));
  return { exchange, key, bodyBytes, properties, body: decodeUtf8(bytes, bodyStart, end) };
}

/** Encodes a whole binary message. */
export function writeFrames(frames: readonly FrameFields[]): Uint8Array {
  const bytes = new Uint8Array(1 << 20);
  let at = 0;
  for (const frame of frames) {
    const start = at;
    const next = writeFrameHeader(bytes, at, FrameType[frameNames[frame.type]], frame.handle, 0);
    at = closeFrame(bytes, start, writePayload(bytes, next, frame));
  }
  return bytes.slice(0, at);
}

const frameNames = {
  PUBLISH: 'Publish',
  DELIVER: 'Deliver',
  SETTLE: 'Settle',
  CONFIRM: 'Confirm',
  RETURN: 'Return',
  CREDIT: 'Credit',
  BODY: 'Body',
} as const;

function writePayload(bytes: Uint8Array, at: number, frame: FrameFields): number {
  switch (frame.type) {
    case 'PUBLISH':
      return writeContent(bytes, writePublishHead(bytes, at, frame.mandatory), frame);
    case 'DELIVER': {
      const { tag, redelivered, deliveryCount, queueNumber, seq } = frame;
      return writeContent(bytes, writeDeliverHead(bytes, at, tag, redelivered, deliveryCount, queueNumber, seq), frame);
    }
    case 'SETTLE':
      return frame.settles.reduce(
        (next, { tag, action, requeue, multiple }) => writeSettle(bytes, next, tag, actionOf[action], requeue, multiple),
        at,
      );
    case 'CONFIRM':
      return frame.confirms.reduce((next, confirm) => writeConfirmOf(bytes, next, confirm), at);
    case 'RETURN':
      return writeContent(bytes, writeReturnHead(bytes, at, frame.seq, frame.code, frame.text), frame);
    case 'CREDIT':
      return writeCredit(bytes, at, frame.amount);
    case 'BODY': {
      const body = encodeUtf8(frame.body);
      bytes.set(body, at);
      return at + body.length;
    }
  }
}

function writeConfirmOf(bytes: Uint8Array, at: number, confirm: ConfirmFields): number {
  if (confirm.error === undefined) return writeConfirm(bytes, at, confirm.firstSeq, confirm.count, confirm.routed);
  const error = encodeUtf8(JSON.stringify(confirm.error));
  return writeRefused(bytes, at, confirm.firstSeq, error);
}

function writeContent(bytes: Uint8Array, at: number, fields: ContentFields): number {
  let next = writeShortString(bytes, at, fields.exchange);
  next = writeShortString(bytes, next, fields.key);
  const header = encodeContentHeader(propertiesFromJson(fields.properties), fields.bodyBytes);
  bytes.set(header, next);
  next += header.length;
  const body = encodeUtf8(fields.body);
  bytes.set(body, next);
  return next + body.length;
}
