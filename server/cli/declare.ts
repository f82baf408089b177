// `leveret declare queue|exchange NAME`: makes one, or checks that the one there is equivalent.
// Always: a flag is only another way to write the argument beside it (docs/cli.md has the table); --argument wins over none of them:
// the same argument written twice is a usage error.

import type { Command } from 'commander';
import type { Json } from '../../shared/protocol/control.ts';
import { collectPair, type Pairs, wholeNumber } from './arguments.ts';
import { addConnectionFlags, type ConnectionFlags, runVerb } from './connection.ts';
import { CliError, ExitCode } from './exit-codes.ts';
import { processTerminal, type Terminal } from './terminal.ts';

interface CommonFlags extends ConnectionFlags {
  readonly transient?: true;
  readonly autoDelete?: true;
  readonly passive?: true;
  readonly argument?: Pairs;
}
interface ExchangeFlags extends CommonFlags {
  readonly type: string;
  readonly internal?: true;
}

/** Flags that stand for a queue argument: how commander names their value, and the argument. */
const queueArguments: ReadonlyMap<string, string> = new Map([
  ['ttl', 'x-message-ttl'],
  ['expires', 'x-expires'],
  ['maxLength', 'x-max-length'],
  ['maxBytes', 'x-max-length-bytes'],
  ['overflow', 'x-overflow'],
  ['maxPriority', 'x-max-priority'],
  ['deadLetterExchange', 'x-dead-letter-exchange'],
  ['deadLetterKey', 'x-dead-letter-routing-key'],
  ['deliveryLimit', 'x-delivery-limit'],
  ['consumerTimeout', 'x-consumer-timeout'],
  ['singleActiveConsumer', 'x-single-active-consumer'],
]);
const exchangeArguments: ReadonlyMap<string, string> = new Map([['alternate', 'alternate-exchange']]);

export function configure(command: Command, terminal: Terminal = processTerminal()): void {
  configureQueue(command.command('queue').description('declare a queue'), terminal);
  configureExchange(command.command('exchange').description('declare an exchange'), terminal);
}

function configureQueue(command: Command, terminal: Terminal): void {
  command
    .argument('[name]', 'nothing: the broker picks one, and it is printed')
    .option('--ttl <ms>', 'messages expire after this (x-message-ttl)', wholeNumber(0))
    .option('--expires <ms>', 'the queue goes after this long unused (x-expires)', wholeNumber(1))
    .option('--max-length <messages>', 'ready messages it may hold (x-max-length)', wholeNumber(0))
    .option('--max-bytes <bytes>', 'bytes of ready messages it may hold (x-max-length-bytes)', wholeNumber(0))
    .option('--overflow <how>', 'drop-head, reject-publish, reject-publish-dlx or block (x-overflow)')
    .option('--max-priority <number>', 'priorities from 0 to this (x-max-priority)', wholeNumber(1, 255))
    .option('--dead-letter-exchange <name>', 'where dead letters go (x-dead-letter-exchange)')
    .option('--dead-letter-key <key>', 'the routing key they get (x-dead-letter-routing-key)')
    .option(
      '--delivery-limit <number>',
      'deliveries that may come back before a message is a dead letter (x-delivery-limit)',
      wholeNumber(0),
    )
    .option('--consumer-timeout <ms>', 'an unacked message comes back after this (x-consumer-timeout)', wholeNumber(1))
    .option('--single-active-consumer', 'one consumer at a time (x-single-active-consumer)');
  addCommonFlags(command, terminal).action(async (name: string | undefined, flags: CommonFlags) => {
    await runVerb(terminal, flags, 'declare', async ({ connection, output }) => {
      const { transient = false, autoDelete = false, passive = false } = flags;
      const declared = await connection.declareQueue(name ?? '', {
        durable: !transient,
        autoDelete,
        passive,
        arguments: allArguments(flags, queueArguments),
      });
      const { queue, messageCount, consumerCount } = declared;
      await output.result(
        { queue, messageCount, consumerCount },
        () => `queue ${queue}: ${messageCount} ready, ${consumerCount} consumers`,
      );
      return ExitCode.Ok;
    });
  });
}

function configureExchange(command: Command, terminal: Terminal): void {
  command
    .argument('<name>')
    .option('--type <type>', 'direct, topic, fanout or headers', 'direct')
    .option('--internal', 'only other exchanges may publish to it')
    .option('--alternate <exchange>', 'gets what no binding matches (alternate-exchange)');
  addCommonFlags(command, terminal).action(async (name: string, flags: ExchangeFlags) => {
    await runVerb(terminal, flags, 'declare', async ({ connection, output }) => {
      const { type, transient = false, autoDelete = false, internal = false, passive = false } = flags;
      await connection.declareExchange(name, {
        type,
        durable: !transient,
        autoDelete,
        internal,
        passive,
        arguments: allArguments(flags, exchangeArguments),
      });
      await output.result({ exchange: name, type }, () => `exchange ${name}: ${type}`);
      return ExitCode.Ok;
    });
  });
}

function addCommonFlags(command: Command, terminal: Terminal): Command {
  command
    .option('--transient', 'gone when the broker restarts')
    .option('--auto-delete', 'gone after its last user')
    .option('--passive', 'only check that it is there')
    .option('-a, --argument <name=value>', 'an argument; may be given again', collectPair);
  return addConnectionFlags(command, terminal);
}

function allArguments(flags: CommonFlags, known: ReadonlyMap<string, string>): Pairs {
  const all: Record<string, Json> = { ...flags.argument };
  for (const [flag, value] of Object.entries(flags)) {
    const name = known.get(flag);
    if (name === undefined) continue;
    if (name in all) throw new CliError(ExitCode.Usage, `${name} is given twice: as a flag and as an argument`);
    all[name] = value;
  }
  return all;
}
