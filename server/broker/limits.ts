// What one broker may be asked for at most, as its parts take it. server/setting-limits.ts has the settings behind it.

import { TABLE_BYTES_MAX, TABLE_DEPTH_MAX } from '../../shared/amqp/table.ts';

/** Named limits; security.md gives the reasons. */
export interface BrokerLimits {
  /** The largest body. */
  readonly messageBytes: number;
  /** Publishers are held back above this many bytes of messages in memory, until four fifths of it. */
  readonly memoryBytes: number;
  /** How long a delivery may stay unacked where nothing else says so. */
  readonly consumerTimeoutMs: number;
  readonly publisherWindowBytes: number;
  readonly consumersPerSession: number;
  readonly connectionsPerUser: number;
  /** Infinity for any number; a vhost's own limit counts beside it. */
  readonly queuesPerVhost: number;
  readonly bindingsPerQueue: number;
  /** Of a topic exchange's binding key. */
  readonly topicWords: number;
  /** How often a quorum queue delivers again where its arguments say nothing. */
  readonly deliveryLimit: number;
  /** Of a message's header table. */
  readonly headerBytes: number;
  readonly tableDepth: number;
  readonly unackedBytesPerSession: number;
  /** What a transaction may hold: its publishes, and 128 bytes for each operation. */
  readonly transactionBytes: number;
}

export const defaultLimits: BrokerLimits = {
  messageBytes: 16 * 1024 * 1024, // RabbitMQ 4's default
  memoryBytes: 1024 * 1024 * 1024,
  consumerTimeoutMs: 30 * 60_000, // RabbitMQ's default
  publisherWindowBytes: 8 * 1024 * 1024,
  consumersPerSession: 1_000,
  connectionsPerUser: 1_000,
  queuesPerVhost: Number.POSITIVE_INFINITY,
  bindingsPerQueue: Number.POSITIVE_INFINITY,
  topicWords: 128,
  deliveryLimit: 20, // RabbitMQ 4.x
  headerBytes: TABLE_BYTES_MAX,
  tableDepth: TABLE_DEPTH_MAX,
  unackedBytesPerSession: 64 * 1024 * 1024,
  transactionBytes: 24 * 1024 * 1024, // one record of the log, which holds at most 32 MiB; one message of the largest size fits
};
