// The verbs of the command line against a broker in this process: what they do there, what they print, how they end.

import { type Connection, connect } from 'leveret-client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import * as bench from '../../../server/cli/bench.ts';
import * as bind from '../../../server/cli/bind.ts';
import * as consume from '../../../server/cli/consume.ts';
import * as declare from '../../../server/cli/declare.ts';
import { ExitCode } from '../../../server/cli/exit-codes.ts';
import * as get from '../../../server/cli/get.ts';
import * as publish from '../../../server/cli/publish.ts';
import * as tail from '../../../server/cli/tail.ts';
import { createBroker, type EmbeddedBroker } from '../../../server/index.ts';
import { type Ran, type Running, runVerb, type Surroundings, startVerb, type Verb } from '../../support/cli.ts';

let broker: EmbeddedBroker;
let mq: Connection;
let url = '';

beforeAll(async () => {
  broker = createBroker();
  url = (await broker.listen({ port: 0 })).url;
  mq = await connect(url, { reconnect: false });
});

afterAll(async () => {
  await mq.close();
  await broker.close();
});

let names = 0;
async function freshQueue(...bodies: string[]): Promise<string> {
  const { queue } = await mq.declareQueue(`q${++names}`);
  for (const body of bodies) await mq.queue(queue).publish(body);
  return queue;
}

const run = (verb: Verb, words: string[], surroundings?: Surroundings): Promise<Ran> =>
  runVerb(verb, [...words, '--url', url], surroundings);
const start = (verb: Verb, words: string[]): Running => startVerb(verb, [...words, '--url', url]);
const parsed = (ran: Ran): Record<string, unknown>[] => ran.lines.map((line) => JSON.parse(line));
const ready = async (queue: string): Promise<number> => (await mq.queue(queue).inspect()).ready;

test('publish sends the body once, with its headers and properties', async () => {
  const queue = await freshQueue();
  const words = [
    '',
    queue,
    'hello',
    '-H',
    'region=eu',
    '-H',
    'tries=3',
    '-p',
    'priority=4',
    '-p',
    'expiration=60000',
    '-p',
    'contentType=text/csv',
  ];
  const ran = await run(publish, words);
  expect(ran).toEqual({ code: ExitCode.Ok, lines: ['published 1 message'], errors: '' });
  const message = await mq.queue(queue).get({ noAck: true });
  expect(new TextDecoder().decode(message?.bytes)).toBe('hello');
  expect(message?.headers).toEqual({ region: 'eu', tries: 3 });
  expect(message?.properties).toMatchObject({ priority: 4, expiration: '60000', contentType: 'text/csv', deliveryMode: 2 });
});

test('what publish sends survives a restart, unless it is transient', async () => {
  const queue = await freshQueue();
  await run(publish, ['', queue, 'kept']);
  await run(publish, ['', queue, 'not kept', '--transient']);
  const modes = [await mq.queue(queue).get({ noAck: true }), await mq.queue(queue).get({ noAck: true })];
  expect(modes.map((message) => message?.properties.deliveryMode)).toEqual([2, 1]);
});

test('publish sends each line of its input, and nothing for the line end at the end', async () => {
  const queue = await freshQueue();
  const ran = await run(publish, ['', queue, '-', '--json'], { input: 'one\ntwo\r\n\nfour\n' });
  expect(parsed(ran)).toEqual([{ published: 4, routed: 4, unroutable: 0 }]);
  const taken = await run(get, [queue, '--count', '10', '--json']);
  expect(parsed(taken).map(({ body }) => body)).toEqual(['one', 'two', '', 'four']);
});

test('publish --count sends a body more often than fit its window', async () => {
  const queue = await freshQueue();
  expect((await run(publish, ['', queue, 'x', '--count', '2500'])).lines).toEqual(['published 2500 messages']);
  expect(await ready(queue)).toBe(2500);
});

test('publish tells when no queue is bound, and fails for it only with --mandatory', async () => {
  const told = await run(publish, ['amq.direct', 'nowhere', 'x']);
  expect(told).toMatchObject({ code: ExitCode.Ok, lines: ['published 1 message: no queue is bound for it'] });
  const refused = await run(publish, ['amq.direct', 'nowhere', 'x', '--mandatory']);
  expect(refused).toMatchObject({ code: ExitCode.Failure, lines: [] });
  expect(refused.errors).toContain('NO_ROUTE');
  expect(refused.errors).toContain('leave out --mandatory');
});

test('an address that is none is told how one looks', async () => {
  const ran = await runVerb(get, ['q', '--url', 'localhost']);
  expect(ran.code).toBe(ExitCode.Usage);
  expect(ran.errors).toContain('--url is like ws://127.0.0.1:15672/ws, not localhost');
});

test('publish to an exchange that is not there fails with the broker text in one line', async () => {
  const ran = await run(publish, ['missing', 'k', 'x']);
  expect(ran.code).toBe(ExitCode.Failure);
  expect(ran.errors).toMatch(/^NOT_FOUND - no exchange 'missing' in vhost '\/'\n/);
  expect(ran.errors).not.toContain('    at ');
});

test.each([
  { why: 'a property that is none', words: ['', 'q', 'x', '-p', 'colour=red'] },
  { why: 'a priority that is no number', words: ['', 'q', 'x', '-p', 'priority=high'] },
  { why: 'a header without a value', words: ['', 'q', 'x', '-H', 'region'] },
  { why: 'a count with lines', words: ['', 'q', '-', '--count', '2'] },
  { why: 'a missing key', words: [''] },
])('publish with $why is a usage error', async ({ words }) => {
  expect((await run(publish, words, { input: '' })).code).toBe(ExitCode.Usage);
});

test('get takes messages in order, and ends when the queue is empty', async () => {
  const queue = await freshQueue('a', 'b', 'c');
  expect(parsed(await run(get, [queue, '--json']))).toMatchObject([
    { exchange: '', key: queue, body: 'a', redelivered: false, attempt: 1 },
  ]);
  expect(parsed(await run(get, [queue, '--json', '-n', '5'])).map(({ body }) => body)).toEqual(['b', 'c']);
  const empty = await run(get, [queue]);
  expect(empty).toEqual({ code: ExitCode.Failure, lines: [], errors: `${queue} has no message ready\n` });
});

test('get --requeue shows messages and leaves them where they were', async () => {
  const queue = await freshQueue('a', 'b', 'c');
  expect(parsed(await run(get, [queue, '--json', '-n', '2', '--requeue'])).map(({ body }) => body)).toEqual(['a', 'b']);
  expect(parsed(await run(get, [queue, '--json', '-n', '3'])).map(({ body }) => body)).toEqual(['a', 'b', 'c']);
});

test('get prints a body that is no text as base64', async () => {
  const queue = await freshQueue();
  await mq.queue(queue).publish(Uint8Array.of(0xff, 0xfe));
  expect(parsed(await run(get, [queue, '--json']))).toMatchObject([{ bodyBase64: '//4=' }]);
});

test('consume stops after its count and leaves the rest', async () => {
  const queue = await freshQueue('a', 'b', 'c', 'd');
  const ran = await run(consume, [queue, '--count', '2', '--json']);
  expect(ran.code).toBe(ExitCode.Ok);
  expect(parsed(ran).map(({ body }) => body)).toEqual(['a', 'b']);
  expect(await ready(queue)).toBe(2);
});

test('consume waits for messages, and an interrupt ends it as a success', async () => {
  const queue = await freshQueue('first');
  const running = start(consume, [queue]);
  await running.shown('first');
  await mq.queue(queue).publish('second');
  await running.shown('second');
  running.interrupt();
  expect((await running.ended).code).toBe(ExitCode.Ok);
  expect(await ready(queue)).toBe(0);
});

test('consume interrupted before its count says so', async () => {
  const queue = await freshQueue('only');
  const running = start(consume, [queue, '--count', '2']);
  await running.shown('only');
  running.interrupt();
  expect((await running.ended).code).toBe(ExitCode.Interrupted);
});

test('consume --requeue takes nothing', async () => {
  const queue = await freshQueue('a', 'b', 'c');
  expect(parsed(await run(consume, [queue, '--count', '2', '--requeue', '--json'])).map(({ body }) => body)).toEqual(['a', 'b']);
  expect(parsed(await run(get, [queue, '--json', '-n', '3'])).map(({ body }) => body)).toEqual(['a', 'b', 'c']);
});

test('consume whose reader goes away ends as a success, and what was not read goes back', async () => {
  const queue = await freshQueue('a', 'b', 'c', 'd');
  const ran = await run(consume, [queue, '--json'], { readerStopsAfter: 2 });
  expect(ran).toMatchObject({ code: ExitCode.Ok, errors: '' });
  expect(ran.lines).toHaveLength(2);
  expect(await ready(queue)).toBe(2);
});

test.each([
  { why: '--requeue with --no-ack', words: ['q', '--requeue', '--no-ack'] },
  { why: '--count with --no-ack', words: ['q', '--count', '1', '--no-ack'] },
  { why: 'a prefetch of 0', words: ['q', '--prefetch', '0'] },
])('consume refuses $why as a usage error', async ({ words }) => {
  expect((await run(consume, words)).code).toBe(ExitCode.Usage);
});

test('consume from a queue that is not there fails', async () => {
  expect(await run(consume, ['missing'])).toMatchObject({ code: ExitCode.Failure, lines: [] });
});

test('tail shows what an exchange routes, and leaves nothing behind', async () => {
  await mq.declareExchange('events', { type: 'topic' });
  const running = start(tail, ['events', 'order.*', '--json', '--count', '2']);
  // A tap sees only what comes after it, and nothing tells from outside that it is open: so publish until it has seen two.
  let isOver = false;
  const publishing = (async () => {
    while (!isOver) {
      await mq.exchange('events').publish('user.created', 'no', { unroutable: 'ignore' });
      await mq.exchange('events').publish('order.created', 'yes', { unroutable: 'ignore' });
    }
  })();
  const ran = await running.ended;
  isOver = true;
  await publishing;
  expect(ran.code).toBe(ExitCode.Ok);
  expect(parsed(ran)).toMatchObject([
    { exchange: 'events', key: 'order.created', body: 'yes' },
    { exchange: 'events', key: 'order.created', body: 'yes' },
  ]);
});

test('declare and bind make what publish and consume then use', async () => {
  const words = [
    'queue',
    'billing',
    '--ttl',
    '60000',
    '--max-length',
    '10',
    '--overflow',
    'reject-publish',
    '--argument',
    'x-max-priority=5',
  ];
  expect((await run(declare, words)).lines).toEqual(['queue billing: 0 ready, 0 consumers']);
  expect((await run(declare, ['exchange', 'orders', '--type', 'topic', '--transient'])).lines).toEqual(['exchange orders: topic']);
  expect((await run(bind, ['billing', 'orders', 'order.*'])).lines).toEqual(['bound queue billing to orders with order.*']);
  expect((await run(publish, ['orders', 'order.created', 'x'])).lines).toEqual(['published 1 message']);
  const info = await mq.queue('billing').inspect();
  expect(info).toMatchObject({ ready: 1, durable: true });
  expect(info.arguments).toEqual({ 'x-message-ttl': 60_000, 'x-max-length': 10, 'x-overflow': 'reject-publish', 'x-max-priority': 5 });
});

test('bind takes the arguments of a headers exchange, and exchanges as destinations', async () => {
  const queue = await freshQueue();
  expect((await run(bind, [queue, 'amq.headers', '-a', 'x-match=any', '-a', 'region=eu'])).code).toBe(ExitCode.Ok);
  await run(declare, ['exchange', 'entry', '--type', 'fanout']);
  expect((await run(bind, ['amq.headers', 'entry', '--to-exchange'])).lines).toEqual(['bound exchange amq.headers to entry']);
  expect(parsed(await run(publish, ['entry', '', 'x', '-H', 'region=eu', '--json']))).toEqual([{ published: 1, routed: 1, unroutable: 0 }]);
});

test('declare without a name prints the one the broker picked', async () => {
  const [declared] = parsed(await run(declare, ['queue', '--json']));
  expect(declared).toMatchObject({ messageCount: 0, consumerCount: 0 });
  expect(String(declared?.['queue'])).toMatch(/^amq\.gen-/);
});

test('declare refuses another queue of the same name, and an argument given twice', async () => {
  const queue = await freshQueue();
  const refused = await run(declare, ['queue', queue, '--max-length', '5']);
  expect(refused.code).toBe(ExitCode.Failure);
  expect(refused.errors).toContain('PRECONDITION_FAILED');
  expect((await run(declare, ['queue', 'twice', '--ttl', '1', '-a', 'x-message-ttl=2'])).code).toBe(ExitCode.Usage);
});

test('bench counts what it confirmed and received, and leaves no queue', async () => {
  const ran = await run(bench, ['-z', '1', '-x', '2', '-y', '2', '-c', '10', '--json']);
  expect(ran).toMatchObject({ code: ExitCode.Ok, errors: '' });
  const [figures] = parsed(ran);
  expect(figures?.['published']).toBe(figures?.['received']);
  expect(figures?.['confirmLatencyUs']).toHaveProperty('p99.9');
  expect(figures?.['deliveryLatencyUs']).toHaveProperty('p50');
  for await (const { queues } of mq.stats({ queues: 'leveret.bench.*', every: '100ms' })) {
    expect(queues).toEqual([]);
    break;
  }
});

test('a broker that is not there is told in one line, with the address and no password', async () => {
  const ran = await runVerb(get, ['q', '--url', 'ws://ann:secret@127.0.0.1:1/ws']);
  expect(ran).toMatchObject({ code: ExitCode.Unreachable, lines: [] });
  expect(ran.errors).toContain('ws://127.0.0.1:1/ws');
  expect(ran.errors).not.toContain('secret');
});

test('a wrong password and a vhost that is not there have their own words', async () => {
  const login = await runVerb(get, ['q', '--url', url.replace('://', '://guest:wrong@')]);
  expect(login).toMatchObject({ code: ExitCode.LoginRefused });
  expect(login.errors).toContain('ACCESS_REFUSED');
  expect(await runVerb(get, ['q', '--url', url, '--vhost', 'nowhere'])).toMatchObject({ code: ExitCode.Failure });
});

test('a terminal gets two lines a message, others the same without colours', async () => {
  const queue = await freshQueue('a\nb', '\x1b[31mred');
  const ran = await run(get, [queue, '-n', '2'], { isTerminal: true });
  expect(ran.lines.join('\n')).toContain('  a\n  b');
  expect(ran.lines.join('\n')).toContain('\\x1b[31mred');
});

test('a result that cannot be written ends the verb with 74 and says so; only a reader that goes away is no error', async () => {
  const queue = await freshQueue('one', 'two');
  for (const [verb, words] of [
    [get, [queue, '--requeue']],
    [publish, ['', queue, 'three']],
    [consume, [queue, '--count', '1']],
    [declare, ['queue', queue]],
  ] as const) {
    const { code, errors } = await run(verb, [...words], { readerStopsAfter: 0, readerFault: 'ENOSPC' });
    expect({ code, errors }).toEqual({
      code: ExitCode.InputOutput,
      errors: expect.stringContaining('the output cannot be written: write ENOSPC'),
    });
  }
});

test('the password in LEVERET_URL is not printed by the help', async () => {
  const { lines } = await runVerb(get, ['--help'], { environment: { LEVERET_URL: 'ws://ops:secret@host/ws' } });
  expect(lines.join('\n')).toContain('--url');
  expect(lines.join('\n')).not.toContain('secret');
});
