// The two brokers that the AMQP rows compare, side by side on one machine: Leveret as its users start it, and Debian's rabbitmq-server.
// Always: (1) both keep their data on the same disk, for as long as the row takes; (2) one is idle while the other is measured; (3) a full row has brokers
// of its own, for memory that another row left behind would count; in a smoke run the rows share a pair, which `endShared` ends.

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { parseAddress } from '../../server/cli/amqp-bench/address.ts';
import { Link } from '../../server/cli/amqp-bench/link.ts';
import { RabbitMq } from '../rabbitmq.ts';
import { type DataPlace, withDataPlace } from './data-place.ts';
import { residentBytes } from './process-figures.ts';
import { startBroker } from './processes.ts';
import type { Effort } from './row.ts';

export interface Side {
  readonly name: 'Leveret' | 'RabbitMQ';
  readonly url: string;
  /** Resident memory of its process. */
  residentBytes(): number;
}

export interface Brokers {
  readonly leveret: Side;
  readonly rabbitMq: Side;
  readonly place: DataPlace;
  /** Such as 3.10.8. */
  readonly version: string;
  /** Syncs of classic queues, by RabbitMQ's own count. */
  rabbitMqSyncs(): number;
}

interface Shared {
  readonly brokers: Promise<Brokers>;
  readonly end: () => Promise<void>;
}
let shared: Shared | undefined;

export function withBrokers<Result>(effort: Effort, work: (brokers: Brokers) => Promise<Result>): Promise<Result> {
  if (!effort.amqp.isShared) return withOwnBrokers(work);
  shared ??= share();
  return shared.brokers.then(work);
}

/** Ends the pair that the rows of a smoke run have shared. */
export async function endShared(): Promise<void> {
  await shared?.end();
  shared = undefined;
}

function share(): Shared {
  let release: () => void = () => undefined;
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  let ended: Promise<void> = Promise.resolve();
  const brokers = new Promise<Brokers>((resolve, reject) => {
    ended = withOwnBrokers((pair) => {
      resolve(pair);
      return released;
    });
    ended.catch(reject);
  });
  return {
    brokers,
    end: async () => {
      release();
      await ended;
    },
  };
}

function withOwnBrokers<Result>(work: (brokers: Brokers) => Promise<Result>): Promise<Result> {
  return withDataPlace(async (place) => {
    const directory = join(place.directory, 'rabbitmq');
    await mkdir(directory);
    const rabbitMq = await RabbitMq.start({ directory });
    try {
      const leveret = await startBroker(['--amqp-port', '0', '--data-dir', join(place.directory, 'leveret')]);
      try {
        return await work({
          leveret: side('Leveret', amqpUrl(leveret.written()), () => residentBytes(leveret.process.pid ?? 0)),
          rabbitMq: side('RabbitMQ', rabbitMq.url, () => rabbitMq.residentBytes),
          place,
          version: await versionOf(rabbitMq.url),
          rabbitMqSyncs: () => syncs(rabbitMq),
        });
      } finally {
        await leveret.stop();
      }
    } finally {
      await rabbitMq.stop();
    }
  });
}

const side = (name: Side['name'], url: string, resident: () => number): Side => ({ name, url, residentBytes: resident });

/** Of the broker's greeting. */
export function amqpUrl(greeting: string): string {
  const found = /amqp:\/\/[^\s"',]+/.exec(greeting);
  if (found === null) throw new Error(`the broker told no AMQP address:\n${greeting}`);
  return found[0];
}

async function versionOf(url: string): Promise<string> {
  const link = await Link.open(parseAddress(url), 'bench');
  await link.close();
  return link.broker.replace('RabbitMQ ', '');
}

function syncs(rabbitMq: RabbitMq): number {
  const told = rabbitMq.control('eval', 'ets:lookup(file_handle_cache_stats, {io_sync, count}).');
  const found = /io_sync,\s*count},\s*(\d+)/.exec(told);
  if (found === null) throw new Error(`RabbitMQ does not count its syncs: ${told}`);
  return Number(found[1]);
}
