// `leveret fsck`: says what a data directory holds and whether it is whole, while no broker runs. It changes nothing.

import type { Command } from 'commander';
import { SystemProcesses } from '../processes.ts';
import { type Check, checkDirectory, whileLocked } from '../store/check.ts';
import { NodeDisk } from '../store/file.ts';
import { ExitCode } from './exit-codes.ts';
import { Output } from './output.ts';
import { dataDirOption, storeFailure } from './store-failures.ts';
import { processTerminal, type Terminal } from './terminal.ts';

interface Flags {
  readonly dataDir: string;
  readonly json?: boolean;
}

export function configure(command: Command, terminal: Terminal = processTerminal()): void {
  command
    .addOption(dataDirOption())
    .option('--json', 'one JSON object')
    .action(async ({ dataDir, json = false }: Flags) => {
      const check = look(dataDir);
      const output = new Output(terminal, json);
      await output.result({ ...check }, () => table(check));
      output.check();
      terminal.exit(check.damages.length > 0 ? ExitCode.BadInput : ExitCode.Ok);
    });
}

function look(directory: string): Check {
  const disk = new NodeDisk();
  try {
    return whileLocked(disk, directory, new SystemProcesses(), () => checkDirectory(disk, directory));
  } catch (error) {
    throw storeFailure(error, directory);
  }
}

function table({ files, messages, definitions, isClean, damages }: Check): string {
  const rows = files.map(({ path, role, bytes, messages: alive }) => [path, role, String(bytes), String(alive)]);
  const all = [['file', 'role', 'bytes', 'messages'], ...rows];
  const widths = [0, 1, 2, 3].map((column) => Math.max(...all.map((row) => (row[column] ?? '').length)));
  const lines = all.map((row) => row.map((cell, i) => (i < 2 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join('  '));
  lines.push(`messages: ${messages}, definitions: ${definitions}, ${isClean ? 'closed in good order' : 'not closed in good order'}`);
  lines.push(...damages.map(({ path, offset, text }) => `damaged: ${path}, offset ${offset}: ${text}`));
  lines.push(damages.length === 0 ? 'whole' : `${damages.length} damaged`);
  return lines.join('\n');
}
