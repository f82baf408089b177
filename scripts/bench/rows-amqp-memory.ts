// Rows over AMQP 0-9-1 against RabbitMQ that ask for memory: queues, idle connections, a backlog. And how fast those are made, or drained.
// Always: (1) memory is the resident memory of the process, as the system counts it, before and after, in brokers that have done nothing else (but in a
// smoke run, whose numbers mean nothing); (2) what two rows ask of one run is measured once.

import { parseAddress } from '../../server/cli/amqp-bench/address.ts';
import { CHANNEL, Link } from '../../server/cli/amqp-bench/link.ts';
import type { Plan } from '../../server/cli/amqp-bench/plan.ts';
import { encodePublish } from '../../server/cli/amqp-bench/publish-ring.ts';
import { type Side, withBrokers } from './amqp-brokers.ts';
import { bothText, type InTurn, isGeneratorBound, ratio } from './amqp-compare.ts';
import { generate, SINK } from './amqp-generator.ts';
import { declareQueues, deleteQueues, withLink, withTopology } from './amqp-topology.ts';
import { pause } from './load.ts';
import { display, type Effort, type Figure, median, type Row } from './row.ts';

const BODY_BYTES = 100;
// Of the backlog, what goes through before: what traffic costs a broker, waiting messages shall not be charged for.
const WARM_UP_SHARE = 0.5;
// Until what was freed is freed, and what is still being done is done.
const SETTLE_MS = 1_000;

async function settled(side: Side): Promise<number> {
  await pause(SETTLE_MS);
  return side.residentBytes();
}

/** What two rows share: measured by whichever comes first. */
function once<Result>(measure: (effort: Effort) => Promise<Result>): (effort: Effort) => Promise<Result> {
  let result: Promise<Result> | undefined;
  return (effort) => (result ??= measure(effort));
}

interface Made {
  /** Made, or consumed. */
  readonly perSecond: number;
  readonly bytesEach: number;
}

interface Pair {
  readonly rate: InTurn;
  readonly bytes: InTurn;
  readonly version: string;
}

/** Rounds, each with fresh brokers. */
async function pairs(effort: Effort, measure: (side: Side) => Promise<Made>): Promise<Pair> {
  const made = { leveret: [] as Made[], rabbitMq: [] as Made[] };
  let version = '';
  for (let round = 0; round < effort.amqp.rounds; round++) {
    await withBrokers(effort, async (brokers) => {
      version = brokers.version;
      made.rabbitMq.push(await measure(brokers.rabbitMq));
      made.leveret.push(await measure(brokers.leveret));
    });
  }
  const both = (pick: (each: Made) => number): InTurn => ({ leveret: made.leveret.map(pick), rabbitMq: made.rabbitMq.map(pick) });
  const bytes = both(({ bytesEach }) => bytesEach);
  if (!effort.amqp.isShared && [...bytes.leveret, ...bytes.rabbitMq].some((each) => each <= 0))
    throw new Error('memory went down while things were made');
  return { rate: both(({ perSecond }) => perSecond), bytes, version };
}

const queues = once((effort) =>
  pairs(effort, async (side) => {
    const names = Array.from({ length: effort.amqp.queues }, (_, i) => `queue-${i}`);
    const before = await settled(side);
    return withLink(side.url, async (link) => {
      const startedAt = performance.now();
      await declareQueues(link, names, true);
      const seconds = (performance.now() - startedAt) / 1_000;
      const after = await settled(side);
      await deleteQueues(link, names);
      return { perSecond: names.length / seconds, bytesEach: (after - before) / names.length };
    });
  }),
);

/** Connections that have each sent and got one message of 4 KiB, and then nothing more. */
async function connections(effort: Effort): Promise<Figure> {
  const count = effort.amqp.connections;
  const { bytes, version } = await pairs(effort, async (side) => {
    const address = parseAddress(side.url);
    const before = await settled(side);
    const startedAt = performance.now();
    const links: Link[] = [];
    try {
      while (links.length < count) {
        const link = await Link.open(address, `idle ${links.length}`);
        links.push(link);
        await useOnce(link, `idle-${links.length}`);
      }
      const seconds = (performance.now() - startedAt) / 1_000;
      return { perSecond: count / seconds, bytesEach: ((await settled(side)) - before) / count };
    } finally {
      await Promise.all(links.map((link) => link.close()));
    }
  });
  return { value: ratio(bytes), note: `${bothText(bytes, 'bytes', version)} for each of ${display(count)}` };
}

async function useOnce(link: Link, queue: string): Promise<void> {
  const flags = { passive: false, durable: false, exclusive: true, autoDelete: true, nowait: false };
  await link.request('queue.declare', { queue, ...flags, arguments: new Map() }, 'queue.declare-ok');
  const arrived = new Promise<void>((resolve) => {
    link.end = { content: () => resolve(), settled: () => undefined, chunkRead: () => undefined };
  });
  const consumer = { consumerTag: 'c', noLocal: false, noAck: true, exclusive: false, nowait: false, arguments: new Map() };
  await link.request('basic.consume', { queue, ...consumer }, 'basic.consume-ok');
  const content = { channel: CHANNEL, exchange: '', properties: {}, bodyBytes: 4_096, frameMax: link.frameMax };
  link.write(encodePublish(content, queue).bytes);
  await arrived;
  await link.request('basic.cancel', { consumerTag: 'c', nowait: false }, 'basic.cancel-ok');
}

interface Backlog extends Pair {
  readonly ceiling: number;
}

const backlog = once(async (effort): Promise<Backlog> => {
  const count = effort.amqp.backlog;
  const { seconds, warmUpSeconds } = effort.amqp;
  const plan: Partial<Plan> = { bodyBytes: BODY_BYTES, routingKeys: ['q'], queues: ['q'], confirmWindow: 1_000, seconds: 0 };
  const pair = await pairs(effort, (side) =>
    withTopology(side.url, { queues: ['q'], isDurable: false }, async () => {
      await generate(side.url, { ...plan, publishLimit: count * WARM_UP_SHARE });
      const before = await settled(side);
      await generate(side.url, { ...plan, consumers: 0, publishLimit: count });
      const after = await settled(side);
      const { receivedPerSecond } = await generate(side.url, { ...plan, publishers: 0, consumeLimit: count });
      return { perSecond: receivedPerSecond, bytesEach: (after - before) / count };
    }),
  );
  const { receivedPerSecond: ceiling } = await generate(SINK, { ...plan, publishers: 0, seconds, warmUpSeconds });
  return { ...pair, ceiling };
});

const peer = 'RabbitMQ';

export const amqpMemoryRows: readonly Row[] = [
  {
    name: 'amqp-declare',
    what: '10,000 durable queues declared, 100 requests on their way',
    unit: "times RabbitMQ's",
    target: { at: 'least', value: 5 },
    peer,
    measure: async (effort) => {
      const { rate, version } = await queues(effort);
      return { value: ratio(rate), note: bothText(rate, 'queues/s', version) };
    },
  },
  {
    name: 'amqp-queue-memory',
    what: 'memory of one of 10,000 durable queues',
    unit: "of RabbitMQ's",
    target: { at: 'most', value: 0.25 },
    peer,
    measure: async (effort) => {
      const { bytes, version } = await queues(effort);
      return { value: ratio(bytes), note: bothText(bytes, 'bytes', version) };
    },
  },
  {
    name: 'amqp-connections',
    what: 'memory of an idle connection with a channel, after a message each way',
    unit: "of RabbitMQ's",
    target: { at: 'most', value: 0.5 },
    peer,
    measure: connections,
  },
  {
    name: 'amqp-backlog',
    what: `memory of one of a million waiting messages of ${BODY_BYTES} bytes, its body included`,
    unit: 'bytes',
    target: { at: 'most', value: BODY_BYTES + 48 },
    peer,
    measure: async (effort) => {
      const { bytes, version } = await backlog(effort);
      return { value: median(bytes.leveret), note: bothText(bytes, 'bytes', version) };
    },
  },
  {
    name: 'amqp-drain',
    what: 'that backlog consumed, auto-ack',
    unit: "times RabbitMQ's",
    target: { at: 'least', value: 10 },
    peer,
    measure: async (effort) => {
      const { rate, version, ceiling } = await backlog(effort);
      const generatorBound = isGeneratorBound(ceiling, median(rate.leveret));
      return { value: ratio(rate), note: bothText(rate, 'messages/s', version), ceiling, generatorBound };
    },
  },
];
