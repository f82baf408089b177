// The command line `leveret`: which verbs there are, and where an error of one becomes a line on stderr and an exit code.
// Always: (1) a verb's module is loaded only when that verb is used, so `start` pays for nothing else; (2) every failure leaves through `run`,
// as one line (two with a hint) and one of exit-codes.ts; (3) stdout holds results only.
// A verb is a module with `configure(command)`: it adds its arguments and options, and an action that may answer an ExitCode or throw a CliError.

import { styleText } from 'node:util';
import { Command, CommanderError } from 'commander';
import { VERSION } from '../version.ts';
import { CliError, ExitCode } from './exit-codes.ts';

interface Verb {
  readonly name: string;
  readonly summary: string;
  readonly load: () => Promise<{ configure(command: Command): void }>;
}

const VERBS: readonly Verb[] = [
  { name: 'start', summary: 'run the broker', load: () => import('./start.ts') },
  { name: 'config', summary: 'check, print and explain the configuration', load: () => import('./config.ts') },
  { name: 'publish', summary: 'publish messages, from the command line or from stdin', load: () => import('./publish.ts') },
  { name: 'consume', summary: 'print the messages of a queue as they come, and settle them', load: () => import('./consume.ts') },
  { name: 'get', summary: 'take single messages from a queue', load: () => import('./get.ts') },
  { name: 'tail', summary: 'watch what an exchange routes, leaving no trace', load: () => import('./tail.ts') },
  { name: 'declare', summary: 'declare an exchange or a queue', load: () => import('./declare.ts') },
  { name: 'bind', summary: 'bind a queue or an exchange to an exchange', load: () => import('./bind.ts') },
  { name: 'bench', summary: 'measure a running broker', load: () => import('./bench.ts') },
  { name: 'fsck', summary: 'check a data directory that no broker uses', load: () => import('./fsck.ts') },
  { name: 'repair', summary: 'make a damaged data directory one that opens again', load: () => import('./repair.ts') },
  { name: 'dump-wal', summary: 'show the records of log files', load: () => import('./dump-wal.ts') },
];

const ignore = (): void => undefined;

/** Runs one command line (without node and script) and answers its exit code. */
export async function run(words: readonly string[]): Promise<ExitCode> {
  if (!process.stdout.listeners('error').includes(ignore)) process.stdout.on('error', ignore); // nobody reads the help, or the greeting of a broker, which goes on; results are Output's
  const program = new Command('leveret');
  program
    .description('Leveret, a message broker: exchanges, queues, one command.')
    .version(VERSION, '-V, --version')
    .showHelpAfterError('(leveret --help shows what there is)')
    .exitOverride();
  const wanted = wantedVerb(words);
  for (const verb of VERBS) {
    const command = program.command(verb.name).description(verb.summary).exitOverride();
    if (verb.name === wanted) (await verb.load()).configure(command);
  }
  if (words.length === 0) {
    program.outputHelp({ error: true });
    return ExitCode.Usage;
  }
  try {
    await program.parseAsync(words, { from: 'user' });
    const code = process.exitCode;
    return isExitCode(code) ? code : ExitCode.Ok;
  } catch (error) {
    return report(error);
  }
}

/** The verb whose options must be known: the first word, or the one `help` asks about. */
function wantedVerb(words: readonly string[]): string | undefined {
  const [first, second] = words.filter((word) => !word.startsWith('-'));
  return first === 'help' ? second : first;
}

function isExitCode(code: unknown): code is ExitCode {
  return Object.values<unknown>(ExitCode).includes(code);
}

function report(error: unknown): ExitCode {
  if (error instanceof CommanderError) return error.exitCode === 0 ? ExitCode.Ok : ExitCode.Usage;
  const word = styleText('red', 'leveret:', { stream: process.stderr });
  if (error instanceof CliError) {
    process.stderr.write(`${word} ${error.message}\n${error.hint === undefined ? '' : `  ${error.hint}\n`}`);
    return error.exitCode;
  }
  process.stderr.write(`${word} ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  return ExitCode.Internal;
}
