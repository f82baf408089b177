// `leveret doctor [FILE]`: looks a topology over, of a definitions file or of the broker, and says what will hurt.
// Always: it changes nothing; 0 is the exit code whatever is found, unless --strict asks for 1.
// Refuses: to judge: lint.ts does.

import type { Command } from 'commander';
import { type Api, type Fields, isFields, path } from './api.ts';
import { type ApiFlags, addApiFlags, runApiVerb } from './api-verb.ts';
import { readFile } from './definitions.ts';
import { CliError, ExitCode } from './exit-codes.ts';
import { ADVICE, type Finding, lint } from './lint.ts';
import { Output, printable } from './output.ts';
import { processTerminal, styled, type Terminal } from './terminal.ts';

interface Flags extends ApiFlags {
  readonly vhost?: string;
  readonly strict?: true;
  readonly ignore: readonly string[];
}

export function configure(command: Command, terminal: Terminal = processTerminal()): void {
  command
    .argument(
      '[file]',
      'a definitions file, which tells nothing of consumers and alerts; - is the standard input. Nothing: the broker is asked',
    )
    .option('-p, --vhost <name>', 'look at this virtual host alone')
    .option('--strict', 'end with 1 if anything is found')
    .option('--ignore <code>', `leave this out; may be given again: ${Object.keys(ADVICE).join(' ')}`, collectCode, [])
    .action(async (file: string | undefined, flags: Flags) => {
      if (file !== undefined) {
        const output = new Output(terminal, flags.json === true);
        terminal.exit(await report(output, terminal, lint(await readFile(terminal, file)), flags));
        output.check();
        return;
      }
      await runApiVerb(terminal, flags, async ({ api, output }) => report(output, terminal, await lintBroker(api), flags));
    });
  addApiFlags(command, terminal);
}

async function lintBroker(api: Api): Promise<Finding[]> {
  const definitions = await api.get(path('definitions'));
  const consumers: Fields[] = [];
  for await (const consumer of api.list(path('consumers'))) consumers.push(consumer);
  const { dead_letter_alerts: alerts } = await api.get(path('overview'));
  return lint(definitions, { consumers, alerts: isFields(alerts) ? alerts : undefined });
}

async function report(output: Output, terminal: Terminal, all: readonly Finding[], { ignore, strict, vhost }: Flags): Promise<ExitCode> {
  const findings = all.filter((finding) => !ignore.includes(finding.code) && (vhost === undefined || finding.vhost === vhost));
  for (const { code, vhost: where, subject, text } of findings) {
    const line = printable(`${subject} in vhost '${where}' ${text}`);
    const advice = ADVICE[code];
    const coded = styled(terminal, 'output', 'yellow', code);
    if (!(await output.result({ code, vhost: where, subject, text, advice }, () => `${coded}: ${line}\n  ${advice}`))) break;
  }
  if (!output.json) output.note(findings.length === 0 ? 'nothing found' : `${findings.length} finding${findings.length === 1 ? '' : 's'}`);
  return strict === true && findings.length > 0 ? ExitCode.Failure : ExitCode.Ok;
}

function collectCode(code: string, previous: readonly string[]): readonly string[] {
  if (Object.hasOwn(ADVICE, code)) return [...previous, code];
  throw new CliError(ExitCode.Usage, `nothing has the code '${code}'`, `there are ${Object.keys(ADVICE).join(' ')}`);
}
