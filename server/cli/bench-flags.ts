// The flags of `leveret bench`, as people know them from lavinmqperf and RabbitMQ's PerfTest, and which of them mean something over AMQP alone.
// Always: a flag that the URL's protocol has no use for is an error, never ignored: a figure must not be read for what it is not.

import { type Command, InvalidArgumentError } from 'commander';
import type { FieldTable } from '../../shared/amqp/table.ts';
import { AmqpError } from '../../shared/error.ts';
import type { Json, JsonObject } from '../../shared/protocol/control.ts';
import { tableFromJson } from '../../shared/protocol/json.ts';
import { collectPair, wholeNumber } from './arguments.ts';
import { type ConnectionFlags, urlOption } from './connection.ts';
import { CliError, ExitCode } from './exit-codes.ts';
import type { Terminal } from './terminal.ts';

export interface BenchFlags extends ConnectionFlags {
  readonly publishers: number;
  readonly consumers: number;
  readonly size?: number;
  readonly confirm?: number;
  readonly seconds?: number;
  readonly durable?: true;
  readonly persistent?: true;
  readonly prefetch?: number;
  readonly ackEvery?: number;
  readonly rate?: number;
  readonly pmessages?: number;
  readonly cmessages?: number;
  readonly queue?: string;
  readonly queueArgs?: FieldTable;
  readonly exchange?: string;
  readonly type?: string;
  readonly routingKey?: readonly string[];
  readonly warmUp?: number;
  readonly interval?: number;
  readonly ceiling?: true;
}

export function addBenchFlags(command: Command, terminal: Terminal): Command {
  command
    .option('-x, --publishers <number>', 'publishers, each with a connection', wholeNumber(0, 1_000), 1)
    .option('-y, --consumers <number>', 'consumers, each with a connection', wholeNumber(0, 1_000), 1)
    .option('-s, --size <bytes>', 'bytes of body; from 8 on it carries a time (default: 100)', wholeNumber(0))
    .option(
      '-c, --confirm <number>',
      'publishes a publisher leaves unconfirmed; 0: no confirms (default: 1000 over ws://, 0 over amqp://)',
      wholeNumber(0, 1_000_000),
    )
    .option(
      '-z, --seconds <number>',
      'how long; 0: until -C and -D are reached, or Ctrl-C (default: 10, or 0 with these)',
      wholeNumber(0, 86_400),
    )
    .option('-p, --persistent', 'persistent messages, and a durable queue')
    .option('--durable', 'a durable queue')
    .optionsGroup('Over amqp:// alone:')
    .option('-P, --prefetch <number>', 'deliveries a consumer leaves unacked; 0: any number (default: 0)', wholeNumber(0, 65_535))
    .option('-a, --ack-every <number>', 'ack every so many deliveries; 0: automatically (default: 0)', wholeNumber(0, 1_000_000))
    .option('-r, --rate <number>', 'messages a second of all publishers together; 0: as fast as it goes (default: 0)', wholeNumber(0))
    .option('-C, --pmessages <number>', 'publish so many, all publishers together', wholeNumber(1))
    .option('-D, --cmessages <number>', 'consume so many, all consumers together', wholeNumber(1))
    .option('-u, --queue <name>', 'this queue, which stays; declared where it is missing (default: one of its own, deleted at the end)')
    .option('--queue-args <arguments>', 'of the queue, as name=value,name=value or a JSON object', queueArguments)
    .option('-e, --exchange <name>', 'publish to this exchange, to which the queue is bound (default: "")')
    .option('-t, --type <type>', 'declare that exchange: direct, fanout, topic, headers; it goes with its queue')
    .option('-k, --routing-key <key>', "publish with this key; given again, they take turns (default: the queue's name)", collect)
    .option('--warm-up <seconds>', 'before anything is counted (default: 0)', wholeNumber(0, 3_600))
    .option('-i, --interval <seconds>', 'print the figures of every so many seconds too', wholeNumber(1, 3_600))
    .option('--ceiling', 'measure this generator alone, against a server that only reads and writes; it needs no broker')
    .optionsGroup('Options:')
    .addOption(urlOption(terminal, 'the broker, as ws://user:password@host:port/ws or amqp://user:password@host:port/vhost'))
    .option('--vhost <name>', 'the virtual host')
    .option('-j, --json', 'one JSON object a line');
  return command;
}

const AMQP_ONLY = [
  'prefetch',
  'ackEvery',
  'rate',
  'pmessages',
  'cmessages',
  'queue',
  'queueArgs',
  'exchange',
  'type',
  'routingKey',
  'warmUp',
  'interval',
];

/** Throws where one was given for a ws:// URL. */
export function refuseAmqpFlags(command: Command): void {
  const given = command.options.find(
    (option) => AMQP_ONLY.includes(option.attributeName()) && command.getOptionValueSource(option.attributeName()) === 'cli',
  );
  if (given === undefined) return;
  throw new CliError(
    ExitCode.Usage,
    `${given.flags.split(/[ <]+/).slice(0, 2).join(' ')} works over AMQP alone`,
    'give an --url like amqp://guest:guest@127.0.0.1:5672',
  );
}

function collect(text: string, previous: readonly string[] = []): readonly string[] {
  return [...previous, text];
}

/** `{"x-max-length":10}` or `x-max-length=10,x-overflow=reject-publish`. */
function queueArguments(text: string): FieldTable {
  try {
    return tableFromJson(text.trimStart().startsWith('{') ? parseObject(text) : pairs(text));
  } catch (error) {
    if (error instanceof AmqpError) throw new InvalidArgumentError(`${error.message}.`);
    throw error;
  }
}

function parseObject(text: string): JsonObject {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) throw new InvalidArgumentError(`it is no JSON object: ${error.message}.`);
    throw error;
  }
}

function pairs(text: string): JsonObject {
  return text.split(',').reduce<Readonly<Record<string, Json>>>((all, pair) => collectPair(pair, all), {});
}
