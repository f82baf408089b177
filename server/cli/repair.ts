// `leveret repair`: makes a damaged data directory one that opens again, and says before exactly what is lost.

import type { Command } from 'commander';
import { SystemProcesses } from '../processes.ts';
import { NodeDisk } from '../store/file.ts';
import { type Repair, repair } from '../store/repair.ts';
import type { LostMessage } from '../store/repair-plan.ts';
import { ExitCode } from './exit-codes.ts';
import { Output } from './output.ts';
import { dataDirOption, storeFailure } from './store-failures.ts';
import { processTerminal, type Terminal } from './terminal.ts';

interface Flags {
  readonly dataDir: string;
  readonly yes?: boolean;
  readonly json?: boolean;
}

export function configure(command: Command, terminal: Terminal = processTerminal()): void {
  command
    .addOption(dataDirOption())
    .option('--yes', 'do it; without this it only says what would be lost')
    .option('--json', 'one JSON object')
    .action(async ({ dataDir, yes = false, json = false }: Flags) => {
      const done = await run(dataDir, yes);
      const output = new Output(terminal, json);
      await output.result({ ...done }, () => report(done));
      output.check();
      const isDamaged = done.movedTo === undefined && !isWhole(done);
      terminal.exit(isDamaged ? ExitCode.BadInput : ExitCode.Ok);
    });
}

async function run(directory: string, isConfirmed: boolean): Promise<Repair> {
  try {
    return await repair({ disk: new NodeDisk(), directory, processes: new SystemProcesses(), confirm: () => isConfirmed });
  } catch (error) {
    throw storeFailure(error, directory);
  }
}

function isWhole({ damages, messages, stretches }: Repair): boolean {
  return damages.length + messages.length + stretches.length === 0;
}

function report(done: Repair): string {
  if (isWhole(done)) return `whole: ${done.kept} messages, nothing to repair`;
  const { damages, stretches, messages, remarks, kept, movedTo } = done;
  return [
    ...damages.map(({ path, offset, text }) => `damaged: ${path}, offset ${offset}: ${text}`),
    ...stretches.map(
      ({ path, from, to, afterLsn, beforeLsn }) =>
        `lost: ${path}, bytes ${from} to ${to ?? 'the end'}: the records after ${afterLsn ?? 'the start of the file'}, up to ${beforeLsn === undefined ? 'its end' : beforeLsn - 1}`,
    ),
    ...byQueue(messages).map(({ queue, seqs, path }) => `lost: ${seqs.length} of ${queue}: ${ranges(seqs)}, in ${path}`),
    ...remarks,
    movedTo === undefined
      ? `kept: ${kept} messages. Nothing has been changed: the same with --yes does it`
      : `kept: ${kept} messages. Repaired: what was replaced is in ${movedTo}`,
  ].join('\n');
}

function byQueue(messages: readonly LostMessage[]): { queue: string; path: string; seqs: number[] }[] {
  const groups = new Map<string, { queue: string; path: string; seqs: number[] }>();
  for (const { queue, path, seq } of messages) {
    const group = groups.get(`${queue} ${path}`) ?? { queue, path, seqs: [] };
    groups.set(`${queue} ${path}`, group);
    group.seqs.push(seq);
  }
  return [...groups.values()];
}

/** "1 to 3, 7": messages are known by their place in the life of their queue. */
function ranges(seqs: readonly number[]): string {
  const sorted = [...seqs].sort((a, b) => a - b);
  const texts: string[] = [];
  for (let i = 0; i < sorted.length; ) {
    let j = i;
    while ((sorted[j + 1] ?? 0) === (sorted[j] ?? 0) + 1) j++;
    texts.push(i === j ? `${sorted[i]}` : `${sorted[i]} to ${sorted[j]}`);
    i = j + 1;
  }
  return texts.join(', ');
}
