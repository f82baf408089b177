// Hostile AMQP peers that want much: memory, channels, connections, answers they do not read. Against a broker in a process of its own, whose
// resident memory is measured; beside them a witness whose messages must go round meanwhile.

import { readFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { standAt, Witness } from '../support/amqp-hostile.ts';
import { type BuiltBroker, startBuiltBroker } from '../support/built-broker.ts';
import { contentHeader, PROTOCOL_HEADER, publishFrames, RawAmqp, rawFrame } from '../support/raw-amqp.ts';

const MIB = 1024 * 1024;
const GROWTH_BYTES_MAX = 32 * MIB;
const declared = { passive: false, durable: false, exclusive: true, autoDelete: false, nowait: false, arguments: new Map() };

let broker: BuiltBroker;
let port = 0;
let witness: Witness;

beforeAll(async () => {
  // A small heap: what is garbage goes soon, and what is not is seen.
  const environment = { LEVERET_LOG_LEVEL: 'error', NODE_OPTIONS: '--max-old-space-size=128 --max-semi-space-size=2' };
  broker = await startBuiltBroker(environment);
  port = Number(new URL(broker.amqpUrl).port);
  witness = await Witness.start(port);
  // what is loaded and compiled once is no growth
  const first = await standAt(port, 'channel');
  for (let i = 0; i < 2000; i++) await first.write(publishFrames(1, '', 'none', Buffer.alloc(1000)));
  await first.openChannel(2);
  await first.close();
});
beforeEach(async () => {
  await witness.goesRound();
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

function residentBytes(): number {
  // elsewhere nothing is measured, and all the rest is checked
  if (process.platform !== 'linux') return 0;
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${broker.pid}/status`, 'utf8'))?.[1]) * 1024;
}

/** Runs, with the witness going round all the while, and fails when the broker has grown by more than 32 MiB at any of its rounds. */
async function keepsItsSize(run: () => Promise<void>): Promise<void> {
  const before = residentBytes();
  let isOver = false;
  const running = run().finally(() => {
    isOver = true;
  });
  const watching = (async () => {
    let most = before;
    do {
      await witness.goesRound();
      most = Math.max(most, residentBytes());
    } while (!isOver);
    return most;
  })();
  const [, most] = await Promise.all([running, watching]);
  expect(most - before).toBeLessThan(GROWTH_BYTES_MAX);
}

/** Writes as fast as the broker takes it, and no faster. */
async function pour(peer: RawAmqp, octets: Buffer, times: number): Promise<void> {
  for (let i = 0; i < times; i++) {
    await peer.write(octets);
    await peer.flushed();
  }
}

test('a client that opens 2,047 channels may, the next closes its connection with 530, and all are given back', async () => {
  await keepsItsSize(async () => {
    const peer = await RawAmqp.open(port);
    for (let channel = 1; channel <= 2047; channel++) await peer.send(channel, 'channel.open', {});
    for (let channel = 1; channel <= 2047; channel++) await peer.method('channel.open-ok', channel);
    await peer.send(2048, 'channel.open', {});
    expect(await peer.outcome()).toMatchObject({ how: 'connection', code: 530, text: expect.stringContaining('(2047)') });
  });
});

test('a negotiated channel_max below that holds', async () => {
  const peer = await RawAmqp.open(port, { channelMax: 2 });
  await peer.openChannel(1);
  await peer.openChannel(2);
  await peer.send(3, 'channel.open', {});
  expect(await peer.outcome()).toMatchObject({ how: 'connection', code: 530 });
});

test('frames and bodies that are announced and never come cost next to nothing', async () => {
  await keepsItsSize(async () => {
    const peers = await Promise.all(Array.from({ length: 100 }, () => RawAmqp.open(port)));
    for (const peer of peers) {
      for (let channel = 1; channel <= 10; channel++) {
        await peer.openChannel(channel);
        const publish = publishFrames(channel, '', 'none', Buffer.alloc(0)).subarray(0, -22); // without its header
        await peer.write(Buffer.concat([publish, contentHeader(channel, 16 * MIB), rawFrame(3, channel, Buffer.alloc(500))]));
      }
      await peer.write(rawFrame(3, 1, Buffer.alloc(0), 131_064).subarray(0, 7));
      await peer.write(Buffer.alloc(100));
    }
    await witness.goesRound();
    for (const peer of peers) peer.tear();
    await Promise.all(peers.map((peer) => peer.closed));
  });
});

test('a publish whose header does not come holds its names, not all that came with it', async () => {
  const filler = Buffer.concat(Array.from({ length: 8000 }, () => rawFrame(8, 0, new Uint8Array(0))));
  await keepsItsSize(async () => {
    const peer = await RawAmqp.open(port);
    for (let channel = 1; channel <= 800; channel++) {
      await peer.openChannel(channel);
      await pour(peer, Buffer.concat([filler, publishFrames(channel, '', 'none', Buffer.alloc(0)).subarray(0, -22)]), 1);
    }
    peer.tear();
    await peer.closed;
  });
});

test('a publisher that floods does not fill memory: what goes nowhere goes, and a queue with a limit keeps to it', async () => {
  await keepsItsSize(async () => {
    const peer = await standAt(port, 'channel');
    const limited = { ...declared, arguments: new Map([['x-max-length', 10]]) };
    await peer.call(1, 'queue.declare', { queue: 'limited', ...limited }, 'queue.declare-ok');
    const nowhere = Buffer.concat(Array.from({ length: 60 }, () => publishFrames(1, '', 'none', Buffer.alloc(1000))));
    const somewhere = Buffer.concat(Array.from({ length: 60 }, () => publishFrames(1, '', 'limited', Buffer.alloc(1000))));
    await pour(peer, nowhere, 1000);
    await pour(peer, somewhere, 1000);
    expect((await peer.call(1, 'queue.declare', { queue: 'limited', ...limited }, 'queue.declare-ok')).fields.messageCount).toBe(10);
    await peer.close();
  });
});

test('a consumer that never reads gets what its send queue holds, and no more of the backlog', async () => {
  const publisher = await standAt(port, 'channel');
  await publisher.call(1, 'queue.declare', { queue: 'backlog', ...declared, exclusive: false }, 'queue.declare-ok');
  await publisher.call(1, 'confirm.select', { nowait: false }, 'confirm.select-ok');
  await pour(publisher, publishFrames(1, '', 'backlog', Buffer.alloc(100_000)), 600);
  for (let confirmed = 0; confirmed < 600; ) {
    const { fields } = await publisher.method('basic.ack', 1);
    confirmed = fields.deliveryTag;
  }
  await keepsItsSize(async () => {
    const peer = await standAt(port, 'channel');
    peer.freeze();
    const consumer = {
      queue: 'backlog',
      consumerTag: 't',
      noLocal: false,
      noAck: false,
      exclusive: false,
      nowait: true,
      arguments: new Map(),
    };
    await peer.send(1, 'basic.consume', consumer);
    const held = async (): Promise<number> =>
      (await publisher.call(1, 'queue.declare', { queue: 'backlog', ...declared, exclusive: false }, 'queue.declare-ok')).fields
        .messageCount;
    // what the socket's buffers hold beside the send queue is the system's
    let ready = await held();
    for (let steady = 0; steady < 20; steady++) {
      const now = await held();
      if (now !== ready) steady = 0;
      ready = now;
    }
    expect(ready).toBeLessThan(600);
    expect(ready).toBeGreaterThan(300);
    peer.tear();
    await peer.closed;
    while ((await held()) < 600); // the server hears of it in its own time
  });
  const deleted = await publisher.call(
    1,
    'queue.delete',
    { queue: 'backlog', ifUnused: false, ifEmpty: false, nowait: false },
    'queue.delete-ok',
  );
  expect(deleted.fields.messageCount).toBe(600);
  await publisher.close();
});

test('who asks for the same large message over and over, and never reads, is not read any further', async () => {
  const peer = await standAt(port, 'channel');
  const { fields } = await peer.call(1, 'queue.declare', { queue: '', ...declared }, 'queue.declare-ok');
  await peer.write(publishFrames(1, '', fields.queue, Buffer.alloc(100_000)));
  await keepsItsSize(async () => {
    peer.freeze();
    for (let tag = 1; tag <= 3000; tag++) {
      await peer.send(1, 'basic.get', { queue: '', noAck: false });
      await peer.send(1, 'basic.reject', { deliveryTag: tag, requeue: true });
    }
    for (let rounds = 0; rounds < 100; rounds++) await witness.goesRound();
    peer.tear();
    await peer.closed;
  });
});

test('two thousand half-open handshakes are gone in ten seconds, most at once, and others go on meanwhile', {
  timeout: 60_000,
}, async () => {
  const peers: RawAmqp[] = [];
  await keepsItsSize(async () => {
    for (let i = 0; i < 2000; i++) {
      const peer = await RawAmqp.dial(port);
      if (i % 2 === 0) await peer.write(PROTOCOL_HEADER.subarray(0, 1 + (i % 8)));
      peers.push(peer);
    }
    await Promise.all(peers.map((peer) => peer.closed));
  });
  const after = await RawAmqp.open(port);
  await after.close();
});
