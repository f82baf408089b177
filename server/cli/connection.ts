// How a verb reaches a broker, and what becomes of what goes wrong there.
// Always: (1) an error of the client leaves as a CliError with its hint and exit code; (2) every way out closes the connection, so unsettled messages go back
// at once; (3) a lost connection ends the verb: a script that is told so can decide, one that waits cannot.

import { type Command, Option } from 'commander';
import { type Connection, connect, LeveretError } from 'leveret-client';
import { CliError, ExitCode } from './exit-codes.ts';
import { type Output, printable } from './output.ts';
import type { Terminal } from './terminal.ts';
import { runInTerminal } from './verb-run.ts';

export const DEFAULT_URL = 'ws://127.0.0.1:15672/ws';

export interface ConnectionFlags {
  readonly url: string;
  readonly vhost?: string;
  readonly json?: true;
}

/** The flags that every verb with a broker has. */
export function addConnectionFlags(command: Command, terminal: Terminal): Command {
  return command
    .addOption(urlOption(terminal, 'the broker, as ws://user:password@host:port/ws'))
    .option('--vhost <name>', 'the virtual host')
    .option('--json', 'one JSON object a line');
}

export function urlOption(terminal: Terminal, what: string, absent = DEFAULT_URL): Option {
  return new Option('--url <url>', what).default(
    terminal.environment['LEVERET_URL'] ?? absent,
    JSON.stringify(absent), // what the environment says may hold a password
  );
}

/** What a verb works with. */
export interface Work {
  readonly connection: Connection;
  readonly output: Output;
  /** Aborted when the user interrupts or the reader of the output goes away. */
  readonly stop: AbortSignal;
  /** Another connection like the first: a benchmark wants several. */
  another(): Promise<Connection>;
}

/** Connects, runs `verb`, closes, and sets the exit code that `verb` answers. Throws CliError. */
export async function runVerb(
  terminal: Terminal,
  flags: ConnectionFlags,
  name: string,
  verb: (work: Work) => Promise<ExitCode>,
): Promise<void> {
  const connections: Connection[] = [];
  try {
    await runInTerminal(terminal, flags.json === true, async (output, stop) => {
      const another = async (): Promise<Connection> => {
        const vhost = flags.vhost === undefined ? {} : { vhost: flags.vhost };
        const connection = await connect(flags.url, { ...vhost, name: `leveret ${name}`, reconnect: false, signal: stop });
        connections.push(connection);
        return connection;
      };
      try {
        return await verb({ connection: await another(), output, stop, another });
      } catch (error) {
        throw translate(error, flags.url, connections.length === 0);
      }
    });
  } finally {
    await Promise.allSettled(connections.map((connection) => connection.close()));
  }
}

function translate(error: unknown, url: string, isConnecting: boolean): unknown {
  if (!(error instanceof LeveretError)) return error;
  const hint = hintFor(error, url, isConnecting);
  return new CliError(exitCodeOf(error, isConnecting), printable(error.reason), hint === undefined ? undefined : printable(hint));
}

/** What to do about it, in the words of the command line: the client's hints speak of its own options. */
function hintFor({ code, hint }: LeveretError, url: string, isConnecting: boolean): string | undefined {
  if (code === 'NO_ROUTE') return 'bind a queue, or leave out --mandatory';
  if (code === 'INVALID' && isConnecting) return `--url is like ${DEFAULT_URL}, not ${withoutPassword(url)}`;
  if (code === 'DISCONNECTED') return hint ?? `is a broker listening at ${withoutPassword(url)}? Start one with: leveret start`;
  return hint;
}

function exitCodeOf({ code }: LeveretError, isConnecting: boolean): ExitCode {
  if (code === 'ACCESS_REFUSED' && isConnecting) return ExitCode.LoginRefused;
  if (code === 'DISCONNECTED') return ExitCode.Unreachable;
  if (code === 'TIMEOUT') return ExitCode.Timeout;
  if (code === 'INVALID') return ExitCode.Usage;
  return ExitCode.Failure;
}

function withoutPassword(url: string): string {
  return url.replace(/\/\/[^@/]*@/, '//');
}
