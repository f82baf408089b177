// Frames as they went between amqplib 2.3.1 and RabbitMQ 3.10.8, taken off the wire, with what they say; those marked "by hand" were written from
// amqp0-9-1.xml and RabbitMQ's extensions of it. None was made with Leveret's code.

import type { Properties } from '../../shared/amqp/properties.ts';
import { type FieldTable, Typed } from '../../shared/amqp/table.ts';
import type { AnyMethod } from './amqp-arbitraries.ts';

export type MethodVector = AnyMethod & { readonly channel: number; readonly hex: string };

export interface ContentVector {
  readonly hex: string;
  readonly bodyBytes: number;
  readonly properties: Properties;
}

const none: FieldTable = new Map();
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const capabilities = (...names: string[]): FieldTable => new Map(names.map((name) => [name, true]));

const start: MethodVector = {
  name: 'connection.start',
  channel: 0,
  hex: [
    '010000000001f7000a000a0009000001d20c6361706162696c697469657346000000c7127075626c69736865725f636f6e6669726d7374011a65786368616e67655f6578',
    '6368616e67655f62696e64696e677374010a62617369632e6e61636b740116636f6e73756d65725f63616e63656c5f6e6f74696679740112636f6e6e656374696f6e2e62',
    '6c6f636b6564740113636f6e73756d65725f7072696f72697469657374011c61757468656e7469636174696f6e5f6661696c7572655f636c6f73657401107065725f636f',
    '6e73756d65725f716f7374010f6469726563745f7265706c795f746f74010c636c75737465725f6e616d6553000000106c6576657265742d333434393740766d09636f70',
    '7972696768745300000037436f707972696768742028632920323030372d3230323220564d776172652c20496e632e206f722069747320616666696c69617465732e0b69',
    '6e666f726d6174696f6e53000000394c6963656e73656420756e64657220746865204d504c20322e302e20576562736974653a2068747470733a2f2f7261626269746d71',
    '2e636f6d08706c6174666f726d530000001145726c616e672f4f54502032352e322e330770726f6475637453000000085261626269744d510776657273696f6e53000000',
    '06332e31302e380000000e414d51504c41494e20504c41494e00000005656e5f5553ce',
  ].join(''),
  fields: {
    versionMajor: 0,
    versionMinor: 9,
    serverProperties: new Map<string, string | FieldTable>([
      [
        'capabilities',
        capabilities(
          'publisher_confirms',
          'exchange_exchange_bindings',
          'basic.nack',
          'consumer_cancel_notify',
          'connection.blocked',
          'consumer_priorities',
          'authentication_failure_close',
          'per_consumer_qos',
          'direct_reply_to',
        ),
      ],
      ['cluster_name', 'leveret-34497@vm'],
      ['copyright', 'Copyright (c) 2007-2022 VMware, Inc. or its affiliates.'],
      ['information', 'Licensed under the MPL 2.0. Website: https://rabbitmq.com'],
      ['platform', 'Erlang/OTP 25.2.3'],
      ['product', 'RabbitMQ'],
      ['version', '3.10.8'],
    ]),
    mechanisms: utf8('AMQPLAIN PLAIN'),
    locales: utf8('en_US'),
  },
};

const startOk: MethodVector = {
  name: 'connection.start-ok',
  channel: 0,
  hex: [
    '01000000000157000a000b000001330f636f6e6e656374696f6e5f6e616d655300000007636170747572650770726f647563745300000007616d71706c69620776657273',
    '696f6e5300000005322e332e3108706c6174666f726d53000000104e6f64652e4a53207632302e32302e320b696e666f726d6174696f6e530000002468747470733a2f2f',
    '616d71702d6e6f64652e6769746875622e696f2f616d71706c69622f0c6361706162696c6974696573460000008c127075626c69736865725f636f6e6669726d7374011a',
    '65786368616e67655f65786368616e67655f62696e64696e677374010a62617369632e6e61636b740116636f6e73756d65725f63616e63656c5f6e6f7469667974011263',
    '6f6e6e656374696f6e2e626c6f636b656474011c61757468656e7469636174696f6e5f6661696c7572655f636c6f7365740105504c41494e0000000c0067756573740067',
    '7565737405656e5f5553ce',
  ].join(''),
  fields: {
    clientProperties: new Map<string, string | FieldTable>([
      ['connection_name', 'capture'],
      ['product', 'amqplib'],
      ['version', '2.3.1'],
      ['platform', 'Node.JS v20.20.2'],
      ['information', 'https://amqp-node.github.io/amqplib/'],
      [
        'capabilities',
        capabilities(
          'publisher_confirms',
          'exchange_exchange_bindings',
          'basic.nack',
          'consumer_cancel_notify',
          'connection.blocked',
          'authentication_failure_close',
        ),
      ],
    ]),
    mechanism: 'PLAIN',
    response: utf8('\0guest\0guest'),
    locale: 'en_US',
  },
};

const tune = { channelMax: 2047, frameMax: 131_072, heartbeat: 60 };
const exchangeBinding = { destination: 'amq.fanout', source: 'logs', routingKey: 'k', nowait: false, arguments: none };
const queueBinding = { queue: 'jobs', exchange: 'logs', routingKey: 'a.*.#', arguments: new Map([['h', new Typed('b', 1)]]) };
const noBits = { passive: false, durable: false, exclusive: false, autoDelete: false, nowait: false };

export const methodVectors: readonly MethodVector[] = [
  start,
  startOk,
  { name: 'connection.tune', channel: 0, hex: '0100000000000c000a001e07ff00020000003cce', fields: tune },
  { name: 'connection.tune-ok', channel: 0, hex: '0100000000000c000a001f07ff00020000003cce', fields: tune },
  { name: 'connection.open', channel: 0, hex: '01000000000008000a0028012f0000ce', fields: { virtualHost: '/' } },
  { name: 'connection.open-ok', channel: 0, hex: '01000000000005000a002900ce', fields: {} },
  { name: 'channel.open', channel: 1, hex: '010001000000050014000a00ce', fields: {} },
  { name: 'channel.open-ok', channel: 1, hex: '010001000000080014000b00000000ce', fields: {} },
  { name: 'confirm.select', channel: 1, hex: '010001000000050055000a00ce', fields: { nowait: false } },
  { name: 'confirm.select-ok', channel: 1, hex: '010001000000040055000bce', fields: {} },
  {
    name: 'exchange.declare',
    channel: 1,
    hex: '010001000000160028000a0000046c6f677305746f7069630600000000ce',
    fields: {
      exchange: 'logs',
      type: 'topic',
      passive: false,
      durable: true,
      autoDelete: true,
      internal: false,
      nowait: false,
      arguments: none,
    },
  },
  { name: 'exchange.declare-ok', channel: 1, hex: '010001000000040028000bce', fields: {} },
  {
    name: 'queue.declare',
    channel: 1,
    hex: [
      '010001000000520032000a0000046a6f627300000000420d782d6d6573736167652d74746c490000ea600c782d6d61782d6c656e677468620a16782d646561642d6c6574',
      '7465722d65786368616e676553000000046c6f6773ce',
    ].join(''),
    fields: {
      queue: 'jobs',
      ...noBits,
      arguments: new Map<string, number | string | Typed>([
        ['x-message-ttl', 60_000],
        ['x-max-length', new Typed('b', 10)],
        ['x-dead-letter-exchange', 'logs'],
      ]),
    },
  },
  {
    name: 'queue.declare-ok',
    channel: 1,
    hex: '010001000000110032000b046a6f62730000000000000000ce',
    fields: { queue: 'jobs', messageCount: 0, consumerCount: 0 },
  },
  {
    name: 'queue.bind',
    channel: 1,
    hex: '0100010000001f003200140000046a6f6273046c6f677305612e2a2e23000000000401686201ce',
    fields: { ...queueBinding, nowait: false },
  },
  { name: 'queue.bind-ok', channel: 1, hex: '0100010000000400320015ce', fields: {} },
  {
    name: 'exchange.bind',
    channel: 1,
    hex: '0100010000001d0028001e00000a616d712e66616e6f7574046c6f6773016b0000000000ce',
    fields: exchangeBinding,
  },
  { name: 'exchange.bind-ok', channel: 1, hex: '010001000000040028001fce', fields: {} },
  {
    name: 'exchange.unbind',
    channel: 1,
    hex: '0100010000001d0028002800000a616d712e66616e6f7574046c6f6773016b0000000000ce',
    fields: exchangeBinding,
  },
  { name: 'exchange.unbind-ok', channel: 1, hex: '0100010000000400280033ce', fields: {} },
  {
    name: 'basic.qos',
    channel: 1,
    hex: '0100010000000b003c000a00000000000a00ce',
    fields: { prefetchSize: 0, prefetchCount: 10, global: false },
  },
  {
    name: 'basic.qos',
    channel: 1,
    hex: '0100010000000b003c000a00000000006401ce',
    fields: { prefetchSize: 0, prefetchCount: 100, global: true },
  },
  { name: 'basic.qos-ok', channel: 1, hex: '01000100000004003c000bce', fields: {} },
  {
    name: 'basic.publish',
    channel: 1,
    hex: '01000100000014003c00280000046c6f6773076e6f776865726501ce',
    fields: { exchange: 'logs', routingKey: 'nowhere', mandatory: true, immediate: false },
  },
  {
    name: 'basic.return',
    channel: 1,
    hex: '0100010000001c003c00320138084e4f5f524f555445046c6f6773076e6f7768657265ce',
    fields: { replyCode: 312, replyText: 'NO_ROUTE', exchange: 'logs', routingKey: 'nowhere' },
  },
  { name: 'basic.ack', channel: 1, hex: '0100010000000d003c0050000000000000000100ce', fields: { deliveryTag: 1, multiple: false } },
  { name: 'basic.get', channel: 1, hex: '0100010000000c003c00460000046a6f627300ce', fields: { queue: 'jobs', noAck: false } },
  {
    name: 'basic.get-ok',
    channel: 1,
    hex: '0100010000001c003c0047000000000000000201046c6f677305612e622e6300000000ce',
    fields: { deliveryTag: 2, redelivered: true, exchange: 'logs', routingKey: 'a.b.c', messageCount: 0 },
  },
  { name: 'basic.get-empty', channel: 1, hex: '01000100000005003c004800ce', fields: {} },
  {
    name: 'basic.nack',
    channel: 1,
    hex: '0100010000000d003c0078000000000000000102ce',
    fields: { deliveryTag: 1, multiple: false, requeue: true },
  },
  { name: 'basic.reject', channel: 1, hex: '0100010000000d003c005a000000000000000201ce', fields: { deliveryTag: 2, requeue: true } },
  {
    name: 'basic.consume',
    channel: 1,
    hex: '01000100000026003c00140000046a6f627308776f726b65722d31000000000d0a782d7072696f726974796205ce',
    fields: {
      queue: 'jobs',
      consumerTag: 'worker-1',
      noLocal: false,
      noAck: false,
      exclusive: false,
      nowait: false,
      arguments: new Map([['x-priority', new Typed('b', 5)]]),
    },
  },
  { name: 'basic.consume-ok', channel: 1, hex: '0100010000000d003c001508776f726b65722d31ce', fields: { consumerTag: 'worker-1' } },
  {
    name: 'basic.deliver',
    channel: 1,
    hex: '01000100000021003c003c08776f726b65722d31000000000000000301046c6f677305612e622e63ce',
    fields: { consumerTag: 'worker-1', deliveryTag: 3, redelivered: true, exchange: 'logs', routingKey: 'a.b.c' },
  },
  {
    name: 'basic.cancel',
    channel: 1,
    hex: '0100010000000e003c001e08776f726b65722d3100ce',
    fields: { consumerTag: 'worker-1', nowait: false },
  },
  { name: 'basic.cancel-ok', channel: 1, hex: '0100010000000d003c001f08776f726b65722d31ce', fields: { consumerTag: 'worker-1' } },
  { name: 'queue.purge', channel: 1, hex: '0100010000000c0032001e0000046a6f627300ce', fields: { queue: 'jobs', nowait: false } },
  { name: 'queue.purge-ok', channel: 1, hex: '010001000000080032001f00000000ce', fields: { messageCount: 0 } },
  {
    name: 'queue.unbind',
    channel: 1,
    hex: '0100010000001e003200320000046a6f6273046c6f677305612e2a2e230000000401686201ce',
    fields: queueBinding,
  },
  { name: 'queue.unbind-ok', channel: 1, hex: '0100010000000400320033ce', fields: {} },
  { name: 'basic.recover', channel: 1, hex: '01000100000005003c006e01ce', fields: { requeue: true } },
  { name: 'basic.recover-ok', channel: 1, hex: '01000100000004003c006fce', fields: {} },
  {
    name: 'queue.delete',
    channel: 1,
    hex: '0100010000000c003200280000046a6f627302ce',
    fields: { queue: 'jobs', ifUnused: false, ifEmpty: true, nowait: false },
  },
  { name: 'queue.delete-ok', channel: 1, hex: '010001000000080032002900000000ce', fields: { messageCount: 0 } },
  {
    name: 'exchange.delete',
    channel: 1,
    hex: '0100010000000c002800140000046c6f677300ce',
    fields: { exchange: 'logs', ifUnused: false, nowait: false },
  },
  { name: 'exchange.delete-ok', channel: 1, hex: '0100010000000400280015ce', fields: {} },
  {
    name: 'queue.declare',
    channel: 1,
    hex: '010001000000120032000a0000066e6f737563680300000000ce',
    fields: { queue: 'nosuch', ...noBits, passive: true, durable: true, arguments: none },
  },
  {
    name: 'channel.close',
    channel: 1,
    hex: '010001000000350014002801942a4e4f545f464f554e44202d206e6f20717565756520276e6f737563682720696e2076686f737420272f270032000ace',
    fields: { replyCode: 404, replyText: "NOT_FOUND - no queue 'nosuch' in vhost '/'", failedClassId: 50, failedMethodId: 10 },
  },
  { name: 'channel.close-ok', channel: 1, hex: '0100010000000400140029ce', fields: {} },
  {
    name: 'connection.close',
    channel: 0,
    hex: '01000000000019000a003200c80e4368656572732c207468616e6b7300000000ce',
    fields: { replyCode: 200, replyText: 'Cheers, thanks', failedClassId: 0, failedMethodId: 0 },
  },
  { name: 'connection.close-ok', channel: 0, hex: '01000000000004000a0033ce', fields: {} },
  // by hand
  { name: 'connection.blocked', channel: 0, hex: '0100000000000f000a003c0a6c6f77206d656d6f7279ce', fields: { reason: 'low memory' } },
  { name: 'connection.unblocked', channel: 0, hex: '01000000000004000a003dce', fields: {} },
  {
    name: 'connection.update-secret',
    channel: 0,
    hex: '0100000000000f000a00460000000373337403746f6bce',
    fields: { newSecret: utf8('s3t'), reason: 'tok' },
  },
  { name: 'channel.flow', channel: 1, hex: '010001000000050014001401ce', fields: { active: true } },
  {
    name: 'access.request',
    channel: 1,
    hex: '0100010000000b001e000a052f646174611cce',
    fields: { realm: '/data', exclusive: false, passive: false, active: true, write: true, read: true },
  },
  { name: 'access.request-ok', channel: 1, hex: '01000100000006001e000b0001ce', fields: { ticket: 1 } },
  { name: 'tx.select', channel: 1, hex: '01000100000004005a000ace', fields: {} },
  { name: 'tx.commit-ok', channel: 1, hex: '01000100000004005a0015ce', fields: {} },
];

export const contentVectors: readonly ContentVector[] = [
  { hex: '02000100000012003c00000000000000000004200000000000ce', bodyBytes: 4, properties: { headers: new Map() } },
  {
    hex: '0200010000002c003c00000000000000000005b4400a746578742f706c61696e0000000401786201020163000000006553f100ce',
    bodyBytes: 5,
    properties: {
      contentType: 'text/plain',
      headers: new Map([['x', new Typed('b', 1)]]),
      deliveryMode: 2,
      correlationId: 'c',
      timestamp: 1_700_000_000,
    },
  },
];
