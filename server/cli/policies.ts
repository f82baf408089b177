// Verbs about policies and operator policies: set_policy, clear_policy, set_operator_policy, clear_operator_policy.
// Always: a definition is read as JSON here, so that a slip of the shell's quotes is told before anything is sent.
// Refuses: to judge a definition: the broker does.

import { InvalidArgumentError, Option } from 'commander';
import type { Json } from '../../shared/protocol/control.ts';
import { isFields, path } from './api.ts';
import { addVhostFlags, type Configure, inVhost, runApiVerb, type VhostFlags } from './api-verb.ts';
import { wholeNumber } from './arguments.ts';
import { ExitCode } from './exit-codes.ts';

interface SetFlags extends VhostFlags {
  readonly priority: number;
  readonly applyTo: string;
  readonly glob?: true;
}

export const verbs: Readonly<Record<string, Configure>> = {
  set_policy: setter('policies', 'policy', ['all', 'queues', 'exchanges', 'classic_queues', 'quorum_queues', 'streams'], 'all'),
  clear_policy: clearer('policies', 'policy'),
  set_operator_policy: setter('operator-policies', 'operator policy', ['queues', 'classic_queues', 'quorum_queues', 'streams'], 'queues'),
  clear_operator_policy: clearer('operator-policies', 'operator policy'),
};

function setter(at: string, what: string, kinds: readonly string[], absent: string): Configure {
  return (command, terminal) => {
    command
      .argument('<name>')
      .argument('<pattern>', 'a regular expression for names, such as ^orders')
      .argument('<definition>', 'as JSON: {"max-length": 10000, "dead-letter-exchange": "dlx"}', readDefinition)
      .option('--glob', 'the pattern is a glob such as orders.*, which RabbitMQ does not know')
      .option('--priority <number>', 'of several that match, the highest holds', wholeNumber(0), 0)
      .addOption(new Option('--apply-to <what>', 'what it holds for').choices(kinds).default(absent))
      .action(async (name: string, pattern: string, definition: Json, flags: SetFlags) => {
        await runApiVerb(terminal, flags, async ({ api, done }) => {
          const { vhost, priority, applyTo } = flags;
          const policy = { ...(flags.glob === true ? { glob: pattern } : { pattern }), definition, priority, 'apply-to': applyTo };
          await api.put(path(at, vhost, name), policy);
          await done({ name, vhost, ...policy }, `${what} ${name} in vhost ${vhost} set`);
          return ExitCode.Ok;
        });
      });
    addVhostFlags(command, terminal);
  };
}

function clearer(at: string, what: string): Configure {
  return (command, terminal) => {
    command.argument('<name>').action(async (name: string, flags: VhostFlags) => {
      await runApiVerb(terminal, flags, async ({ api, done }) => {
        await api.delete(path(at, flags.vhost, name), { what: inVhost(what, name, flags) });
        await done({ name, vhost: flags.vhost }, `${what} ${name} in vhost ${flags.vhost} cleared`);
        return ExitCode.Ok;
      });
    });
    addVhostFlags(command, terminal);
  };
}

function readDefinition(text: string): Json {
  let read: Json | undefined;
  try {
    read = JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  if (isFields(read)) return read;
  throw new InvalidArgumentError('write a JSON object, in quotes: \'{"max-length": 10000}\'.');
}
