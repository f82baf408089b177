// `leveret get QUEUE`: takes what is there now, without waiting for more.
// Always: (1) a message is acked after it was printed; (2) with --requeue it goes back when the verb ends, to its place.

import { type Command, Option } from 'commander';
import type { Message } from 'leveret-client';
import { wholeNumber } from './arguments.ts';
import { addConnectionFlags, type ConnectionFlags, runVerb, type Work } from './connection.ts';
import { ExitCode } from './exit-codes.ts';
import { processTerminal, type Terminal } from './terminal.ts';

interface Flags extends ConnectionFlags {
  readonly count: number;
  readonly ack: boolean;
  readonly requeue?: true;
}

export function configure(command: Command, terminal: Terminal = processTerminal()): void {
  command
    .argument('<queue>')
    .option('-n, --count <number>', 'take up to this many', wholeNumber(1), 1)
    .option('--ack', 'ack each message after printing it', true)
    .option('--no-ack', 'let the broker forget messages as it sends them')
    .addOption(new Option('--requeue', 'put everything back at the end').conflicts('ack'))
    .action(async (queue: string, flags: Flags) => {
      await runVerb(terminal, flags, 'get', (work) => getSome(work, queue, flags));
    });
  addConnectionFlags(command, terminal);
}

async function getSome({ connection, output, stop }: Work, name: string, flags: Flags): Promise<ExitCode> {
  const queue = connection.queue(name);
  const held: Message[] = [];
  let printed = 0;
  try {
    while (printed < flags.count && !stop.aborted) {
      const message = await queue.get({ noAck: !flags.ack });
      if (message === undefined) break;
      if (!(await output.message(message))) break;
      if (flags.requeue) held.push(message);
      else if (flags.ack) message.ack();
      printed++;
    }
  } finally {
    for (const message of held) message.nack({ requeue: true });
  }
  if (stop.aborted) return ExitCode.Interrupted;
  if (printed > 0) return ExitCode.Ok;
  if (!output.json) output.note(`${name} has no message ready`);
  return ExitCode.Failure;
}
