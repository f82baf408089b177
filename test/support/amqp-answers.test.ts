// The checker of what a server may send on an AMQP connection: silent about what is in order, loud about each thing that is not.

import { describe, expect, test } from 'vitest';
import { decodeMethod, encodeMethod, type MethodFields } from '../../shared/amqp/methods.ts';
import type { MethodName } from '../../shared/amqp/spec.ts';
import { AmqpAnswers } from './amqp-answers.ts';
import { contentHeader, type ReceivedFrame } from './raw-amqp.ts';

function method<Name extends MethodName>(channel: number, name: Name, fields: MethodFields<Name>): ReceivedFrame {
  const payload = encodeMethod(name, fields);
  return { type: 1, channel, payload, method: decodeMethod(payload, 0, payload.length) };
}
const header = (channel: number, bodyBytes: number, classId = 60): ReceivedFrame => {
  const payload = contentHeader(channel, bodyBytes, classId).subarray(7, -1);
  return { type: 2, channel, payload, method: undefined };
};
const body = (channel: number, bytes: number): ReceivedFrame => ({ type: 3, channel, payload: new Uint8Array(bytes), method: undefined });
const deliver = (deliveryTag: number, channel = 1): ReceivedFrame =>
  method(channel, 'basic.deliver', { consumerTag: 'c', deliveryTag, redelivered: false, exchange: '', routingKey: 'q' });
const closeFields = (replyCode: number, replyText: string): MethodFields<'channel.close'> => ({
  replyCode,
  replyText,
  failedClassId: 0,
  failedMethodId: 0,
});
const ack = (deliveryTag: number, multiple = false): ReceivedFrame => method(1, 'basic.ack', { deliveryTag, multiple });
const open = method(1, 'channel.open-ok', {});
const channelClose = method(1, 'channel.close', closeFields(404, 'NOT_FOUND - no'));
const connectionClose = method(0, 'connection.close', closeFields(501, 'FRAME_ERROR - no'));
const qosOk = method(1, 'basic.qos-ok', {});

function complaints(...frames: ReceivedFrame[]): readonly string[] {
  const answers = new AmqpAnswers(4096);
  for (const frame of frames) answers.take(frame);
  return answers.end();
}

describe('nothing is said of', () => {
  const sound: [what: string, frames: ReceivedFrame[]][] = [
    ['a delivery with its content', [open, deliver(1), header(1, 5), body(1, 5), deliver(2), header(1, 0), qosOk]],
    ['a body in frames that are full', [open, deliver(1), header(1, 5000), body(1, 4088), body(1, 912)]],
    ['confirms, single and for many', [open, ack(1), ack(3, true), ack(5), ack(4)]],
    [
      'a channel that is closed and opened again',
      [open, channelClose, open, qosOk, method(1, 'channel.close-ok', {}), open, deliver(1), header(1, 0)],
    ],
    [
      'both sides closing at once',
      [open, channelClose, method(1, 'channel.close-ok', {}), connectionClose, method(0, 'connection.close-ok', {})],
    ],
  ];
  test.each(sound)('%s', (_what, frames) => expect(complaints(...frames)).toEqual([]));
});

describe('a complaint is made of', () => {
  const broken: [what: string, complaint: RegExp, frames: ReceivedFrame[]][] = [
    ['content cut off by a method', /^basic.qos-ok where the content of basic.deliver is due$/, [open, deliver(1), qosOk]],
    ['content that never comes', /^the content of basic.deliver is missing$/, [open, deliver(1), header(1, 5), body(1, 5), deliver(2)]],
    ['a body that is too short', /^a body frame of 3 bytes instead of 5$/, [open, deliver(1), header(1, 5), body(1, 3)]],
    ['a body frame that is not full', /^a body frame of 4000 bytes instead of 4088$/, [open, deliver(1), header(1, 5000), body(1, 4000)]],
    ['a frame above frameMax', /^a frame of 4097 bytes, above 4096$/, [open, deliver(1), header(1, 5000), body(1, 4089)]],
    ['an empty body frame', /^a body on channel 1 that is not due$/, [open, deliver(1), header(1, 0), body(1, 0)]],
    ['content on another channel', /^a content header on channel 2 that is not due$/, [open, deliver(1), header(2, 5)]],
    ['content of another class', /^a content header 0032/, [open, deliver(1), header(1, 0, 50)]],
    ['a delivery tag left out', /^delivery tag 3 instead of 2$/, [open, deliver(1), header(1, 0), deliver(3), header(1, 0)]],
    ['a delivery tag given twice', /^delivery tag 1 instead of 2$/, [open, deliver(1), header(1, 0), deliver(1), header(1, 0)]],
    ['a publish confirmed twice', /^publish 2 is confirmed twice$/, [open, ack(2), ack(2)]],
    ['one confirmed again below many', /^publish 2 is confirmed twice$/, [open, ack(3, true), ack(2)]],
    ['an answer on a closed channel', /^basic.qos-ok on channel 1, which is closed$/, [open, channelClose, qosOk]],
    ['an answer on a channel that never was', /^basic.qos-ok on channel 1, which was never open$/, [qosOk]],
    ['a channel opened twice', /^channel 1 opened twice$/, [open, open]],
    ['a second channel.close', /^channel.close on channel 1, which is closed$/, [open, channelClose, channelClose]],
    ['a hard code for a channel', /^a close with 501 /, [open, method(1, 'channel.close', closeFields(501, 'FRAME_ERROR - no'))]],
    ['a soft code for the connection', /^a close with 404 /, [method(0, 'connection.close', closeFields(404, 'NOT_FOUND - no'))]],
    ['a fault of the server', /^a close with 541 /, [method(0, 'connection.close', closeFields(541, 'INTERNAL_ERROR - no'))]],
    [
      'a text that is not the name of the code',
      /^a close with 501 that says 'FRAME ERROR'$/,
      [method(0, 'connection.close', closeFields(501, 'FRAME ERROR'))],
    ],
    ['more after connection.close', /^basic.qos-ok after connection.close$/, [open, connectionClose, qosOk]],
    ['more after close-ok', /^basic.qos-ok after the end of the connection$/, [open, method(0, 'connection.close-ok', {}), qosOk]],
    [
      'what only clients send',
      /^basic.qos from a server$/,
      [open, method(1, 'basic.qos', { prefetchSize: 0, prefetchCount: 1, global: false })],
    ],
    ['a channel method on channel 0', /^channel.open-ok on channel 0$/, [method(0, 'channel.open-ok', {})]],
    ['a frame of no type', /^a frame of type 9$/, [{ type: 9, channel: 0, payload: new Uint8Array(0), method: undefined }]],
  ];
  test.each(broken)('%s', (_what, complaint, frames) => {
    expect(complaints(...frames)).toContainEqual(expect.stringMatching(complaint));
  });
});
