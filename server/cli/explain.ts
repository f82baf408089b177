// `leveret explain EXCHANGE KEY`: why a publish would go where it goes. Nothing is published.
// Always: every binding that was tried is told with the reason; the exit code is 1 when no queue would get it.
// Refuses: to explain itself: the broker does. RabbitMQ has no such thing, and is told so.

import type { Command } from 'commander';
import { ApiError, type Fields, isFields, path } from './api.ts';
import { type ApiWork, addVhostFlags, runApiVerb, type VhostFlags } from './api-verb.ts';
import { collectPair, type Pairs, wholeNumber } from './arguments.ts';
import { CliError, ExitCode } from './exit-codes.ts';
import { printable } from './output.ts';
import { processTerminal, styled, type Terminal } from './terminal.ts';

interface Flags extends VhostFlags {
  readonly header?: Pairs;
  readonly property?: Pairs;
  readonly bytes: number;
}

export function configure(command: Command, terminal: Terminal = processTerminal()): void {
  command
    .argument('<exchange>', '"" is the default exchange')
    .argument('[key]', 'the routing key', '')
    .option('-H, --header <name=value>', 'a header; may be given again', collectPair)
    .option('-P, --property <name=value>', 'a property, as publish has them; may be given again', collectPair)
    .option('--bytes <number>', 'how long the body would be', wholeNumber(0), 0)
    .action(async (exchange: string, key: string, flags: Flags) => {
      await runApiVerb(terminal, flags, (work) => explain(work, terminal, { exchange, key, flags }));
    });
  addVhostFlags(command, terminal);
}

interface Asked {
  readonly exchange: string;
  readonly key: string;
  readonly flags: Flags;
}

async function explain({ api, output }: ApiWork, terminal: Terminal, { exchange, key, flags }: Asked): Promise<ExitCode> {
  const properties = { ...flags.property, ...(flags.header === undefined ? {} : { headers: flags.header }) };
  const target = path('exchanges', flags.vhost, exchange === '' ? 'amq.default' : exchange, 'explain');
  const body = { routing_key: key, properties, payload_bytes: flags.bytes };
  const what = `exchange '${exchange}' in vhost '${flags.vhost}'`;
  const answer = await api.post(target, body, { what }).catch(async (error: unknown) => {
    const isOther = error instanceof ApiError && (error.status === 404 || error.status === 405);
    if (isOther && (await api.get(path('overview')))['product_name'] === 'RabbitMQ')
      throw new CliError(ExitCode.Failure, 'RabbitMQ does not explain', 'its firehose shows what was published: rabbitmqctl trace_on');
    throw error;
  });
  if (!isFields(answer)) throw new CliError(ExitCode.Failure, 'the broker did not explain');
  await output.result(answer, () => lines(terminal, answer).join('\n'));
  return answer['routed'] === true ? ExitCode.Ok : ExitCode.Failure;
}

function lines(terminal: Terminal, answer: Fields): string[] {
  const bold = (text: string): string => styled(terminal, 'output', 'bold', printable(text));
  const bindings = itemsOf(answer['bindings']);
  const shown: string[] = [];
  for (const { exchange, type, from, via, alternate } of itemsOf(answer['exchanges'])) {
    const name = exchange === '' ? 'the default exchange' : `exchange '${String(exchange)}'`;
    const way = from === 'publish' ? '' : `, ${from === 'alternate' ? 'as the alternate' : 'by a binding'} of '${printable(String(via))}'`;
    shown.push(`${bold(name)} (${String(type)})${way}`);
    const tried = bindings.filter((binding) => binding['exchange'] === exchange);
    if (tried.length === 0) shown.push('  nothing is bound to it');
    for (const each of tried) {
      const sign = each['isMatch'] === true ? '+' : '-';
      shown.push(printable(`  ${sign} ${String(each['destinationType'])} '${String(each['destination'])}': ${String(each['why'])}`));
    }
    if (isFields(alternate) && alternate['outcome'] === 'missing')
      shown.push(printable(`  its alternate exchange '${String(alternate['exchange'])}' is not there`));
  }
  const queues = itemsOf(answer['queues']);
  for (const { queue, outcome, why } of queues)
    shown.push(`${bold(`queue '${String(queue)}'`)} ${printable(`${String(outcome)}: ${String(why)}`)}`);
  if (answer['routed'] !== true) shown.push('no queue would get it: it is returned if mandatory, else dropped');
  return shown;
}

function itemsOf(value: unknown): Fields[] {
  return Array.isArray(value) ? value.filter(isFields) : [];
}
