// Rows over AMQP 0-9-1 against RabbitMQ on the same machine, in the same run: messages a second, and how old they get.
// Always: (1) the same generator, plan and queues for both; (2) RabbitMQ's classic queues, but for the one row about latency where messages are synced: there
// its quorum queues, which are made for that; (3) a run counts in full flow, and then every message must have come, or the row has no number.

import type { Plan } from '../../server/cli/amqp-bench/plan.ts';
import { withBrokers } from './amqp-brokers.ts';
import { compareFlow, type Flow } from './amqp-compare.ts';
import type { Figures } from './amqp-generator.ts';
import type { Topology } from './amqp-topology.ts';
import { display, type Effort, type Figure, median, type Row } from './row.ts';

const QUEUE = 'bench';
const toQueue: Partial<Plan> = { routingKeys: [QUEUE] };
const oneQueue: Topology = { queues: [QUEUE], isDurable: false };
const durableQueue: Topology = { queues: [QUEUE], isDurable: true };
const ACKED: Partial<Plan> = { prefetch: 1_000, ackEvery: 100 };
const WINDOW = 1_000;

const measured =
  (flow: Flow) =>
  (effort: Effort): Promise<Figure> =>
    withBrokers(effort, (brokers) => compareFlow(effort, brokers, flow));

const received = ({ receivedPerSecond }: Figures): number => receivedPerSecond;
const confirmed = ({ confirmedPerSecond }: Figures): number => confirmedPerSecond;

/** Publishes with confirms to a durable queue, and whether RabbitMQ syncs for that. */
async function durable(effort: Effort): Promise<Figure> {
  return withBrokers(effort, async (brokers) => {
    const before = brokers.rabbitMqSyncs();
    let messages = 0;
    const figure = await compareFlow(effort, brokers, {
      plan: { ...toQueue, ...ACKED, bodyBytes: 1_024, isPersistent: true, confirmWindow: WINDOW },
      topology: durableQueue,
      value: confirmed,
      unit: 'messages/s',
      note: (_, rabbitMq) => {
        messages = rabbitMq.reduce((sum, each) => sum + each.confirmed, 0);
        return `on ${brokers.place.fileSystem}`;
      },
    });
    const syncs = brokers.rabbitMqSyncs() - before;
    const told = syncs === 0 ? 'RabbitMQ did not sync' : `RabbitMQ synced once for ${display(messages / syncs)} messages`;
    return { ...figure, note: `${figure.note}; ${told}` };
  });
}

// Bindings are shared out among so many queues, all consumed: the row is about routing, not about queues.
const TOPIC_QUEUES = 10;
const TOPIC_KEYS_MAX = 1_000;

function topicFlow(bindingCount: number): Flow {
  const queues = Array.from({ length: TOPIC_QUEUES }, (_, i) => `topic-${i}`);
  const number = (i: number): string => String(i).padStart(5, '0');
  const bindings = Array.from({ length: bindingCount }, (_, i) => ({
    queue: `topic-${i % TOPIC_QUEUES}`,
    routingKey: `site.${number(i)}.*.temperature`,
  }));
  const keyCount = Math.min(TOPIC_KEYS_MAX, bindingCount);
  const step = bindingCount / keyCount;
  const routingKeys = Array.from({ length: keyCount }, (_, i) => `site.${number(i * step)}.hall.temperature`);
  return {
    plan: { bodyBytes: 16, exchange: 'bench-topic', routingKeys },
    topology: { queues, isDurable: false, exchange: { name: 'bench-topic', type: 'topic', bindings } },
    value: received,
    unit: 'messages/s',
  };
}

const topic =
  (bindings: number) =>
  (effort: Effort): Promise<Figure> =>
    measured(topicFlow(bindings * effort.amqp.bindingsShare))(effort);

const FAN_OUT_QUEUES = 100;
const FAN_OUT_CONSUMERS = 4;
// Without a bound RabbitMQ takes in many times what it hands out, and then needs minutes to hand out the rest.
const FAN_OUT_IN_FLIGHT = 100;

function fanOutFlow(): Flow {
  const queues = Array.from({ length: FAN_OUT_QUEUES }, (_, i) => `fan-${i}`);
  const bindings = queues.map((queue) => ({ queue, routingKey: '' }));
  const plan = {
    bodyBytes: 100,
    consumers: FAN_OUT_CONSUMERS,
    exchange: 'bench-fan',
    routingKeys: [''],
    copies: FAN_OUT_QUEUES,
    inFlight: FAN_OUT_IN_FLIGHT,
  };
  return {
    plan,
    topology: { queues, isDurable: false, exchange: { name: 'bench-fan', type: 'fanout', bindings } },
    value: received,
    unit: 'deliveries/s',
    ceiling: { ...plan, publishers: 0 },
  };
}

const LATENCY: Partial<Plan> = { ...toQueue, bodyBytes: 1_024, ratePerSecond: 2_000 };

const latencyOf =
  (name: 'confirmLatencyUs' | 'deliveryLatencyUs', percentile: 'p50' | 'p99') =>
  (figures: Figures): number => {
    const found = figures[name];
    if (found === undefined) throw new Error(`the run timed no ${name}`);
    return found[percentile];
  };

function latencyNote(name: 'confirmLatencyUs' | 'deliveryLatencyUs'): NonNullable<Flow['note']> {
  const middle = (all: readonly Figures[]): string => display(median(all.map(latencyOf(name, 'p50'))));
  return (leveret, rabbitMq) => `p50 ${middle(leveret)} us and ${middle(rabbitMq)} us`;
}

const row = (name: string, what: string, target: Row['target'], unit: string, measure: Row['measure']): Row => ({
  name: `amqp-${name}`,
  what,
  unit,
  target,
  peer: 'RabbitMQ',
  measure,
});
const TIMES = "times RabbitMQ's";
const OF = "of RabbitMQ's";
const atLeast = (value: number): Row['target'] => ({ at: 'least', value });
const atMost = (value: number): Row['target'] => ({ at: 'most', value });

const plain: Flow = { plan: { ...toQueue, bodyBytes: 16 }, topology: oneQueue, value: received, unit: 'messages/s' };
const acked: Flow = { plan: { ...toQueue, ...ACKED, bodyBytes: 1_024 }, topology: oneQueue, value: received, unit: 'messages/s' };
const transientLatency: Flow = {
  plan: LATENCY,
  topology: oneQueue,
  value: latencyOf('deliveryLatencyUs', 'p99'),
  unit: 'us',
  ceiling: 'latency',
  note: latencyNote('deliveryLatencyUs'),
};
const durableLatency: Flow = {
  plan: { ...LATENCY, ...ACKED, isPersistent: true, confirmWindow: WINDOW },
  topology: durableQueue,
  rabbitMqTopology: { ...durableQueue, queueType: 'quorum' },
  value: latencyOf('confirmLatencyUs', 'p99'),
  unit: 'us',
  ceiling: 'latency',
  note: latencyNote('confirmLatencyUs'),
};

export const amqpRows: readonly Row[] = [
  row('small', '16 bytes, transient, auto-ack', atLeast(8), TIMES, measured(plain)),
  row('acked', '1 KiB, transient, manual ack (100 at a time), prefetch 1,000', atLeast(5), TIMES, measured(acked)),
  row('durable', '1 KiB, persistent, confirmed, 1,000 in flight; consumed and acked meanwhile', atLeast(6), TIMES, durable),
  row('topic-1000', '16 bytes through a topic exchange with 1,000 bindings, 1,000 keys in turn', atLeast(10), TIMES, topic(1_000)),
  row('topic-10000', 'the same with 10,000 bindings', atLeast(10), TIMES, topic(10_000)),
  row(
    'fan-out',
    '100 bytes to 100 queues, auto-ack, 100 publishes under way: deliveries a second',
    atLeast(10),
    TIMES,
    measured(fanOutFlow()),
  ),
  row('latency', 'transient 1 KiB at 2,000/s: p99 from due to delivered', atMost(1), OF, measured(transientLatency)),
  row(
    'latency-durable',
    "persistent 1 KiB at 2,000/s: p99 from due to confirmed; against RabbitMQ's quorum queue",
    atMost(0.5),
    OF,
    measured(durableLatency),
  ),
];
