// `leveret publish EXCHANGE KEY [BODY|-]`: one message, the same message many times, or a message for each line of the input.
// Always: (1) every message is confirmed before the verb ends, unless it is interrupted while publishers are held back: then it tells how many were;
// (2) lines are read no faster than the broker takes them.
// RabbitMQ's tools differ: a message that reaches no queue is told as such, and with --mandatory it is an error.

import { createInterface } from 'node:readline';
import type { Command } from 'commander';
import type { Exchange, PublishOptions } from 'leveret-client';
import { collectPair, collectText, type Pairs, wholeNumber } from './arguments.ts';
import { addConnectionFlags, type ConnectionFlags, runVerb, type Work } from './connection.ts';
import { CliError, ExitCode } from './exit-codes.ts';
import { processTerminal, type Terminal } from './terminal.ts';

const AT_ONCE = 1_000; // unconfirmed publishes: enough to fill a batch each turn, few enough to hold in memory

interface Flags extends ConnectionFlags {
  readonly header?: Pairs;
  readonly property?: Readonly<Record<string, string>>;
  readonly transient?: true;
  readonly count: number;
  readonly mandatory?: true;
}

export function configure(command: Command, terminal: Terminal = processTerminal()): void {
  command
    .argument('<exchange>', 'where to; "" is the default exchange')
    .argument('<key>', 'the routing key; a queue name with the default exchange')
    .argument('[body]', '- or nothing: each line of the standard input is a message')
    .option('-H, --header <name=value>', 'a header; may be given again', collectPair)
    .option('-p, --property <name=value>', `a property: ${[...propertyOptions.keys()].join(' ')}`, collectText)
    .option('--transient', 'lost when the broker restarts; else kept, in durable queues')
    .option('--count <number>', 'publish the body this many times', wholeNumber(1), 1)
    .option('--mandatory', 'fail when no queue gets the message')
    .action(async (exchange: string, key: string, body: string | undefined, flags: Flags) => {
      await runVerb(terminal, flags, 'publish', (work) => publishAll(work, terminal, { exchange, key, body, flags }));
    });
  addConnectionFlags(command, terminal);
}

interface Wish {
  readonly exchange: string;
  readonly key: string;
  readonly body: string | undefined;
  readonly flags: Flags;
}

async function publishAll(work: Work, terminal: Terminal, { exchange, key, body, flags }: Wish): Promise<ExitCode> {
  if (flags.count > 1 && (body === undefined || body === '-'))
    throw new CliError(ExitCode.Usage, '--count needs a body: lines come as often as they come');
  const options = publishOptions(flags);
  const bodies = body === undefined || body === '-' ? lines(terminal, work.stop) : repeat(body, flags.count);
  const sending = new Sending(work.connection.exchange(exchange), key, options);
  const stopWaiting = tellBlocked(work);
  for await (const each of bodies) {
    if (work.stop.aborted) break;
    await Promise.race([sending.publish(each), stopWaiting]);
    work.output.progress(`${sending.published} published`);
  }
  await Promise.race([sending.finish(), stopWaiting]);
  const { published, unroutable, routed } = sending;
  await work.output.result({ published, routed, unroutable }, () => {
    const noun = published === 1 ? '1 message' : `${published} messages`;
    return `published ${noun}${unroutable === 0 ? '' : unroutable === published ? ': no queue is bound for it' : `, ${unroutable} of them reached no queue`}`;
  });
  return work.stop.aborted ? ExitCode.Interrupted : ExitCode.Ok;
}

/** Says when the broker takes no publishes. Resolves when the user interrupts meanwhile: what waits then may wait for long. */
function tellBlocked({ connection, output, stop }: Work): Promise<void> {
  let isBlocked = false;
  return new Promise((resolve) => {
    const look = (): void => {
      if (isBlocked && stop.aborted) resolve();
    };
    connection.on('blocked', (reason) => {
      isBlocked = reason !== undefined;
      output.note(isBlocked ? `publishers are held back: ${reason}. Waiting; Ctrl-C gives up` : 'publishers go on');
      look();
    });
    stop.addEventListener('abort', look);
  });
}

/** Publishes with a bounded number unconfirmed; the first failure comes out of the next call. */
class Sending {
  published = 0;
  unroutable = 0;
  routed = 0;
  readonly #exchange: Exchange;
  readonly #key: string;
  readonly #options: PublishOptions;
  #open: Promise<void>[] = [];
  #failure: unknown;

  constructor(exchange: Exchange, key: string, options: PublishOptions) {
    this.#exchange = exchange;
    this.#key = key;
    this.#options = options;
  }

  async publish(body: string): Promise<void> {
    this.#check();
    this.#open.push(this.#one(body));
    if (this.#open.length >= AT_ONCE) await this.finish();
  }

  async finish(): Promise<void> {
    await Promise.all(this.#open);
    this.#open = [];
    this.#check();
  }

  async #one(body: string): Promise<void> {
    try {
      const { routed } = await this.#exchange.publish(this.#key, body, this.#options);
      this.published++;
      this.routed += routed;
      if (routed === 0) this.unroutable++;
    } catch (error) {
      this.#failure ??= error;
    }
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }
}

async function* repeat(body: string, count: number): AsyncGenerator<string> {
  for (let i = 0; i < count; i++) yield body;
}

async function* lines(terminal: Terminal, stop: AbortSignal): AsyncGenerator<string> {
  const reader = createInterface({ input: terminal.input, crlfDelay: Number.POSITIVE_INFINITY });
  const end = (): void => reader.close();
  stop.addEventListener('abort', end);
  try {
    yield* reader;
  } finally {
    stop.removeEventListener('abort', end);
    reader.close();
  }
}

/** Names as in docs/protocol.md, "Properties"; what each becomes in the client's options. */
const propertyOptions: ReadonlyMap<string, (text: string) => PublishOptions> = new Map<string, (text: string) => PublishOptions>([
  ['contentType', (contentType) => ({ contentType })],
  ['contentEncoding', (contentEncoding) => ({ contentEncoding })],
  ['priority', (text) => ({ priority: number('priority', text) })],
  ['correlationId', (correlationId) => ({ correlationId })],
  ['replyTo', (replyTo) => ({ replyTo })],
  ['expiration', (text) => ({ ttl: number('expiration', text) })],
  ['messageId', (id) => ({ id })],
  ['timestamp', (text) => ({ timestamp: new Date(number('timestamp', text) * 1_000) })],
  ['type', (type) => ({ type })],
  ['userId', (userId) => ({ userId })],
  ['appId', (appId) => ({ appId })],
]);

function publishOptions({ header, property = {}, transient, mandatory }: Flags): PublishOptions {
  let options: PublishOptions = { persistent: transient !== true, unroutable: mandatory ? 'fail' : 'ignore' };
  if (header !== undefined) options = { ...options, headers: header };
  for (const [name, text] of Object.entries(property)) {
    const option = propertyOptions.get(name);
    if (option === undefined)
      throw new CliError(ExitCode.Usage, `there is no property ${name}; there are ${[...propertyOptions.keys()].join(', ')}`);
    options = { ...options, ...option(text) };
  }
  return options;
}

function number(name: string, text: string): number {
  if (!/^\d+$/.test(text)) throw new CliError(ExitCode.Usage, `the property ${name} is a whole number, not ${text}`);
  return Number(text);
}
