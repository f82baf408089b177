// `leveret bind QUEUE EXCHANGE [KEY]`: messages of an exchange with that key go to the queue, or with --to-exchange on to another exchange.

import type { Command } from 'commander';
import { collectPair, type Pairs } from './arguments.ts';
import { addConnectionFlags, type ConnectionFlags, runVerb } from './connection.ts';
import { ExitCode } from './exit-codes.ts';
import { processTerminal, type Terminal } from './terminal.ts';

interface Flags extends ConnectionFlags {
  readonly toExchange?: true;
  readonly argument?: Pairs;
}

export function configure(command: Command, terminal: Terminal = processTerminal()): void {
  command
    .argument('<queue>', 'where messages go; an exchange with --to-exchange')
    .argument('<exchange>', 'where they come from')
    .argument('[key]', 'the binding key; nothing is the empty one')
    .option('--to-exchange', 'the first name is an exchange')
    .option('-a, --argument <name=value>', 'a binding argument, as a headers exchange matches; may be given again', collectPair)
    .action(async (destination: string, exchange: string, given: string | undefined, flags: Flags) => {
      await runVerb(terminal, flags, 'bind', async ({ connection, output }) => {
        const { toExchange = false, argument = {} } = flags;
        const key = given ?? '';
        if (toExchange) await connection.bindExchange(destination, exchange, key, argument);
        else await connection.bindQueue(destination, exchange, key, argument);
        const kind = toExchange ? 'exchange' : 'queue';
        await output.result({ destination, kind, exchange, key, arguments: argument }, () => {
          return `bound ${kind} ${destination} to ${exchange}${key === '' ? '' : ` with ${key}`}`;
        });
        return ExitCode.Ok;
      });
    });
  addConnectionFlags(command, terminal);
}
