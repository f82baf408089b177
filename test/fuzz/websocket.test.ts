// Hostile peers, one after the other, against a broker in a process of its own; beside them a witness that minds its own business.
// FUZZ_RUNS=50000 runs longer, FUZZ_SEED=n repeats a run; the seed is printed, and a failure prints the shrunk script.
// What must hold: (1) every peer gets an answer or a documented close code; (2) the witness's messages go round meanwhile, in order, none lost;
// (3) the error log stays empty and the broker ends cleanly; (4) its memory grows by no more than 32 MiB.

import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type BuiltBroker, startBuiltBroker } from '../support/built-broker.ts';
import { clientFrame, Opcode, RawWebSocket } from '../support/raw-web-socket.ts';
import { type Script, script } from './hostile-script.ts';

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 1500);
const SEED = Number(process.env['FUZZ_SEED'] ?? Math.floor(Math.random() * 0x7fff_ffff));
const GROWTH_BYTES_MAX = 32 * 1024 * 1024;
const CLEAN_EVERY = 100;
// Those of docs/protocol.md, and the WebSocket protocol's own: 1000 and 1005 answer a peer's close, 1002 and 1007 its octets, 1008 its fragments.
const CLOSE_CODES = [1000, 1002, 1005, 1007, 1008, 1009, 4501, 4502, 4503, 4504, 4506];

let broker: BuiltBroker;
let port = 0;
let witness: RawWebSocket;
let round = 0;

beforeAll(async () => {
  // A small heap: what is garbage goes soon, and what is not is seen.
  broker = await startBuiltBroker({ LEVERET_LOG_LEVEL: 'error', NODE_OPTIONS: '--max-old-space-size=128 --max-semi-space-size=2' });
  port = Number(new URL(broker.url).port);
  witness = await dial();
  await witness.text({ id: 1, op: 'hello', version: 1, user: 'guest', password: 'guest' });
  await witness.text({ id: 2, op: 'queue.declare', queue: 'witness', exclusive: true });
  await witness.text({ id: 3, op: 'consume', handle: 1, queue: 'witness', encoding: 'json', exclusive: true });
  for (let answers = 0; answers < 3; answers++) expect(await witness.json()).toHaveProperty('ok');
});
afterAll(async () => {
  await broker.stop();
});

async function dial(): Promise<RawWebSocket> {
  const socket = await RawWebSocket.open(port);
  if (!(socket instanceof RawWebSocket)) throw new Error(`HTTP ${socket.status}: ${socket.body}`);
  return socket;
}

/** The next answer of the witness; events in between must be the deliveries that are due. */
async function witnessAnswer(id: number): Promise<{ [field: string]: unknown }> {
  for (;;) {
    const message = await witness.json();
    if (message['id'] === id) return message;
    throw new Error(`the witness got ${JSON.stringify(message)}`);
  }
}

async function goesRound(): Promise<void> {
  const id = 10 + 2 * round++;
  await witness.text({ id, op: 'publish', key: 'witness', body: String(id) });
  const both = [await witness.json(), await witness.json()];
  expect(both).toContainEqual({ id, ok: { routed: 1 } });
  const delivery = both.find((message) => message['event'] === 'deliver');
  expect(delivery).toMatchObject({ event: 'deliver', body: String(id), redelivered: false });
  await witness.text({ id: id + 1, op: 'ack', tag: delivery?.['tag'] });
  expect(await witnessAnswer(id + 1)).toHaveProperty('ok');
}

/** What scripts leave behind is not a leak. */
async function clean(): Promise<void> {
  await witness.text({ id: 1, op: 'stats' });
  const { ok } = await witnessAnswer(1);
  const queues = (ok as { queues: { queue: string }[] }).queues.map(({ queue }) => queue).filter((queue) => queue !== 'witness');
  for (const queue of queues) {
    await witness.text({ id: 2, op: 'queue.delete', queue });
    await witnessAnswer(2); // a peer that is only just gone may still own it
  }
}

const opening = [
  { id: 1, op: 'hello', version: 1, user: 'guest', password: 'guest' },
  { id: 2, op: 'publisher.open', handle: 1 },
  { id: 3, op: 'publisher.open', handle: 2, confirm: false },
  { id: 4, op: 'queue.declare', queue: 'f0' },
  { id: 5, op: 'consume', handle: 3, queue: 'f0', encoding: 'json', credit: 1 },
  { id: 6, op: 'tap.open', handle: 4, exchange: 'amq.topic' },
].map((request) => clientFrame(Opcode.Text, Buffer.from(JSON.stringify(request))));
const ping = clientFrame(Opcode.Text, Buffer.from('{"id":999,"op":"ping"}'));

/** Answers how the peer was answered: 'pong', or the code of the close. */
async function play({ saysHello, steps, pieces, leaves }: Script): Promise<number | 'pong' | 'left'> {
  const socket = await dial();
  const octets = Buffer.concat([...(saysHello ? opening : []), ...steps.map((step) => step.octets), ping]);
  // what is long is not dribbled: a turn for each of 70,000 octets proves nothing more
  await socket.write(octets, pieces === 'bytes' && octets.length > 1500 ? 'thirds' : pieces);
  if (leaves === 'abruptly' || steps.some((step) => step.mayBeMute)) {
    // it may not be answered, but others are: the witness's round trip follows
    socket.end();
    await socket.closed;
    return 'left';
  }
  for (;;) {
    const message = await socket.next().catch(() => undefined);
    if (message === undefined) return socket.closed;
    if ('text' in message && JSON.parse(message.text).id === 999) break;
  }
  socket.end();
  await socket.closed;
  return 'pong';
}

function residentBytes(): number | undefined {
  if (process.platform !== 'linux') return undefined;
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${broker.pid}/status`, 'utf8'))?.[1]) * 1024;
}

test(`no peer harms another, and each gets an answer or a documented end (FUZZ_SEED=${SEED})`, {
  timeout: 60_000 * Math.max(2, RUNS / 1000),
}, async () => {
  let before: number | undefined;
  let cases = 0;
  const outcomes = new Map<number | string, number>();
  const property = fc.asyncProperty(script, async (peer) => {
    // both to their end, whatever becomes of one: the next case starts from here
    const [meanwhile, played] = await Promise.allSettled([goesRound(), play(peer)]);
    if (meanwhile.status === 'rejected') throw meanwhile.reason;
    if (played.status === 'rejected') throw played.reason;
    const outcome = played.value;
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    if (typeof outcome === 'number') expect(CLOSE_CODES).toContain(outcome);
    expect(broker.errors()).toBe('');
    if (++cases % CLEAN_EVERY === 0) await clean();
    if (cases === Math.floor(RUNS / 3)) before = residentBytes();
  });
  await fc.assert(property, { numRuns: RUNS, seed: SEED });
  await goesRound();
  const after = residentBytes();
  if (before !== undefined && after !== undefined) expect(after - before).toBeLessThan(GROWTH_BYTES_MAX);
  // a generator that never gets past the door proves nothing
  for (const outcome of ['pong', 4501, 4502, 4504])
    expect(outcomes.get(outcome) ?? 0, `runs that ended with ${outcome}`).toBeGreaterThan(0);
});
