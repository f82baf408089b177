// Hostile peers on the AMQP port: each gets its documented answer, sent whole, in thirds and byte by byte, and nobody else notices.
// The cases are in amqp-hostile-cases.ts; what takes time or much memory is in amqp-hostile-time.test.ts and amqp-hostile-load.test.ts.

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { play, standAt, Witness } from '../support/amqp-hostile.ts';
import { type BuiltBroker, startBuiltBroker } from '../support/built-broker.ts';
import { contentHeader, type Outcome, publishFrames, rawFrame } from '../support/raw-amqp.ts';
import { type Answer, hostileCases } from './amqp-hostile-cases.ts';

let broker: BuiltBroker;
let port = 0;
let witness: Witness;

beforeAll(async () => {
  broker = await startBuiltBroker({ LEVERET_LOG_LEVEL: 'error' });
  port = Number(new URL(broker.amqpUrl).port);
  witness = await Witness.start(port);
});
afterEach(async () => {
  await witness.goesRound();
  expect(broker.errors()).toBe('');
});
afterAll(async () => {
  console.log(`the slowest of the witness's rounds took ${Math.round(witness.slowestMs)} ms`);
  await witness.end();
  await broker.stop();
});

function answered(outcome: Outcome): Answer | string {
  return 'code' in outcome ? outcome.code : outcome.how;
}

test.each(hostileCases)('$stage: $what is answered with $answer, however it comes', async (hostile) => {
  const [whole] = await Promise.all([play(port, hostile, 'whole'), witness.goesRound()]);
  expect(answered(whole), JSON.stringify(whole)).toBe(hostile.answer);
  if (typeof hostile.answer === 'number') expect(whole.how).toBe(hostile.answer < 500 ? 'channel' : 'connection');
  for (const pieces of ['thirds', 'bytes'] as const) {
    const [outcome] = await Promise.all([play(port, hostile, pieces), witness.goesRound()]);
    expect(outcome, pieces).toEqual(whole);
  }
});

test.each(['9007199254740992', '18446744073709551615'])(
  'an ack of tag %s is refused by that number, which no double holds',
  async (tag) => {
    const peer = await standAt(port, 'channel');
    const ack = Buffer.from('003c0050000000000000000000', 'hex');
    ack.writeBigUInt64BE(BigInt(tag), 4);
    await peer.write(rawFrame(1, 1, ack));
    expect(await peer.outcome()).toEqual({
      how: 'channel',
      code: 406,
      text: `PRECONDITION_FAILED - unknown delivery tag ${tag}`,
      blamed: '60.80',
    });
    await peer.close();
  },
);

describe('after a soft error', () => {
  const nosuch = publishFrames(1, 'nosuch', 'x', Buffer.from('1'));

  test('what follows on the channel is dropped until close-ok, whatever it is, and the other channels go on', async () => {
    const peer = await standAt(port, 'channel');
    await peer.openChannel(2);
    await peer.write(
      Buffer.concat([
        nosuch,
        nosuch, // no second close
        publishFrames(1, '', 'q', Buffer.from('2')),
        contentHeader(1, 7), // of no publish
        rawFrame(3, 1, Buffer.alloc(9)),
        rawFrame(1, 1, Buffer.from('0014000a00', 'hex')), // channel.open
        rawFrame(1, 1, Buffer.from('003c005000000000000000ff00', 'hex')), // an ack of what never was
      ]),
    );
    await peer.send(2, 'basic.qos', { prefetchSize: 0, prefetchCount: 1, global: false });
    const close = await peer.method('channel.close', 1);
    expect(close.fields).toMatchObject({ replyCode: 404, failedClassId: 60, failedMethodId: 40 });
    await peer.method('basic.qos-ok', 2);
    await peer.send(1, 'channel.close-ok', {});
    await peer.openChannel(1);
    await peer.close();
  });

  test('a body that was cut off by it does not reach the channel that is opened next on the number', async () => {
    const peer = await standAt(port, 'channel');
    const method = rawFrame(1, 1, Buffer.from('003c002800000001710000', 'hex').subarray(0, 10));
    await peer.write(Buffer.concat([method, contentHeader(1, 2 ** 30)])); // too large: 406
    expect((await peer.method('channel.close', 1)).fields.replyCode).toBe(406);
    await peer.write(rawFrame(3, 1, Buffer.alloc(1000)));
    await peer.send(1, 'channel.close-ok', {});
    await peer.openChannel(1);
    expect((await peer.call(1, 'basic.qos', { prefetchSize: 0, prefetchCount: 1, global: false }, 'basic.qos-ok')).fields).toEqual({});
    await peer.close();
  });

  test('a client that closes the channel too gets its close-ok', async () => {
    const peer = await standAt(port, 'channel');
    const goodbye = { replyCode: 200, replyText: '', failedClassId: 0, failedMethodId: 0 };
    await peer.write(nosuch);
    await peer.send(1, 'channel.close', goodbye);
    expect((await peer.method('channel.close', 1)).fields.replyCode).toBe(404);
    await peer.method('channel.close-ok', 1);
    await peer.send(1, 'channel.close-ok', {});
    await peer.openChannel(1);
    await peer.close();
  });
});

describe('a hard error', () => {
  test('comes once, and what follows it is not carried out', async () => {
    const peer = await standAt(port, 'channel');
    const declared = { passive: false, durable: false, exclusive: false, autoDelete: false, nowait: true, arguments: new Map() };
    await peer.write(rawFrame(1, 1, Buffer.from('00630001', 'hex')));
    await peer.send(1, 'queue.declare', { queue: 'too-late', ...declared });
    await peer.write(rawFrame(9, 9, Buffer.alloc(3)));
    await peer.send(5, 'channel.open', {});
    expect(await peer.outcome()).toMatchObject({ how: 'connection', code: 503 });
    const after = await standAt(port, 'channel');
    await after.send(1, 'queue.declare', { queue: 'too-late', ...declared, passive: true, nowait: false });
    expect(await after.outcome()).toMatchObject({ how: 'channel', code: 404 });
    await after.close();
  });

  test('is told even when the frame that follows cannot be read', async () => {
    const peer = await standAt(port, 'channel');
    await peer.write(Buffer.concat([rawFrame(1, 1, Buffer.from('00630001', 'hex')), Buffer.alloc(500, 0xff)]));
    expect(await peer.outcome()).toMatchObject({ how: 'connection', code: 503 });
  });

  test('gives back what the connection held before it is told', async () => {
    const peer = await standAt(port, 'channel');
    const mine = { queue: 'mine', passive: false, durable: false, exclusive: true, autoDelete: false, nowait: false, arguments: new Map() };
    await peer.call(1, 'queue.declare', mine, 'queue.declare-ok');
    const other = await standAt(port, 'channel');
    await peer.write(rawFrame(1, 1, Buffer.from('00630001', 'hex')));
    await peer.method('connection.close');
    await other.call(1, 'queue.declare', mine, 'queue.declare-ok');
    await other.close();
    await peer.send(0, 'connection.close-ok', {});
    await peer.closed;
  });
});

test('a peer that only hears half its frames torn away harms nobody', async () => {
  for (const hostile of hostileCases) {
    const peer = await standAt(port, hostile.stage);
    await peer.write(hostile.octets.subarray(0, Math.ceil(hostile.octets.length / 2)));
    peer.tear();
    await peer.closed;
  }
  await witness.goesRound();
});
