// `leveret bind QUEUE EXCHANGE [KEY]`: messages of an exchange with that key go to the queue, or with --to-exchange on to another exchange.

import type { Command } from 'commander';
import { collectPair, type Pairs } from './arguments.ts';
import { addConnectionFlags, type ConnectionFlags, runVerb } from './connection.ts';
import { ExitCode } from './exit-codes.ts';
import { processTerminal, type Terminal } from './terminal.ts';

interface Flags extends ConnectionFlags {
  readonly toExchange: boolean;
  readonly argument: Pairs;
}

export function configure(command: Command, terminal: Terminal = processTerminal()): void {
  command
    .argument('<queue>', 'where messages go; an exchange with --to-exchange')
    .argument('<exchange>', 'where they come from')
    .argument('[key]', 'the binding key', '')
    .option('--to-exchange', 'the first name is an exchange', false)
    .option('-a, --argument <name=value>', 'a binding argument, as a headers exchange matches; may be given again', collectPair, {})
    .action(async (destination: string, exchange: string, key: string, flags: Flags) => {
      await runVerb(terminal, flags, 'bind', async ({ connection, output }) => {
        if (flags.toExchange) await connection.bindExchange(destination, exchange, key, { ...flags.argument });
        else await connection.bindQueue(destination, exchange, key, { ...flags.argument });
        const kind = flags.toExchange ? 'exchange' : 'queue';
        await output.result({ [kind === 'queue' ? 'queue' : 'destination']: destination, exchange, key, arguments: flags.argument }, () => {
          return `bound ${kind} ${destination} to ${exchange}${key === '' ? '' : ` with ${key}`}`;
        });
        return ExitCode.Ok;
      });
    });
  addConnectionFlags(command, terminal);
}
