// Rows about those who look at a broker, and those who come in: what metrics and the management API take with 10,000 queues, what that does to messages
// that flow meanwhile, and how many logins a second there are.
// Always: (1) runs without and with the looking alternate, on one broker, and the ratio is taken pair by pair; (2) latency is from when a message was due, so
// that what holds the broker up counts for every message that it held; (3) a login is a connection of its own: TCP, handshake, a channel, and its end.

import { parseAddress } from '../../server/cli/amqp-bench/address.ts';
import { Link } from '../../server/cli/amqp-bench/link.ts';
import type { Plan } from '../../server/cli/amqp-bench/plan.ts';
import { Passwords } from '../../server/identity/passwords.ts';
import { amqpUrl } from './amqp-brokers.ts';
import { type Figures, generate } from './amqp-generator.ts';
import { declareQueues, withLink } from './amqp-topology.ts';
import { pause } from './load.ts';
import { ManagementCalls } from './management-calls.ts';
import { startBroker } from './processes.ts';
import { display, type Effort, type Figure, median, type Row } from './row.ts';

const QUEUE = 'bench';
const METRICS = '/metrics';
const PER_OBJECT = '/metrics/per-object';
const PAGE = '/api/queues?page=1';
const PER_SECOND = 100_000;
// Each path: a dashboard asks every 5 s, Prometheus every 15 s. So this is some of both.
const ASK_EVERY_MS = 1_000;
const LOGINS_AT_ONCE = 20;
// Each costs some 60 ms of hashing, two at a time, and a handshake has ten seconds.
const UNCACHED_AT_ONCE = 8;
const UNCACHED_SHARE = 1e-4; // of a run's messages: 40, or 4

interface Looked {
  readonly without: readonly Figures[];
  readonly while: readonly Figures[];
  /** ms, by path. */
  readonly times: ReadonlyMap<string, number[]>;
  /** The first call of each path, when nothing is compiled yet. */
  readonly first: ReadonlyMap<string, number>;
}

async function withBroker<Result>(work: (url: string, calls: ManagementCalls) => Promise<Result>): Promise<Result> {
  const broker = await startBroker();
  const calls = new ManagementCalls(broker.url);
  try {
    return await work(amqpUrl(broker.written()), calls);
  } finally {
    calls.close();
    await broker.stop();
  }
}

let looking: Promise<Looked> | undefined;
/** Several rows share what one run tells. */
const looked = (effort: Effort): Promise<Looked> => (looking ??= look(effort));

function look(effort: Effort): Promise<Looked> {
  return withBroker(async (url, calls) => {
    const names = Array.from({ length: effort.amqp.queues }, (_, i) => `queue-${i}`);
    await withLink(url, (link) => declareQueues(link, [QUEUE, ...names], false));
    const { seconds, warmUpSeconds, rounds } = effort.amqp;
    const plan: Partial<Plan> = {
      routingKeys: [QUEUE],
      queues: [QUEUE],
      bodyBytes: 100,
      ratePerSecond: PER_SECOND,
      seconds,
      warmUpSeconds,
    };
    const first = new Map<string, number>();
    for (const path of [METRICS, PAGE, PER_OBJECT]) first.set(path, await calls.get(path));
    const times = new Map<string, number[]>([METRICS, PAGE].map((path) => [path, []]));
    const without: Figures[] = [];
    const during: Figures[] = [];
    for (let round = 0; round < rounds; round++) {
      without.push(await generate(url, plan));
      const polling = poll(calls, times);
      const [figures] = await Promise.all([generate(url, plan).finally(() => polling.stop()), polling.ended]);
      during.push(figures);
    }
    return { without, while: during, times, first };
  });
}

/** Asks for each path in its turn, until told to stop. */
function poll(calls: ManagementCalls, times: ReadonlyMap<string, number[]>): { stop(): void; readonly ended: Promise<void> } {
  let isStopped = false;
  const ask = async (): Promise<void> => {
    while (!isStopped) {
      for (const [path, all] of times) {
        all.push(await calls.get(path));
        await pause(ASK_EVERY_MS / times.size);
      }
    }
  };
  return { stop: () => (isStopped = true), ended: ask() };
}

const p99Us = ({ deliveryLatencyUs }: Figures): number => {
  if (deliveryLatencyUs === undefined) throw new Error('the run timed no delivery');
  return deliveryLatencyUs.p99;
};

async function latency(effort: Effort): Promise<Figure> {
  const { without, while: during, times, first } = await looked(effort);
  const middle = (path: string): string => display(median(times.get(path) ?? []));
  const rate = median(during.map(({ receivedPerSecond }) => receivedPerSecond));
  return {
    value: median(during.map((run, round) => p99Us(run) / p99Us(without[round] ?? run))),
    note: [
      `p99 ${display(median(without.map(p99Us)) / 1_000)} ms without, ${display(median(during.map(p99Us)) / 1_000)} with, at ${display(rate)}/s`,
      `${METRICS} ${middle(METRICS)} ms, ${PAGE} ${middle(PAGE)}`,
      `first calls, without messages: ${[...first].map(([path, ms]) => `${path} ${display(ms)}`).join(', ')} ms`,
    ].join('; '),
  };
}

const answerTime =
  (path: string) =>
  async (effort: Effort): Promise<Figure> => {
    const times = (await looked(effort)).times.get(path) ?? [];
    return { value: median(times), note: `slowest of ${times.length}: ${display(Math.max(...times))} ms` };
  };

/** Users who share a password: its hash is made once. */
async function addUsers(calls: ManagementCalls, count: number, password: string): Promise<string[]> {
  const { passwordHash, hashingAlgorithm } = await new Passwords().hash(password);
  const names = Array.from({ length: count }, (_, i) => `user-${i}`);
  for (const name of names) {
    await calls.put(`/api/users/${name}`, { password_hash: passwordHash, hashing_algorithm: hashingAlgorithm, tags: '' });
    await calls.put(`/api/permissions/%2F/${name}`, { configure: '', write: '', read: '' });
  }
  return names;
}

async function login(effort: Effort): Promise<Figure> {
  return withBroker(async (url, calls) => {
    const comeAndGo = async (user: string): Promise<void> => {
      const link = await Link.open({ ...parseAddress(url), user, password: user === 'guest' ? 'guest' : 'secret' }, 'bench');
      await link.close();
    };
    const known: number[] = [];
    await perSecond(LOGINS_AT_ONCE, during(effort.warmUpMs, 'guest'), comeAndGo);
    for (let round = 0; round < effort.rounds; round++)
      known.push(await perSecond(LOGINS_AT_ONCE, during(effort.runMs, 'guest'), comeAndGo));
    const users = await addUsers(calls, Math.max(1, Math.round(effort.messages * UNCACHED_SHARE)), 'secret');
    const unknown = await perSecond(UNCACHED_AT_ONCE, users.values(), comeAndGo);
    return {
      value: median(known),
      note: `${display(unknown)}/s of ${users.length} users whose password has to be hashed; ${LOGINS_AT_ONCE} at once, the client's work in the figure`,
    };
  });
}

function* during(ms: number, user: string): Generator<string> {
  for (const startedAt = performance.now(); performance.now() - startedAt < ms; ) yield user;
}

/** `count` at once, for as long as there are users. */
async function perSecond(count: number, users: Iterator<string>, work: (user: string) => Promise<void>): Promise<number> {
  const startedAt = performance.now();
  let done = 0;
  const worker = async (): Promise<void> => {
    for (let next = users.next(); next.done !== true; next = users.next(), done++) await work(next.value);
  };
  await Promise.all(Array.from({ length: count }, worker));
  return (done * 1_000) / (performance.now() - startedAt);
}

export const managementRows: readonly Row[] = [
  {
    name: 'management',
    what: '10,000 queues, 100,000 messages/s: p99 while /metrics and a page of queues are asked for every second, against without',
    unit: 'times',
    target: { at: 'most', value: 1.5 },
    measure: latency,
  },
  {
    name: 'management-metrics',
    what: '/metrics meanwhile',
    unit: 'ms',
    target: { at: 'most', value: 100 },
    measure: answerTime(METRICS),
  },
  {
    name: 'management-queues',
    what: '/api/queues?page=1 meanwhile',
    unit: 'ms',
    target: { at: 'most', value: 100 },
    measure: answerTime(PAGE),
  },
  {
    name: 'login',
    what: 'AMQP connections opened and closed, of credentials verified within the last minute',
    unit: 'a second',
    target: { at: 'least', value: 1_000 },
    measure: login,
  },
];
