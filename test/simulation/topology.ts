// What a simulated broker has: queues for each thing that a restart could spoil, and where messages go.
// Always: declared until the log has it for certain, then never again but for 'temp': what a restart loses is missed.

import type { Session } from '../../server/broker/session.ts';
import type { FieldValue } from '../../shared/amqp/table.ts';
import type { Knobs } from './knobs.ts';

/** Queue by queue: where its dead letters go. */
export const QUEUES: ReadonlyMap<string, string | undefined> = new Map([
  ['plain', 'dead'],
  ['levels', undefined],
  ['brief', 'dead'],
  ['single', undefined],
  ['temp', undefined],
  ['dead', undefined],
]);
export const LEVELS = 3;
const BOUND = ['plain', 'levels'];

export interface Target {
  readonly exchange: string;
  readonly key: string;
  readonly queues: readonly string[];
}
const direct = (queue: string): Target => ({ exchange: '', key: queue, queues: [queue] });
const fanout: Target = { exchange: 'amq.fanout', key: '', queues: BOUND };

export const TARGETS: readonly Target[] = [...['plain', 'levels', 'brief', 'single', 'temp'].map(direct), fanout];
/** All or nothing of a transaction must come out: nothing that may expire or be deleted. */
export const TRANSACTED: readonly Target[] = [...['plain', 'levels', 'single'].map(direct), fanout];

/** Those that are there already are left as they are. */
export function declareAll(session: Session, knobs: Knobs): void {
  for (const queue of QUEUES.keys()) declareQueue(session, queue, knobs);
  for (const queue of BOUND) session.bindQueue(queue, 'amq.fanout', '', new Map());
}

export function declareQueue(session: Session, queue: string, knobs: Knobs): void {
  session.declareQueue({
    queue,
    durable: true,
    exclusive: false,
    autoDelete: false,
    passive: false,
    arguments: new Map(argumentsOf(queue, knobs)),
  });
}

function argumentsOf(queue: string, { queueTtlMs }: Knobs): [string, FieldValue][] {
  const args: [string, FieldValue][] = [];
  if (queue === 'levels') args.push(['x-max-priority', LEVELS]);
  if (queue === 'brief') args.push(['x-message-ttl', queueTtlMs]);
  if (queue === 'single') args.push(['x-single-active-consumer', true]);
  if (QUEUES.get(queue) !== undefined) args.push(['x-dead-letter-exchange', ''], ['x-dead-letter-routing-key', QUEUES.get(queue) ?? '']);
  return args;
}
