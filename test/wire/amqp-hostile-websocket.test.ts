// The hostile cases over a WebSocket, whose messages cut the stream anywhere: each gets the answer that it gets over TCP. And what only a WebSocket
// can do wrong.

import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { play, standAt, Witness } from '../support/amqp-hostile.ts';
import { type BuiltBroker, startBuiltBroker } from '../support/built-broker.ts';
import { RawAmqp } from '../support/raw-amqp.ts';
import { RawWebSocket } from '../support/raw-web-socket.ts';
import { WebSocketStream } from '../support/web-socket-stream.ts';
import { hostileCases } from './amqp-hostile-cases.ts';

let broker: BuiltBroker;
let port = 0;
let tcpPort = 0;
let witness: Witness;

beforeAll(async () => {
  broker = await startBuiltBroker({ LEVERET_LOG_LEVEL: 'error' });
  port = Number(new URL(broker.url).port);
  tcpPort = Number(new URL(broker.amqpUrl).port);
  witness = await Witness.start(tcpPort);
});
afterEach(async () => {
  await witness.goesRound();
  expect(broker.errors()).toBe('');
});
afterAll(async () => {
  await witness.end();
  await broker.stop();
});

const dial = async (): Promise<RawAmqp> => new RawAmqp(await WebSocketStream.dial(port, 'amqp'));

test.each(hostileCases)('$stage: $what is answered with $answer', async (hostile) => {
  const pieces = hostile.octets.length % 2 === 0 ? 'thirds' : 'bytes';
  const [outcome] = await Promise.all([play(dial, hostile, pieces), witness.goesRound()]);
  expect('code' in outcome ? outcome.code : outcome.how, JSON.stringify(outcome)).toBe(hostile.answer);
});

test('a text message closes the WebSocket with 1003, and what the connection held is back', async () => {
  const stream = await WebSocketStream.dial(port, '');
  const peer = await standAt(async () => new RawAmqp(stream), 'channel');
  const mine = { queue: 'mine', passive: false, durable: false, exclusive: true, autoDelete: false, nowait: false, arguments: new Map() };
  await peer.call(1, 'queue.declare', mine, 'queue.declare-ok');
  await stream.text('hello');
  expect(await stream.code).toBe(1003);
  const other = await standAt(tcpPort, 'channel');
  await other.call(1, 'queue.declare', mine, 'queue.declare-ok');
  await other.close();
});

test('who has not logged in may send 64 KiB and no more', async () => {
  const stream = await WebSocketStream.dial(port, 'amqp');
  stream.write(Buffer.alloc(70_000, 0x41));
  expect(await stream.code).toBe(1009);
});

test('a subprotocol that is not spoken here is refused before there is a WebSocket', async () => {
  const answer = await RawWebSocket.open(port, { 'Sec-WebSocket-Protocol': 'amqp10' });
  expect(answer).toMatchObject({ status: 400 });
});

test('the end of the WebSocket is the end of the connection, whatever was on its way', async () => {
  for (const hostile of hostileCases.slice(0, 40)) {
    const peer = await standAt(dial, hostile.stage);
    await peer.write(hostile.octets.subarray(0, Math.ceil(hostile.octets.length / 2)));
    peer.tear();
    await peer.closed;
  }
});
