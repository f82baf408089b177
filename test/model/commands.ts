// What the model suite does to a broker: commands as data, drawn by fast-check, so that a failure prints and shrinks as a list.
// Always: (1) a command names queues, sessions and deliveries by small numbers that are taken modulo what there is; (2) q4 alone rejects
// publishes, and nothing dead-letters into it; (3) bodies are numbered in the order of publishing.

import fc from 'fast-check';
import type { JsonObject } from '../../shared/protocol/control.ts';
import type { QueueSpec } from './reference-broker.ts';

export const QUEUES = ['q0', 'q1', 'q2', 'q3', 'q4'] as const;
export const REJECTING = 4;
export const SESSIONS = 2;

export type Command =
  | { readonly do: 'declare'; readonly queue: number; readonly spec: QueueSpec }
  | { readonly do: 'bind' | 'unbind'; readonly queue: number; readonly exchange: string; readonly key: string }
  | {
      readonly do: 'publish';
      readonly session: number;
      readonly exchange: string;
      readonly key: string;
      readonly priority: number;
      readonly expirationMs: number | undefined;
      readonly persistent: boolean;
      readonly mandatory: boolean;
      readonly padding: number;
    }
  | { readonly do: 'get'; readonly session: number; readonly queue: number; readonly noAck: boolean }
  | {
      readonly do: 'consume';
      readonly session: number;
      readonly queue: number;
      readonly noAck: boolean;
      readonly prefetch: number;
      readonly priority: number;
      readonly credit: number | undefined;
    }
  | { readonly do: 'cancel'; readonly pick: number }
  | { readonly do: 'grant'; readonly pick: number; readonly messages: number }
  | {
      readonly do: 'settle';
      readonly session: number;
      readonly pick: number;
      readonly how: 'ack' | 'nack' | 'reject' | 'release';
      readonly requeue: boolean;
      readonly multiple: boolean;
    }
  | { readonly do: 'settle all'; readonly session: number; readonly how: 'ack' | 'nack'; readonly requeue: boolean }
  | { readonly do: 'unknown tag'; readonly session: number; readonly multiple: boolean }
  | { readonly do: 'purge' | 'delete'; readonly queue: number }
  | { readonly do: 'advance'; readonly ms: number }
  | { readonly do: 'close'; readonly session: number };

const queue = fc.nat({ max: QUEUES.length - 1 });
const session = fc.nat({ max: SESSIONS - 1 });
const exchange = fc.constantFrom('amq.direct', 'amq.fanout', 'amq.topic');
const bindingKey = fc.constantFrom('a', 'b', 'a.b', 'a.*', '#', '*');
const routingKey = fc.constantFrom('a', 'b', 'a.b', 'b.c.d', '');
const sometimes = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(arbitrary, { nil: undefined, freq: 2 });

const rarely = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.oneof({ weight: 3, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary });

const spec: fc.Arbitrary<QueueSpec> = fc
  .record({
    maxLength: rarely(fc.constantFrom(0, 1, 2, 2, 3, 3, 5)),
    maxBytes: rarely(fc.integer({ min: 20, max: 60 })),
    maxPriority: rarely(fc.integer({ min: 1, max: 5 })),
    ttlMs: rarely(fc.constantFrom(1_000, 2_300, 5_700)),
    deadTo: sometimes(fc.constantFrom('original key', 'q0', 'q1', 'q2', 'q3', 'fanout')),
    deliveryLimit: rarely(fc.nat({ max: 3 })),
    single: rarely(fc.constant(true)),
    autoDelete: rarely(fc.constant(true)),
  })
  .map(({ deadTo, ...rest }) => ({ ...withoutUndefined(rest), ...deadTarget(deadTo) }));

function withoutUndefined<T extends object>(record: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}

function deadTarget(to: string | undefined): QueueSpec {
  if (to === undefined) return {};
  if (to === 'original key') return { deadExchange: '' };
  return to === 'fanout' ? { deadExchange: 'amq.fanout' } : { deadExchange: '', deadKey: to };
}

const declare = (which: fc.Arbitrary<number>): fc.Arbitrary<Command> =>
  fc.record({ do: fc.constant('declare' as const), queue: which, spec, empty: fc.boolean() }).map(({ empty, ...command }) => {
    if (command.queue !== REJECTING) return empty ? { ...command, spec: {} } : command;
    // a queue that rejects has a length, and its dead letters do not come back to it
    const elsewhere = command.spec.deadExchange === '' ? { deadKey: command.spec.deadKey ?? 'q0' } : {};
    return { ...command, spec: { ...command.spec, ...elsewhere, rejects: true, maxLength: 1 + (command.spec.maxLength ?? 1) } };
  });

const binding = fc
  .record({ do: fc.constantFrom('bind' as const, 'bind' as const, 'unbind' as const), queue, exchange, key: bindingKey })
  .map(
    (command): Command =>
      command.queue === REJECTING && command.exchange === 'amq.fanout' ? { ...command, exchange: 'amq.topic' } : command,
  );

const publish: fc.Arbitrary<Command> = fc
  .record({
    do: fc.constant('publish' as const),
    session,
    to: fc.oneof({ weight: 3, arbitrary: queue }, { weight: 1, arbitrary: exchange }),
    key: routingKey,
    priority: fc.nat({ max: 7 }),
    expirationMs: sometimes(fc.constantFrom(1_100, 3_200, 7_400)),
    persistent: fc.boolean(),
    mandatory: fc.boolean(),
    padding: fc.nat({ max: 20 }),
  })
  .map(({ to, key, ...rest }) =>
    typeof to === 'number' ? { ...rest, exchange: '', key: QUEUES[to] ?? '' } : { ...rest, exchange: to, key },
  );

const consume: fc.Arbitrary<Command> = fc.record({
  do: fc.constant('consume' as const),
  session,
  queue,
  noAck: fc.boolean(),
  prefetch: fc.integer({ min: 1, max: 4 }),
  priority: fc.constantFrom(0, 0, 0, 1, -1),
  credit: sometimes(fc.nat({ max: 3 })),
});

const settle: fc.Arbitrary<Command> = fc.record({
  do: fc.constant('settle' as const),
  session,
  pick: fc.nat({ max: 9 }),
  how: fc.constantFrom('ack' as const, 'ack' as const, 'nack' as const, 'reject' as const, 'release' as const),
  requeue: fc.boolean(),
  multiple: fc.boolean(),
});

const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 2, arbitrary: declare(queue) },
  { weight: 3, arbitrary: binding },
  { weight: 14, arbitrary: publish },
  { weight: 8, arbitrary: fc.record({ do: fc.constant('get' as const), session, queue, noAck: fc.boolean() }) },
  { weight: 5, arbitrary: consume },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('cancel' as const), pick: fc.nat({ max: 9 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('grant' as const), pick: fc.nat({ max: 9 }), messages: fc.integer({ min: 1, max: 3 }) }),
  },
  { weight: 12, arbitrary: settle },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('settle all' as const),
      session,
      how: fc.constantFrom('ack' as const, 'nack' as const),
      requeue: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('unknown tag' as const), session, multiple: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('purge' as const, 'delete' as const), queue }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('advance' as const), ms: fc.constantFrom(1, 500, 1_000, 3_000) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('close' as const), session }) },
);

/** A run begins with most queues declared and some bound. */
export const commands: fc.Arbitrary<Command[]> = fc
  .tuple(
    fc.tuple(...QUEUES.map((_, i) => fc.option(declare(fc.constant(i)), { nil: undefined, freq: 8 }))),
    fc.array(binding, { maxLength: 8 }),
    fc.array(command, { minLength: 1, maxLength: 200, size: 'max' }),
  )
  .map(([declared, bound, rest]) => [...declared.filter((one) => one !== undefined), ...bound, ...rest]);

/** The x-arguments that say what a spec says. */
export function argumentsOf(wanted: QueueSpec): JsonObject {
  const args: JsonObject = {};
  if (wanted.maxLength !== undefined) args['x-max-length'] = wanted.maxLength;
  if (wanted.maxBytes !== undefined) args['x-max-length-bytes'] = wanted.maxBytes;
  if (wanted.rejects === true) args['x-overflow'] = 'reject-publish';
  if (wanted.maxPriority !== undefined) args['x-max-priority'] = wanted.maxPriority;
  if (wanted.ttlMs !== undefined) args['x-message-ttl'] = wanted.ttlMs;
  if (wanted.deadExchange !== undefined) args['x-dead-letter-exchange'] = wanted.deadExchange;
  if (wanted.deadKey !== undefined) args['x-dead-letter-routing-key'] = wanted.deadKey;
  if (wanted.deliveryLimit !== undefined) args['x-delivery-limit'] = wanted.deliveryLimit;
  if (wanted.single === true) args['x-single-active-consumer'] = true;
  return args;
}
