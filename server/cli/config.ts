// `leveret config`: what is wrong with the configuration, what it comes to, and what a setting is for. It reads what `leveret start` would, and starts nothing.
// Always: (1) `check` tells every mistake, and ends with 78 when there is one; (2) `print` is TOML that `start` accepts, but for secrets and queries of URLs, which are left out;
// (3) what `explain` says is what docs/configuration.md says.

import type { Command } from 'commander';
import { stringify } from 'smol-toml';
import { DEFAULT } from '../config.ts';
import { inspectConfig, unknownSetting } from '../config-sources.ts';
import { flagOf, type Setting, typeOf, variableOf } from '../setting.ts';
import { SETTINGS } from '../settings.ts';
import { addConfigFlags, type ConfigFlags, sourcesOf } from './config-flags.ts';
import { CliError, ExitCode } from './exit-codes.ts';
import { Output } from './output.ts';
import { processTerminal, type Terminal } from './terminal.ts';

export const SECRET = '[secret]';

export function configure(command: Command, terminal: Terminal = processTerminal()): void {
  const verb = (name: string, summary: string): Command =>
    command.command(name).description(summary).option('--json', 'one JSON object').exitOverride().copyInheritedSettings(command);
  addConfigFlags(verb('check', 'tell every mistake, with its place')).action((flags: ConfigFlags) => checkConfig(flags, terminal));
  addConfigFlags(verb('print', 'the configuration as it is in effect, and where each value comes from')).action((flags: ConfigFlags) =>
    printConfig(flags, terminal),
  );
  verb('explain', 'what a setting is for; without one, all there are')
    .argument('[setting]', 'as in the file, such as limits.connections; or its variable or flag')
    .action((name: string | undefined, { json = false }: { json?: boolean }) => explain(name, json, terminal));
}

async function checkConfig(flags: ConfigFlags, terminal: Terminal): Promise<void> {
  const { mistakes, warnings } = inspectConfig(sourcesOf(flags, terminal.environment));
  const output = new Output(terminal, flags['json'] === true);
  const lines = [...mistakes, ...warnings.map((warning) => `warning: ${warning}`)];
  await output.result({ mistakes, warnings }, () => [...lines, ending(mistakes.length)].join('\n'));
  output.check();
  terminal.exit(mistakes.length > 0 ? ExitCode.Configuration : ExitCode.Ok);
}

function ending(count: number): string {
  return count === 0 ? 'the configuration is right' : `${count} ${count === 1 ? 'mistake' : 'mistakes'}`;
}

async function printConfig(flags: ConfigFlags, terminal: Terminal): Promise<void> {
  const { values, mistakes } = inspectConfig(sourcesOf(flags, terminal.environment));
  if (mistakes.length > 0) throw new CliError(ExitCode.Configuration, mistakes.join('\n'));
  const shown = SETTINGS.map((setting) => {
    const { value, where } = values.get(setting.key) ?? { value: setting.default, where: DEFAULT };
    return { setting, value: setting.isSecret && value !== '' ? SECRET : masked(value), where };
  });
  const output = new Output(terminal, flags['json'] === true);
  const settings = Object.fromEntries(shown.map(({ setting, value, where }) => [setting.key, { value, where }]));
  await output.result({ settings }, () => toToml(shown));
  output.check();
}

/** The query of a URL may hold a token. */
function masked<Value>(value: Value): Value | string {
  const query = typeof value === 'string' && /^https?:/i.test(value) ? value.indexOf('?') : -1;
  return typeof value === 'string' && query >= 0 ? `${value.slice(0, query)}?${SECRET}` : value;
}

function isMasked(value: unknown): boolean {
  return typeof value === 'string' && (value === SECRET || value.endsWith(`?${SECRET}`));
}

interface Shown {
  readonly setting: Setting;
  readonly value: unknown;
  readonly where: string;
}

function toToml(shown: readonly Shown[]): string {
  const lines: string[] = [];
  let table = '';
  // Beside it a directory would contradict it.
  const isInMemory = shown.some(({ setting, value }) => setting.key === 'memory' && value === true);
  for (const { setting, value, where } of shown) {
    const dot = setting.key.indexOf('.');
    const name = setting.key.slice(dot + 1);
    const of = dot < 0 ? '' : setting.key.slice(0, dot);
    if (of !== table) lines.push('', `[${of}]`);
    table = of;
    const line = `${stringify({ [name]: value }).trim()} # ${where.replace(/[^\x20-\x7e]/g, '?')}`;
    lines.push(isMasked(value) || (isInMemory && setting.key === 'data-dir') ? `# ${line}` : line);
  }
  return lines.join('\n');
}

async function explain(name: string | undefined, isJson: boolean, terminal: Terminal): Promise<void> {
  const output = new Output(terminal, isJson);
  if (name === undefined) {
    const width = Math.max(...SETTINGS.map(({ key }) => key.length));
    await output.result({ settings: SETTINGS.map(factsOf) }, () =>
      SETTINGS.map(({ key, about }) => `${key.padEnd(width)}  ${about}`).join('\n'),
    );
  } else {
    const setting = SETTINGS.find(({ key, isFlag }) => key === name || variableOf(key) === name || (isFlag && flagOf(key) === name));
    if (setting === undefined) throw new CliError(ExitCode.Usage, unknownSetting(name));
    await output.result({ ...factsOf(setting) }, () => explanation(setting));
  }
  output.check();
}

function factsOf(setting: Setting): Record<string, string | number | boolean | readonly string[]> {
  const { key, about, default: value, isFlag, isLive } = setting;
  const where = { file: key, variable: variableOf(key), ...(isFlag ? { flag: flagOf(key) } : {}) };
  return { key, about, type: typeOf(setting), default: value, ...where, reloads: isLive };
}

function explanation(setting: Setting): string {
  const { key, about, default: value, isFlag, isLive } = setting;
  const dot = key.indexOf('.');
  const inFile = dot < 0 ? key : `${key.slice(dot + 1)} in the table [${key.slice(0, dot)}]`;
  return [
    `${key}: ${about}`,
    `  type      ${typeOf(setting)}`,
    `  default   ${value === '' ? 'none' : JSON.stringify(value)}`,
    `  file      ${inFile}`,
    `  variable  ${variableOf(key)}, or ${variableOf(key)}_FILE with the name of a file that holds the value`,
    `  flag      ${isFlag ? flagOf(key) : 'none'}`,
    `  changes   ${isLive ? 'with SIGHUP' : 'at the next start'}`,
  ].join('\n');
}
