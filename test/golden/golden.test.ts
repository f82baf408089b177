// Data directories as format 1 wrote them, kept for good: every later version opens them and finds what was in them.
// GOLDEN=write makes them anew, which only a new format may do, in a directory of its own: GOLDEN=write npx vitest run test/golden
// Always: expected.json was read from the directories when they were made, and then looked at by a person.

import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createBroker } from 'leveret';
import { expect, test } from 'vitest';
import { trustedAccount } from '../../server/broker/login.ts';
import { SystemClock } from '../../server/clock.ts';
import { type Definition, View } from '../../server/ports.ts';
import { checkDirectory } from '../../server/store/check.ts';
import { DurableLog } from '../../server/store/durable-log.ts';
import { NodeDisk } from '../../server/store/file.ts';
import { Content } from '../../shared/content.ts';
import { processes } from '../support/data-directory.ts';
import { Engine, EngineTime, type Peer } from '../support/engine.ts';
import { RecordingSink } from '../support/recording-sink.ts';
import { SimDisk } from '../support/sim-disk.ts';
import { seeded } from '../support/sim-random.ts';

const HOME = fileURLToPath(new URL('./format-1/', import.meta.url));
const KINDS = ['closed', 'killed'] as const;
const NINE_YEARS_MS = String(9 * 365 * 24 * 3_600_000);
const SIZES = { walFileBytes: 8192, walFilesMax: 2, slabBytes: 2048, cacheBytes: 65_536, diskFreeBytesMin: 0 };

interface Found {
  readonly isClean: boolean;
  readonly definitions: readonly Definition[];
  readonly messages: readonly object[];
}

/** What a log hands over, with every message's bytes. */
async function read(path: string): Promise<Found> {
  const definitions: Definition[] = [];
  const held: { queueNumber: number; seq: number; slab: number; offset: number; length: number; fields: object }[] = [];
  let isClean = false;
  const log = new DurableLog({
    disk: new NodeDisk(),
    directory: path,
    clock: new SystemClock(),
    notices: { notice: () => undefined },
    processes,
  });
  log.open(
    {
      definition: (definition) => void definitions.push(definition),
      message: (queueNumber, { seq, slab, offset, length, priority, flags, deliveryCount, deadline }) => {
        held.push({ queueNumber, seq, slab, offset, length, fields: { queueNumber, seq, priority, flags, deliveryCount, deadline } });
        return true;
      },
      recovered: (found) => {
        isClean = found.isClean;
      },
    },
    { durable: () => undefined, unknown: () => undefined, blocked: () => undefined, topology: () => definitions },
  );
  const messages: object[] = [];
  for (const { slab, offset, length, fields } of held) {
    const view = new View();
    await new Promise<void>((resolve) => {
      const readable = (): void => {
        if (log.read(slab, offset, length, view, { readable })) resolve();
      };
      readable();
    });
    messages.push({ ...fields, content: Buffer.from(view.bytes.subarray(view.start, view.start + length)).toString('base64') });
  }
  await log.close();
  return { isClean, definitions, messages };
}

const expected = (): Record<(typeof KINDS)[number], Found> => JSON.parse(readFileSync(join(HOME, 'expected.json'), 'utf8'));

function copyOf(kind: string): string {
  const copy = mkdtempSync(join(tmpdir(), 'leveret-golden-'));
  cpSync(join(HOME, kind), copy, { recursive: true });
  return copy;
}

if (process.env['GOLDEN'] === 'write') {
  test('the golden directories are written', { timeout: 60_000 }, async () => {
    const found: Record<string, Found> = {};
    for (const kind of KINDS) {
      await write(kind);
      const copy = copyOf(kind);
      found[kind] = await read(copy);
      rmSync(copy, { recursive: true });
    }
    writeFileSync(join(HOME, 'expected.json'), `${JSON.stringify(found, undefined, 1)}\n`);
  });
}

test.each(KINDS)('a directory of format 1 that was %s holds what it held', async (kind) => {
  const copy = copyOf(kind);
  expect(checkDirectory(new NodeDisk(), copy).damages).toEqual([]);
  const found = await read(copy);
  expect(found).toEqual(expected()[kind]);
  // what it was made to have
  expect(found.isClean).toBe(kind === 'closed');
  expect(new Set(found.definitions.filter((each) => each.kind === 'exchange').map((each) => each['type']))).toEqual(
    new Set(['direct', 'topic', 'fanout', 'headers']),
  );
  rmSync(copy, { recursive: true });
});

test.each(KINDS)('a broker of today serves a directory of format 1 that was %s, and closes it in order', async (kind) => {
  const copy = copyOf(kind);
  const broker = createBroker({ dataDir: copy });
  const mq = await broker.connect();
  const bodies: string[] = [];
  for (const queue of ['plain', 'levels', 'dead']) {
    await mq.queue(queue).publish('new', { priority: 0 });
    for (let message = await mq.queue(queue).get(); message !== undefined; message = await mq.queue(queue).get()) {
      bodies.push(`${queue}: ${Buffer.from(message.bytes).toString().slice(0, 20).trim()}`);
      message.ack();
    }
  }
  const held = expected()[kind].messages.length;
  expect(bodies).toHaveLength(held + 3);
  expect(bodies.filter((body) => body.endsWith(': "new"') || body.endsWith(': new'))).toHaveLength(3);
  await mq.close();
  await broker.close();
  expect((await read(copy)).messages).toEqual([]);
  rmSync(copy, { recursive: true });
});

// The writer.

async function write(kind: (typeof KINDS)[number]): Promise<void> {
  const time = new EngineTime();
  const disk = new SimDisk({ random: seeded(7), schedule: (delayMs, task) => void time.setTimer(time.now() + delayMs, task) });
  const log = new DurableLog({ disk, directory: '/data', clock: time, notices: { notice: () => undefined }, processes, sizes: SIZES });
  const engine = new Engine({ log, clock: time, turns: time });
  const rest = async (): Promise<void> => {
    for (let ms = 0; ms < 400; ms++) {
      time.advance(1);
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  const peer = engine.connect();
  declareAll(engine, peer);
  await rest();
  for (let n = 0; n < 60; n++) {
    engine.publish(peer, n % 2 === 0 ? '' : 'fan', n % 2 === 0 ? 'plain' : '', `message ${n} ${'x'.repeat(300)}`, { deliveryMode: 2 });
    engine.publish(peer, 'topics', `a.${n}`, `level ${n % 5}`, {
      deliveryMode: 2,
      priority: n % 5,
      expiration: n % 3 === 0 ? NINE_YEARS_MS : undefined,
    });
    if (n % 10 === 9) await rest();
  }
  await settleSome(engine, peer, rest);
  const session = engine.broker.openSession(new RecordingSink(), { account: trustedAccount('guest'), vhost: '/', name: 'transaction' });
  const other = { session, sink: new RecordingSink(), publisher: session.openPublisher(1, false) };
  session.txSelect();
  for (const queue of ['plain', 'levels']) engine.publish(other, '', queue, 'in a transaction', { deliveryMode: 2 });
  session.txCommit(() => undefined);
  await rest();
  if (kind === 'closed') {
    const closing = engine.broker.close();
    await rest();
    await closing;
  }
  const target = join(HOME, kind);
  rmSync(target, { recursive: true, force: true });
  for (const [path, bytes] of disk.contents()) {
    const [, , name = ''] = /^\/(data)\/(.*)$/.exec(path) ?? [];
    if (name === '' || /^(lock|reserve|spill)/.test(name) || name.endsWith('/next')) continue;
    mkdirSync(dirname(join(target, name)), { recursive: true });
    writeFileSync(join(target, name), bytes);
  }
}

function declareAll(engine: Engine, peer: Peer): void {
  const flags = { durable: true, autoDelete: false, internal: false, passive: false, arguments: new Map() };
  for (const [exchange, type] of [
    ['fan', 'fanout'],
    ['topics', 'topic'],
    ['directs', 'direct'],
    ['heads', 'headers'],
  ] as const)
    peer.session.declareExchange({ exchange, type, ...flags });
  engine.declare(peer, 'plain', [
    ['x-dead-letter-exchange', ''],
    ['x-dead-letter-routing-key', 'dead'],
  ]);
  engine.declare(peer, 'levels', [
    ['x-max-priority', 4],
    ['x-max-length', 1000],
  ]);
  engine.declare(peer, 'dead');
  engine.declare(peer, 'gone');
  peer.session.bindQueue('plain', 'fan', '', new Map());
  peer.session.bindQueue('levels', 'fan', '', new Map());
  peer.session.bindQueue('levels', 'topics', 'a.*', new Map());
  peer.session.bindQueue(
    'plain',
    'heads',
    '',
    new Map([
      ['x-match', 'any'],
      ['kind', 'order'],
    ]),
  );
  peer.session.deleteQueue('gone', false, false);
}

/** Acks, gives back with a count, rejects into the dead letters. */
async function settleSome(engine: Engine, peer: Peer, rest: () => Promise<void>): Promise<void> {
  const consumers = ['plain', 'levels'].map((queue, i) => engine.consume(peer, queue, { handle: 10 + i, prefetch: 20 }));
  await rest();
  for (const [i, { tag }] of [...peer.sink.delivered].entries()) {
    if (i % 4 === 0) peer.session.ack(tag, false);
    else if (i % 4 === 1) peer.session.nack(tag, false, true);
    else if (i % 4 === 2) peer.session.reject(tag, false);
  }
  for (const consumer of consumers) peer.session.cancel(consumer);
  await rest();
}

test('a content of the golden messages parses', () => {
  for (const { messages } of Object.values(expected()))
    for (const message of messages) {
      const run = Buffer.from(String(Reflect.get(message, 'content')), 'base64');
      expect(new Content().read(run, 0, run.length).isComplete).toBe(true);
    }
});
