// What goes wrong with a data directory, as a line for a person and a code for a script.
// Always: (1) a fault of the disk, or of what lies on it, is never shown as a stack trace: that is for faults of ours; (2) a disk that fails
// under a running broker is told once.

import { Option } from 'commander';
import type { Logger } from 'pino';
import { DAMAGE_HINT } from '../store/recovery.ts';
import { StoreError, type StoreFault } from '../store/store-error.ts';
import { CliError, ExitCode } from './exit-codes.ts';

const CODES: Readonly<Record<StoreFault, ExitCode>> = {
  'in-use': ExitCode.DataInUse,
  damaged: ExitCode.BadInput,
  format: ExitCode.Configuration,
  unusable: ExitCode.Unavailable,
};

/** The data directory of a verb that works on one without a broker: the one `start` would take. */
export function dataDirOption(): Option {
  return new Option('--data-dir <directory>', 'the data directory').env('LEVERET_DATA_DIR').default('.leveret');
}

/** What `error` is for the command line; one that has nothing to do with the disk stays what it is. */
export function storeFailure(error: unknown, directory: string): unknown {
  if (error instanceof StoreError) return new CliError(CODES[error.fault], error.message, error.hint);
  if (error instanceof Error && 'syscall' in error) {
    const hint =
      'code' in error && error.code === 'ENOSPC' ? 'make room on that disk, and run it again' : 'see to that disk, and run it again';
    return new CliError(ExitCode.InputOutput, `${directory}: ${error.message}`, hint);
  }
  return error;
}

/** A disk that fails, or what it kept that is found damaged, while the broker runs: the log has stopped, and the process must end. */
export class DiskFailure {
  /** Rejects once it has happened. */
  readonly happened: Promise<never>;
  #reject: (error: CliError) => void = () => undefined;
  readonly #directory: string;
  readonly #log: Logger;

  constructor(directory: string, log: Logger) {
    this.#directory = directory;
    this.#log = log;
    this.happened = new Promise((_resolve, reject) => {
      this.#reject = reject;
    });
    this.happened.catch(() => undefined); // whoever waits for the broker's end is told; before that nobody waits
  }

  readonly report = (cause: Error): void => {
    const directory = this.#directory;
    if ('code' in cause && cause.code === 'EDAMAGED') {
      this.#log.fatal({ cause: cause.message, directory }, 'stored data is damaged: nothing is confirmed any more, connections are closed');
      this.#reject(new CliError(ExitCode.BadInput, cause.message, DAMAGE_HINT));
      return;
    }
    this.#log.fatal({ cause: cause.message, directory }, 'the disk has failed: nothing is confirmed any more, connections are closed');
    this.#reject(
      new CliError(
        ExitCode.InputOutput,
        `${directory} cannot be written any more: ${cause.message}`,
        'what was confirmed is stored; nothing was confirmed since. See to the disk, then start again',
      ),
    );
  };
}
