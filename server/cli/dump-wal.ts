// `leveret dump-wal`: shows the records of log files, one JSON object a line, while no broker runs. It changes nothing.

import type { Command } from 'commander';
import { SystemProcesses } from '../processes.ts';
import { lockDirectory } from '../store/check.ts';
import { isDiskError } from '../store/directory-lock.ts';
import { dumpFile, type Line } from '../store/dump.ts';
import { NodeDisk } from '../store/file.ts';
import { WAL } from '../store/recovery.ts';
import { CliError, ExitCode } from './exit-codes.ts';
import { Output } from './output.ts';
import { dataDirOption, storeFailure } from './store-failures.ts';
import { processTerminal, type Terminal } from './terminal.ts';

interface Flags {
  readonly dataDir: string;
  readonly all?: boolean;
}

export function configure(command: Command, terminal: Terminal = processTerminal()): void {
  command
    .argument('[file...]', 'log files, by path; nothing: all of the WAL')
    .addOption(dataDirOption())
    .option('--all', 'go on behind a bad place with what is whole')
    .action(async (files: readonly string[], { dataDir, all = false }: Flags) => {
      const output = new Output(terminal, true);
      const lock = locked(dataDir);
      try {
        terminal.exit(await dump(output, dataDir, files, all));
        output.check();
      } catch (error) {
        throw storeFailure(error, dataDir);
      } finally {
        lock.release();
      }
    });
}

/** What waits for a slow reader is never more than the lines of one file. */
async function dump(output: Output, directory: string, files: readonly string[], isAll: boolean): Promise<ExitCode> {
  const disk = new NodeDisk();
  const wal = `${directory}/${WAL}`;
  const paths =
    files.length > 0
      ? files
      : disk
          .listNow(wal)
          .filter((name) => /^\d{8}$/.test(name))
          .map((name) => `${wal}/${name}`);
  for (const path of paths) {
    const lines: Line[] = [];
    const isDamaged = dumped(disk, path, isAll, lines);
    for (const line of lines) if (!(await output.result(line, () => ''))) return ExitCode.Ok; // nobody reads any more
    if (isDamaged && !isAll) return ExitCode.BadInput;
  }
  return ExitCode.Ok;
}

function dumped(disk: NodeDisk, path: string, isAll: boolean, lines: Line[]): boolean {
  try {
    return dumpFile(disk, path, isAll, (line) => void lines.push(line));
  } catch (error) {
    if (!isDiskError(error) || (error.code !== 'ENOENT' && error.code !== 'EISDIR')) throw error;
    const why = error.code === 'ENOENT' ? 'there is no such file' : 'it is a directory';
    throw new CliError(
      ExitCode.BadInput,
      `${path} cannot be read: ${why}`,
      'name log files by their path; with none named, all of the WAL is shown',
    );
  }
}

function locked(directory: string): { release(): void } {
  try {
    return lockDirectory(new NodeDisk(), directory, new SystemProcesses());
  } catch (error) {
    throw storeFailure(error, directory);
  }
}
