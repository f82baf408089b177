// `leveret consume QUEUE`: prints messages as they come, until a count is reached or the user interrupts.
// Always: (1) a message is acked after it was printed; (2) what was prefetched and not printed goes back when the verb ends: leaving the
// client's loop does that; (3) with --requeue everything printed goes back too, at the end: at once would bring it again and again.

import { type Command, Option } from 'commander';
import { wholeNumber } from './arguments.ts';
import { addConnectionFlags, type ConnectionFlags, runVerb, type Work } from './connection.ts';
import { CliError, ExitCode } from './exit-codes.ts';
import { processTerminal, type Terminal } from './terminal.ts';

const PREFETCH_DEFAULT = 100;

interface Flags extends ConnectionFlags {
  readonly count?: number;
  readonly ack: boolean;
  readonly requeue?: true;
  readonly prefetch: number;
}

export function configure(command: Command, terminal: Terminal = processTerminal()): void {
  command
    .argument('<queue>')
    .option('-n, --count <number>', 'stop after this many', wholeNumber(1))
    .option('--ack', 'ack each message after printing it', true)
    .option('--no-ack', 'let the broker forget messages as it sends them')
    .addOption(new Option('--requeue', 'put everything back at the end; shows at most --prefetch messages').conflicts('ack'))
    .option('--prefetch <number>', 'how many messages the broker sends ahead', wholeNumber(1, 65_535), PREFETCH_DEFAULT)
    .action(async (queue: string, flags: Flags) => {
      await runVerb(terminal, flags, 'consume', (work) => consumeSome(work, queue, flags));
    });
  addConnectionFlags(command, terminal);
}

async function consumeSome({ connection, output, stop }: Work, queue: string, flags: Flags): Promise<ExitCode> {
  const isForgetting = !flags.ack;
  const limit = flags.count ?? Number.POSITIVE_INFINITY;
  if (flags.count !== undefined && isForgetting)
    throw new CliError(
      ExitCode.Usage,
      '--count with --no-ack would lose what the broker has sent ahead',
      `take that many with: leveret get ${queue} --no-ack --count ${flags.count}`,
    );
  let printed = 0;
  const deliveries = connection.queue(queue).consume({ prefetch: Math.min(flags.prefetch, limit), noAck: isForgetting });
  // Cancelling gives everything back, what is being printed included: so that one is finished first.
  let isPrinting = false;
  const cancel = (): void => {
    if (!isPrinting) void deliveries.cancel();
  };
  stop.addEventListener('abort', cancel);
  try {
    for await (const message of deliveries) {
      if (stop.aborted) break;
      isPrinting = true;
      const isPrinted = await output.message(message);
      isPrinting = false;
      if (!isPrinted) break;
      if (!flags.requeue) message.ack();
      if (++printed >= limit || stop.aborted) break;
    }
  } finally {
    stop.removeEventListener('abort', cancel);
  }
  return printed < limit && flags.count !== undefined ? ExitCode.Interrupted : ExitCode.Ok;
}
