// What a vhost asks of its broker. Refuses: anything of the world outside: ports.ts has that.

import type { FieldTable } from '../../shared/amqp/table.ts';
import type { Definition, Random } from '../ports.ts';
import type { Events } from './events.ts';
import type { Destination } from './exchange.ts';
import type { TopologyLimits } from './limit-checks.ts';
import type { Queue } from './queue.ts';
import type { QueueSettings } from './queue-arguments.ts';
import type { QueueType } from './queue-type.ts';
import type { Vhost } from './vhost.ts';

export interface QueueOptions {
  readonly durable: boolean;
  readonly autoDelete: boolean;
  readonly exclusiveOwner: object | undefined;
  readonly arguments: FieldTable;
  readonly settings: QueueSettings;
  /** Of a queue that is restored; undefined: one that was never used. */
  readonly number: number | undefined;
}

export interface QueueIdentity extends Omit<QueueOptions, 'number'> {
  readonly name: string;
  /** Never reused, not even by a queue of the same name. */
  readonly number: number;
  readonly isTap: boolean;
}

export interface VhostPorts {
  readonly random: Random;
  createQueue(vhost: Vhost, name: string, options: QueueOptions): Queue;
  define(definition: Definition): void;
  readonly limits: TopologyLimits;
  /** Throws 406 when one more beside `count` would be too many. */
  admitQueue(count: number): void;
  readonly events: Events;
  /** Of queues that are declared without x-queue-type; undefined: classic. */
  defaultQueueType(): QueueType | undefined;
  /** It is in its vhost's map, and policies may hold for it. */
  declared(vhost: Vhost, destination: Destination): void;
}
