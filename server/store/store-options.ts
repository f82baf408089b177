// What a durable log is made with: its disk and directory, the ports, and its sizes.
// Always: the defaults are those of `leveret start`. Refuses: settings of people (config.ts has them).

import type { Clock, Notices } from '../ports.ts';
import type { Disk } from './file.ts';

/** The sizes that tests make small. */
export interface StoreSizes {
  /** A WAL file; a record never exceeds half of it. */
  readonly walFileBytes: number;
  /** WAL files before the oldest is retired. */
  readonly walFilesMax: number;
  readonly slabBytes: number;
  /** Message bytes kept in memory, for reading and for transient messages; what exceeds it is read back from disk, or spilled. */
  readonly cacheBytes: number;
  /** One write and one sync at most. */
  readonly batchBytesMax: number;
  /** Publishers are held back while less than this is free. */
  readonly diskFreeBytesMin: number;
  /** What no confirm waits for (settling, requeues) is synced this late at most. */
  readonly lazySyncMs: number;
}

export const defaultSizes: StoreSizes = {
  walFileBytes: 64 << 20,
  walFilesMax: 4,
  slabBytes: 1 << 20,
  cacheBytes: 256 << 20,
  batchBytesMax: 8 << 20,
  diskFreeBytesMin: 1 << 30,
  lazySyncMs: 200,
};

/** The processes of this machine, as far as a lock file needs to know them. */
export interface Processes {
  /** This process, as it stands in the lock: "pid start-time". */
  readonly self: string;
  /** Whether the process of such a text still runs. */
  isAlive(text: string): boolean;
}

export interface DurableLogOptions {
  readonly disk: Disk;
  /** The data directory. */
  readonly directory: string;
  readonly clock: Clock;
  readonly notices: Notices;
  readonly processes: Processes;
  readonly sizes?: Partial<StoreSizes>;
}
