// What every verb over the HTTP API has: its flags, its way to the broker, its way out.
// Always: (1) an interrupt ends the request under way and the verb; (2) the exit code is the verb's, or that of its error.
// Refuses: to know what any verb does. RabbitMQ's rabbitmqctl speaks Erlang to its node instead, so it needs no password and no tag.

import type { Command } from 'commander';
import { Api, apiAddress, DEFAULT_API_URL } from './api.ts';
import { wholeNumber } from './arguments.ts';
import { urlOption } from './connection.ts';
import type { ExitCode } from './exit-codes.ts';
import type { Output } from './output.ts';
import type { Terminal } from './terminal.ts';
import { runInTerminal } from './verb-run.ts';

const TIMEOUT_S = 60; // rabbitmqctl

export interface ApiFlags {
  readonly url: string;
  readonly timeout: number;
  readonly json?: true;
  readonly quiet?: true;
}
export interface VhostFlags extends ApiFlags {
  readonly vhost: string;
}

/** A verb of a family: configures its command. */
export type Configure = (command: Command, terminal: Terminal) => void;

export interface ApiWork {
  readonly api: Api;
  readonly output: Output;
  readonly stop: AbortSignal;
  /** The result of a verb that shows nothing: what was done. Silent with --quiet, unless --json asks for it. */
  done(fields: Readonly<Record<string, unknown>>, text: string): Promise<void>;
  /** A remark on the error stream, unless --quiet or --json. */
  note(text: string): void;
}

export function addApiFlags(command: Command, terminal: Terminal): Command {
  return command
    .addOption(urlOption(terminal, 'the broker, as http://user:password@host:port, or ws:// as for other verbs', DEFAULT_API_URL))
    .option('-t, --timeout <seconds>', 'how long to wait for an answer', wholeNumber(1, 86_400), TIMEOUT_S)
    .option('-q, --quiet', 'results alone, no remarks')
    .option('--json', 'one JSON object a line');
}

export function addVhostFlags(command: Command, terminal: Terminal): Command {
  return addApiFlags(command.option('-p, --vhost <name>', 'the virtual host', '/'), terminal);
}

export async function runApiVerb(terminal: Terminal, flags: ApiFlags, verb: (work: ApiWork) => Promise<ExitCode>): Promise<void> {
  await runInTerminal(terminal, flags.json === true, async (output, stop) => {
    const note = (text: string): void => {
      if (flags.quiet !== true && !output.json) output.note(text);
    };
    const done = async (fields: Readonly<Record<string, unknown>>, text: string): Promise<void> => {
      if (output.json || flags.quiet !== true) await output.result(fields, () => text);
    };
    const api = new Api({ address: apiAddress(flags.url), timeoutMs: flags.timeout * 1_000, signal: stop });
    return await verb({ api, output, stop, done, note });
  });
}

/** For texts: `queue 'orders' in vhost '/'`. */
export function inVhost(kind: string, name: string, { vhost }: VhostFlags): string {
  return `${kind} '${name}' in vhost '${vhost}'`;
}
