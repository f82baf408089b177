// The command line `leveret`: which verbs there are, and where an error of one becomes a line on stderr and an exit code.
// Always: (1) a verb's module is loaded only when that verb is used, so `start` pays for nothing else; (2) every failure leaves through `run`,
// as one line (two with a hint) and one of exit-codes.ts; (3) stdout holds results only.
// A verb is a module with `configure(command)`: it adds its arguments and options, and an action that may answer an ExitCode or throw a CliError.

import { styleText } from 'node:util';
import { Command, CommanderError, Help } from 'commander';
import { invariant } from '../../shared/assert.ts';
import { VERSION } from '../version.ts';
import type { Configure } from './api-verb.ts';
import { CliError, ExitCode } from './exit-codes.ts';
import { processTerminal } from './terminal.ts';

interface Family {
  readonly verbs: Readonly<Record<string, Configure>>;
}
interface Verb {
  readonly name: string;
  readonly summary: string;
  readonly load: () => Promise<{ configure(command: Command): void }>;
}
interface Group {
  /** As --help shows it. */
  readonly title: string;
  readonly verbs: readonly Verb[];
}

const COMPLETION = 'completion'; // needs the flags of every verb

// One module has the verbs of a family, by their names.
const lists = (): Promise<Family> => import('./list.ts');
const users = (): Promise<Family> => import('./users.ts');
const permissions = (): Promise<Family> => import('./permissions.ts');
const vhosts = (): Promise<Family> => import('./vhosts.ts');
const policies = (): Promise<Family> => import('./policies.ts');
const operations = (): Promise<Family> => import('./operations.ts');
const definitions = (): Promise<Family> => import('./definitions.ts');

const GROUPS: readonly Group[] = [
  {
    title: 'Broker and messages:',
    verbs: [
      { name: 'start', summary: 'run the broker', load: () => import('./start.ts') },
      { name: 'config', summary: 'check, print and explain the configuration', load: () => import('./config.ts') },
      { name: 'publish', summary: 'publish messages, from the command line or from stdin', load: () => import('./publish.ts') },
      { name: 'consume', summary: 'print the messages of a queue as they come, and settle them', load: () => import('./consume.ts') },
      { name: 'get', summary: 'take single messages from a queue', load: () => import('./get.ts') },
      { name: 'tail', summary: 'watch what an exchange routes, leaving no trace', load: () => import('./tail.ts') },
      { name: 'declare', summary: 'declare an exchange or a queue', load: () => import('./declare.ts') },
      { name: 'bind', summary: 'bind a queue or an exchange to an exchange', load: () => import('./bind.ts') },
    ],
  },
  {
    title: 'What is there:',
    verbs: [
      of(operations, { name: 'status', summary: 'show what the broker is, and how it does' }),
      { name: 'top', summary: 'watch the busiest queues, as top does processes', load: () => import('./top.ts') },
      of(lists, { name: 'list_queues', summary: 'list queues' }),
      of(lists, { name: 'list_exchanges', summary: 'list exchanges' }),
      of(lists, { name: 'list_bindings', summary: 'list bindings' }),
      of(lists, { name: 'list_connections', summary: 'list connections' }),
      of(lists, { name: 'list_channels', summary: 'list channels' }),
      of(lists, { name: 'list_consumers', summary: 'list consumers' }),
      { name: 'explain', summary: 'tell why a publish would go where it goes', load: () => import('./explain.ts') },
      { name: 'doctor', summary: 'look a topology over, and say what will hurt', load: () => import('./doctor.ts') },
    ],
  },
  {
    title: 'Queues and connections:',
    verbs: [
      of(operations, { name: 'purge_queue', summary: 'throw away the ready messages of a queue' }),
      of(operations, { name: 'delete_queue', summary: 'delete a queue' }),
      of(operations, { name: 'close_connection', summary: 'close a connection' }),
      of(operations, { name: 'close_all_connections', summary: 'close the connections to a virtual host' }),
    ],
  },
  {
    title: 'Users and permissions:',
    verbs: [
      of(lists, { name: 'list_users', summary: 'list users and their tags' }),
      of(users, { name: 'add_user', summary: 'make a user' }),
      of(users, { name: 'delete_user', summary: 'delete a user' }),
      of(users, { name: 'change_password', summary: 'give a user another password' }),
      of(users, { name: 'clear_password', summary: 'take the password of a user away' }),
      of(users, { name: 'authenticate_user', summary: 'see whether a user comes in with a password' }),
      of(users, { name: 'set_user_tags', summary: 'say what a user may do in the HTTP API' }),
      of(lists, { name: 'list_permissions', summary: 'list who may do what in a virtual host' }),
      of(lists, { name: 'list_user_permissions', summary: 'list what a user may do, and where' }),
      of(permissions, { name: 'set_permissions', summary: 'say what a user may do in a virtual host' }),
      of(permissions, { name: 'clear_permissions', summary: 'let a user no longer into a virtual host' }),
      of(lists, { name: 'list_topic_permissions', summary: 'list which routing keys users may use in a virtual host' }),
      of(lists, { name: 'list_user_topic_permissions', summary: 'list which routing keys a user may use, and where' }),
      of(permissions, { name: 'set_topic_permissions', summary: 'limit the routing keys of a user at an exchange' }),
      of(permissions, { name: 'clear_topic_permissions', summary: 'no longer limit the routing keys of a user' }),
      of(lists, { name: 'list_user_limits', summary: 'list the limits of a user' }),
      of(users, { name: 'set_user_limits', summary: 'limit the connections and channels of a user' }),
      of(users, { name: 'clear_user_limits', summary: 'no longer limit a user' }),
      of(users, { name: 'hash_password', summary: 'make the hash of a password, for a definitions file' }),
    ],
  },
  {
    title: 'Virtual hosts:',
    verbs: [
      of(lists, { name: 'list_vhosts', summary: 'list virtual hosts' }),
      of(vhosts, { name: 'add_vhost', summary: 'make a virtual host' }),
      of(vhosts, { name: 'delete_vhost', summary: 'delete a virtual host and all that is in it' }),
      of(lists, { name: 'list_vhost_limits', summary: 'list the limits of a virtual host' }),
      of(vhosts, { name: 'set_vhost_limits', summary: 'limit the connections and queues of a virtual host' }),
      of(vhosts, { name: 'clear_vhost_limits', summary: 'no longer limit a virtual host' }),
    ],
  },
  {
    title: 'Policies and parameters:',
    verbs: [
      of(lists, { name: 'list_policies', summary: 'list policies' }),
      of(policies, { name: 'set_policy', summary: 'give queues and exchanges arguments by their names' }),
      of(policies, { name: 'clear_policy', summary: 'take a policy away' }),
      of(lists, { name: 'list_operator_policies', summary: 'list operator policies' }),
      of(policies, { name: 'set_operator_policy', summary: 'limit queues by their names, whatever their owners say' }),
      of(policies, { name: 'clear_operator_policy', summary: 'take an operator policy away' }),
      of(lists, { name: 'list_parameters', summary: 'list parameters' }),
    ],
  },
  {
    title: 'Definitions files:',
    verbs: [
      of(definitions, { name: 'import_definitions', summary: 'load a definitions file' }),
      of(definitions, { name: 'export_definitions', summary: 'write a definitions file' }),
      of(definitions, { name: 'plan', summary: 'show what differs between a broker and a definitions file' }),
      of(definitions, { name: 'apply', summary: 'make a broker what a definitions file says' }),
    ],
  },
  {
    title: 'Tools:',
    verbs: [
      { name: 'bench', summary: 'measure a running broker', load: () => import('./bench.ts') },
      { name: 'fsck', summary: 'check a data directory that no broker uses', load: () => import('./fsck.ts') },
      { name: 'repair', summary: 'make a damaged data directory one that opens again', load: () => import('./repair.ts') },
      { name: 'dump-wal', summary: 'show the records of log files', load: () => import('./dump-wal.ts') },
      { name: COMPLETION, summary: 'print a script that completes verbs and flags in a shell', load: () => import('./completion.ts') },
    ],
  },
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
    .configureHelp({ subcommandTerm: (command) => (command.parent === program ? command.name() : new Help().subcommandTerm(command)) }) // without list-queues beside list_queues
    .addHelpText('after', '\nEvery verb with an underscore may be written with a dash: list-queues.')
    .exitOverride();
  const wanted = wantedVerb(words);
  for (const { title, verbs } of GROUPS) {
    for (const verb of verbs) {
      const command = program.command(verb.name).description(verb.summary).helpGroup(title).exitOverride();
      command.showHelpAfterError(`(leveret ${verb.name} --help shows what it takes)`);
      if (verb.name.includes('_')) command.alias(verb.name.replaceAll('_', '-'));
      if (wanted === COMPLETION || wanted === verb.name || command.aliases().includes(wanted ?? '')) (await verb.load()).configure(command);
    }
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

/** A verb of a family, as it is loaded when it is used. */
function of(family: () => Promise<Family>, { name, summary }: Pick<Verb, 'name' | 'summary'>): Verb {
  return {
    name,
    summary,
    load: async () => {
      const configure = (await family()).verbs[name];
      invariant(configure !== undefined, `no module has the verb ${name}`);
      return { configure: (command) => configure(command, processTerminal()) };
    },
  };
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
