// `leveret dump-wal`: shows the records of log files, one JSON object a line, while no broker runs. It changes nothing.

import type { Command } from 'commander';
import { SystemProcesses } from '../processes.ts';
import { whileLocked } from '../store/check.ts';
import { dumpFile, type Line } from '../store/dump.ts';
import { NodeDisk } from '../store/file.ts';
import { WAL } from '../store/recovery.ts';
import { ExitCode } from './exit-codes.ts';
import { toJson } from './output.ts';
import { storeFailure } from './store-failures.ts';
import { processTerminal, type Terminal } from './terminal.ts';

interface Flags {
  readonly dataDir: string;
  readonly all?: boolean;
}

export function configure(command: Command, terminal: Terminal = processTerminal()): void {
  command
    .argument('[file...]', 'log files, by path; nothing: all of the WAL')
    .option('--data-dir <directory>', 'the data directory', '.leveret')
    .option('--all', 'go on behind a bad place with what is whole')
    .action((files: readonly string[], { dataDir, all = false }: Flags) => {
      terminal.output.on('error', (error: NodeJS.ErrnoException) => {
        if (error.code !== 'EPIPE') throw error; // a reader that goes away (`| head`) has seen enough
      });
      const show = (line: Line): void => void terminal.output.write(`${toJson(line)}\n`);
      terminal.exit(dump(dataDir, files, all, show) ? ExitCode.BadInput : ExitCode.Ok);
    });
}

/** Whether something was damaged. */
function dump(directory: string, files: readonly string[], isAll: boolean, show: (line: Line) => void): boolean {
  const disk = new NodeDisk();
  try {
    return whileLocked(disk, directory, new SystemProcesses(), () => {
      const wal = `${directory}/${WAL}`;
      const paths = files.length > 0 ? files : disk.listNow(wal).map((name) => `${wal}/${name}`);
      for (const path of paths) if (dumpFile(disk, path, isAll, show) && !isAll) return true;
      return false;
    });
  } catch (error) {
    throw storeFailure(error, directory);
  }
}
