// `leveret tail EXCHANGE [KEY]`: watches what an exchange routes from now on, through a tap. No queue is made, no message taken.
// Always: a terminal that cannot keep up misses messages, and is told how many; the broker waits for nobody.

import type { Command } from 'commander';
import { wholeNumber } from './arguments.ts';
import { addConnectionFlags, type ConnectionFlags, runVerb, type Work } from './connection.ts';
import { ExitCode } from './exit-codes.ts';
import { processTerminal, type Terminal } from './terminal.ts';

const BUFFER_DEFAULT = 1_000;

interface Flags extends ConnectionFlags {
  readonly count?: number;
  readonly buffer: number;
}

export function configure(command: Command, terminal: Terminal = processTerminal()): void {
  command
    .argument('<exchange>')
    .argument('[key]', 'a binding key; * is one word, # any number of them', '#')
    .option('-n, --count <number>', 'stop after this many', wholeNumber(1))
    .option('--buffer <number>', 'messages kept while the output is slow; the oldest go first', wholeNumber(1, 65_535), BUFFER_DEFAULT)
    .action(async (exchange: string, key: string, flags: Flags) => {
      await runVerb(terminal, flags, 'tail', (work) => watch(work, exchange, key, flags));
    });
  addConnectionFlags(command, terminal);
}

async function watch({ connection, output, stop }: Work, exchange: string, key: string, flags: Flags): Promise<ExitCode> {
  const limit = flags.count ?? Number.POSITIVE_INFINITY;
  let printed = 0;
  const tap = connection.exchange(exchange).subscribe(key, { buffer: flags.buffer, onOverflow: 'drop-oldest' });
  const cancel = (): void => void tap.cancel();
  stop.addEventListener('abort', cancel);
  try {
    for await (const message of tap) {
      if (stop.aborted) break;
      if (!(await output.message(message))) break;
      if (++printed >= limit) break;
    }
  } finally {
    stop.removeEventListener('abort', cancel);
  }
  if (tap.dropped > 0) output.note(`${tap.dropped} more went by too fast to show`);
  return printed < limit && flags.count !== undefined ? ExitCode.Interrupted : ExitCode.Ok;
}
