// Small histories of publishes and gets that overlap, on one queue of the real broker over its log: each is what a queue could have answered.
// Always: (1) a seed decides everything; (2) no crash: a get without an ack may be undone by one, and a queue that is read once never knows;
// (3) the cache is so small that gets wait for the disk, and overlap.

import { expect, test } from 'vitest';
import { DurableLog } from '../../server/store/durable-log.ts';
import { Content, encodeContent } from '../../shared/content.ts';
import { Engine, type Peer } from '../support/engine.ts';
import { isLinearizable, type QueueOperation } from '../support/linearizability.ts';
import { SimDisk } from '../support/sim-disk.ts';
import { between, coin, type Random, seeded } from '../support/sim-random.ts';
import { SimEnv } from './sim-env.ts';

const RUNS = 600;
const OPERATIONS = 24;
const PEERS = 3;
const LIMIT_MS = 60_000;
const BODY_BYTES_MAX = 900;

class SmallHistory {
  readonly operations: QueueOperation[] = [];
  /** Gets that had to wait for the disk. */
  waited = 0;
  readonly #random: Random;
  readonly #env: SimEnv;
  readonly #mode: 'right' | 'gives back';
  #order = 0;

  constructor(seed: number, mode: 'right' | 'gives back') {
    this.#random = seeded(seed);
    this.#env = new SimEnv(seeded(seed ^ 0x7137));
    this.#mode = mode;
  }

  async run(): Promise<boolean> {
    const process = this.#env.process();
    const disk = new SimDisk({ random: seeded(between(this.#random, 1, 1e9)), schedule: (ms, task) => void this.#env.after(ms, task) });
    const sizes = { walFileBytes: 16_384, walFilesMax: 2, slabBytes: 1_024, cacheBytes: 1_024, batchBytesMax: 2_048, diskFreeBytesMin: 0 };
    const log = new DurableLog({
      disk,
      directory: 'data',
      clock: process,
      notices: { notice: () => undefined },
      processes: { self: '1 1', isAlive: () => false },
      sizes,
    });
    const engine = new Engine({ log, clock: process, turns: process });
    const peers = Array.from({ length: PEERS }, () => engine.connect());
    engine.declare(peers[0] as Peer, 'q');
    let isDone = false;
    const publishShare = 0.4 + 0.3 * this.#random();
    for (let n = 0, atMs = 0; n < OPERATIONS; n++, atMs += between(this.#random, 0, 4)) {
      const peer = peers[between(this.#random, 0, PEERS - 1)] as Peer;
      const isPublish = this.#random() < publishShare;
      this.#env.after(atMs, () => {
        if (isPublish) this.#publish(peer, `m${n}`);
        else this.#get(peer);
        if (n === OPERATIONS - 1) isDone = true;
      });
    }
    const isAnswered = (): boolean => isDone && this.operations.every(({ returnedAt }) => returnedAt !== undefined);
    const isOver = await this.#env.until(isAnswered, LIMIT_MS);
    process.end();
    return isOver;
  }

  #publish(peer: Peer, body: string): void {
    const operation: QueueOperation = { kind: 'publish', body, calledAt: this.#order++, returnedAt: undefined };
    this.operations.push(operation);
    const text = `${body} `.padEnd(between(this.#random, 1, BODY_BYTES_MAX), '.');
    const run = encodeContent('', 'q', { deliveryMode: coin(this.#random) ? 2 : 1 }, Buffer.from(text, 'latin1'));
    const seq = peer.publisher.nextSeq;
    peer.session.publish(peer.publisher, run, 0, run.length, false);
    const look = (): void => {
      const isConfirmed = peer.sink.confirmed.some(({ firstSeq, count }) => firstSeq <= seq && seq < firstSeq + count);
      if (isConfirmed) operation.returnedAt = this.#order++;
      else this.#env.after(1, look);
    };
    look();
  }

  #get(peer: Peer): void {
    const operation: Extract<QueueOperation, { kind: 'get' }> = {
      kind: 'get',
      got: undefined,
      calledAt: this.#order++,
      returnedAt: undefined,
    };
    this.operations.push(operation);
    let isCalling = true;
    peer.session.get('q', this.#mode === 'right', (got) => {
      if (!isCalling) this.waited++;
      operation.returnedAt = this.#order++;
      if (got === undefined) return;
      const content = new Content().read(got.bytes, got.start, got.end);
      const text = Buffer.from(got.bytes.buffer, got.bytes.byteOffset + content.bodyStart, got.end - content.bodyStart).toString('latin1');
      operation.got = text.split(' ')[0];
      if (this.#mode === 'gives back') this.#env.after(1, () => peer.session.nack(got.tag, false, true));
    });
    isCalling = false;
  }
}

test(`gets and publishes that overlap are answered as by one queue (${RUNS} seeds)`, async () => {
  let waited = 0;
  let taken = 0;
  for (let seed = 1; seed <= RUNS; seed++) {
    const history = new SmallHistory(seed, 'right');
    expect(await history.run(), `seed ${seed}: all is answered`).toBe(true);
    expect(isLinearizable(history.operations), `seed ${seed}: ${JSON.stringify(history.operations)}`).toBe(true);
    waited += history.waited;
    taken += history.operations.filter((operation) => operation.kind === 'get' && operation.got !== undefined).length;
  }
  // what is never reached is not proven
  expect(taken).toBeGreaterThan(RUNS * 3);
  expect(waited).toBeGreaterThan(RUNS / 10);
});

test('a queue that takes back what it gave is found', async () => {
  let found = 0;
  for (let seed = 1; seed <= 50; seed++) {
    const history = new SmallHistory(seed, 'gives back');
    await history.run();
    if (!isLinearizable(history.operations)) found++;
  }
  expect(found).toBeGreaterThan(25);
});
