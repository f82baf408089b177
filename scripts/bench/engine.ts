// Rows that run inside one process: `node --expose-gc engine.js ROW [NUMBER]...` prints one JSON array of numbers.
// Always: (1) the engine is put together as compose.ts does, on the memory log, with turns that the row ends itself and a sink that drops;
// (2) what is timed ran before, on another broker, so compiled code is measured; (3) times are wall time of the whole loop, end of turn included.

import { Broker } from '../../server/broker/broker.ts';
import { defaultLimits } from '../../server/broker/limits.ts';
import { type Account, trustedAccount } from '../../server/broker/login.ts';
import type { Publisher } from '../../server/broker/publisher.ts';
import type { Patterns } from '../../server/broker/rights.ts';
import type { Session } from '../../server/broker/session.ts';
import type { Users } from '../../server/broker/users.ts';
import { SystemClock, SystemRandom } from '../../server/clock.ts';
import type { Turns } from '../../server/ports.ts';
import { MemoryLog } from '../../server/store/memory-log.ts';
import type { FieldTable } from '../../shared/amqp/table.ts';
import { encodeContent } from '../../shared/content.ts';
import { NullSink } from './null-sink.ts';
import { usedBytes } from './process-figures.ts';

const PER_TURN = 100; // publishes in one turn: about a 16 KiB message of them
const NO_ARGUMENTS: FieldTable = new Map();

/** Ends the turn when the row says so. */
class OwnTurns implements Turns {
  #tasks: (() => void)[] = [];

  defer(task: () => void): void {
    this.#tasks.push(task);
  }
  end(): void {
    while (this.#tasks.length > 0) {
      const tasks = this.#tasks;
      this.#tasks = [];
      for (const task of tasks) task();
    }
  }
}

class Engine {
  readonly log = new MemoryLog();
  readonly sink = new NullSink();
  readonly #turns = new OwnTurns();
  readonly session: Session;
  readonly #publisher: Publisher;

  constructor(accountOf: (users: Users) => Account = () => trustedAccount('guest')) {
    const broker = new Broker({
      log: this.log,
      clock: new SystemClock(),
      random: new SystemRandom(),
      turns: this.#turns,
      notices: { notice: ({ text }) => process.stderr.write(`${text}\n`) },
      limits: defaultLimits,
    });
    this.session = broker.openSession(this.sink, { account: accountOf(broker.users), vhost: '/', name: 'bench' });
    this.#publisher = this.session.openPublisher(1, false);
  }

  queue(queue: string): void {
    this.session.declareQueue({ queue, durable: false, exclusive: false, autoDelete: false, passive: false, arguments: NO_ARGUMENTS });
  }

  exchange(exchange: string, type: string): void {
    const flags = { durable: false, autoDelete: false, internal: false, passive: false };
    this.session.declareExchange({ exchange, type, ...flags, arguments: NO_ARGUMENTS });
  }

  consume(queue: string): void {
    const settings = { handle: 2, consumerTag: '', noAck: true, exclusive: false, prefetch: 0, credit: undefined, priority: 0 };
    this.session.consume({ ...settings, queue, arguments: NO_ARGUMENTS });
    this.#turns.end();
  }

  /** Publishes each of `runs` in turn, `count` in all; answers microseconds a message. */
  publish(runs: readonly Uint8Array[], count: number): number {
    const { session } = this;
    const publisher = this.#publisher;
    const startedAt = performance.now();
    for (let sent = 0; sent < count; ) {
      for (let i = 0; i < PER_TURN; i++, sent++) {
        const run = runs[sent % runs.length];
        if (run !== undefined) session.publish(publisher, run, 0, run.length, false);
      }
      this.#turns.end();
    }
    return ((performance.now() - startedAt) * 1_000) / count;
  }
}

const content = (exchange: string, key: string, bodyBytes: number): Uint8Array =>
  encodeContent(exchange, key, {}, new Uint8Array(bodyBytes));

function publishRow(messages: number): number[] {
  const once = (count: number): number => {
    const engine = new Engine();
    engine.queue('q');
    engine.consume('q');
    const us = engine.publish([content('', 'q', 16)], count);
    if (engine.sink.delivered !== count) throw new Error(`${count} messages published, ${engine.sink.delivered} delivered`);
    return us;
  };
  once(messages / 2);
  return [once(messages)];
}

/**
 * The same 1,000 keys, in the same order, over one binding that matches them all and over 1,000 that match one each. No two publishes
 * in a row have the same key, so neither side lives on the route of the publish before.
 */
function topicRow(messages: number): number[] {
  const keys = Array.from({ length: 1_000 }, (_, i) => `region${i % 10}.device${(i * 7) % 1_000}.reading`);
  const runs = keys.map((key) => content('t', key, 16));
  const once = (count: number, bindings: readonly string[]): number => {
    const engine = new Engine();
    engine.exchange('t', 'topic');
    engine.queue('q');
    for (const key of bindings) engine.session.bindQueue('q', 't', key, NO_ARGUMENTS);
    engine.consume('q');
    const us = engine.publish(runs, count);
    if (engine.sink.delivered !== count) throw new Error(`${count} messages published, ${engine.sink.delivered} delivered`);
    return us;
  };
  const one = ['*.*.reading'];
  const thousand = keys.map((key) => key.replace(/^\w+/, '*'));
  if (new Set(thousand).size !== 1_000) throw new Error('the row promises 1,000 bindings');
  once(messages / 4, one);
  once(messages / 4, thousand);
  const pairs = [once(messages, one), once(messages, thousand), once(messages, one), once(messages, thousand)];
  const [firstOne = 0, firstThousand = 0, secondOne = 0, secondThousand = 0] = pairs;
  return [Math.min(firstOne, secondOne), Math.min(firstThousand, secondThousand)];
}

const USER = 'bench';
function userWith(users: Users, patterns: Patterns, keys?: string): Account {
  users.put(USER, { passwordHash: '', hashingAlgorithm: '', tags: [] });
  users.setPermissions(USER, '/', patterns);
  if (keys !== undefined) users.setTopicPermissions(USER, '/', 't', { write: keys, read: keys });
  const account = users.account(USER);
  if (account === undefined) throw new Error('the user is not there');
  return account;
}

/** Who publishes the same message again and again: the process itself, then users whose rights have to be looked at. */
const PUBLISHERS: readonly ((users: Users) => Account)[] = [
  () => trustedAccount(USER),
  (users) => userWith(users, { configure: '.*', write: '.*', read: '.*' }),
  (users) => userWith(users, { configure: '^(q|t)$', write: '^(q|t)$', read: '^(q|t)$' }),
  (users) => userWith(users, { configure: '^(q|t)$', write: '^(q|t)$', read: '^(q|t)$' }, '^{username}\\.[a-z]+\\.reading$'),
];

/** Microseconds a publish for each of PUBLISHERS. Short runs in turn, the best of each: what is compared ran within the same second. */
function rightsRow(messages: number): number[] {
  const turns = 25;
  const once = (accountOf: (users: Users) => Account, count: number): number => {
    const engine = new Engine(accountOf);
    engine.exchange('t', 'topic');
    engine.queue('q');
    engine.session.bindQueue('q', 't', 'bench.west.reading', NO_ARGUMENTS);
    engine.consume('q');
    const us = engine.publish([content('t', 'bench.west.reading', 16)], count);
    if (engine.sink.delivered !== count) throw new Error(`${count} messages published, ${engine.sink.delivered} delivered`);
    return us;
  };
  for (const publisher of PUBLISHERS) once(publisher, messages / 2);
  const best = PUBLISHERS.map(() => Number.POSITIVE_INFINITY);
  for (let turn = 0; turn < turns; turn++)
    for (const [at, publisher] of PUBLISHERS.entries()) best[at] = Math.min(best[at] ?? 0, once(publisher, messages / 10));
  return best;
}

/** How many times a body's bytes the log holds for one message in 100 queues. */
function fanOutRow(messages: number): number[] {
  const bodyBytes = 65_536;
  const engine = new Engine();
  engine.exchange('f', 'fanout');
  for (let i = 0; i < 100; i++) {
    engine.queue(`q${i}`);
    engine.session.bindQueue(`q${i}`, 'f', '', NO_ARGUMENTS);
  }
  const before = engine.log.memoryBytes;
  const run = content('f', '', bodyBytes);
  const rounded = Math.ceil(messages / PER_TURN) * PER_TURN;
  engine.publish([run], messages);
  for (let i = 0; i < 100; i++) {
    const { readyCount: ready } = engine.session.inspectQueue(`q${i}`);
    if (ready !== rounded) throw new Error(`queue q${i} holds ${ready} of ${rounded} messages`);
  }
  return [(engine.log.memoryBytes - before) / (rounded * bodyBytes)];
}

/** Bytes of memory for each queued message, and the length of the message itself (exchange, key, header and body). */
function memoryRow(messages: number): number[] {
  const engine = new Engine();
  engine.queue('q');
  const run = content('', 'q', 100);
  const before = usedBytes();
  engine.publish([run], messages);
  const held = usedBytes() - before;
  const { readyCount: ready } = engine.session.inspectQueue('q');
  if (ready < messages) throw new Error(`the queue holds ${ready} of ${messages} messages`);
  return [held / ready, run.length];
}

/** Milliseconds from createBroker() to a connection that declared a queue, and those that importing it took. */
async function embeddedRow(): Promise<number[]> {
  const importedAt = performance.now();
  const { createBroker } = await import('../../server/index.ts');
  const startedAt = performance.now();
  const broker = createBroker();
  const connection = await broker.connect();
  await connection.declareQueue('q');
  const readyMs = performance.now() - startedAt;
  await connection.close();
  await broker.close();
  return [readyMs, startedAt - importedAt];
}

const rows: Readonly<Record<string, (number: number) => number[] | Promise<number[]>>> = {
  publish: publishRow,
  topic: topicRow,
  rights: rightsRow,
  'fan-out': fanOutRow,
  memory: memoryRow,
  embedded: embeddedRow,
};

const [name = '', number = '0'] = process.argv.slice(2);
const row = rows[name];
if (row === undefined) throw new Error(`no row ${name}; there are ${Object.keys(rows).join(', ')}`);
process.stdout.write(JSON.stringify(await row(Number(number))));
