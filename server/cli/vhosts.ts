// Verbs about virtual hosts: add_vhost, delete_vhost and their limits.
// Always: adding one that is there changes nothing and fails. Refuses: to ask whether you are sure: delete_vhost deletes all that is in it, as rabbitmqctl does.

import { path } from './api.ts';
import { type ApiFlags, addApiFlags, addVhostFlags, type Configure, runApiVerb, type VhostFlags } from './api-verb.ts';
import { CliError, ExitCode } from './exit-codes.ts';
import { clearLimits, type Limits, readLimits, setLimits } from './limits.ts';

interface AddFlags extends ApiFlags {
  readonly description?: string;
  readonly tags?: string;
  readonly defaultQueueType?: string;
}

export const verbs: Readonly<Record<string, Configure>> = {
  add_vhost(command, terminal) {
    command
      .argument('<vhost>')
      .option('--description <text>', 'what it is for')
      .option('--tags <tag,tag>', 'words to find it by')
      .option('--default-queue-type <type>', 'classic, quorum or stream')
      .action(async (vhost: string, flags: AddFlags) => {
        await runApiVerb(terminal, flags, async ({ api, done }) => {
          if ((await api.find(path('vhosts', vhost))) !== undefined)
            throw new CliError(ExitCode.Failure, `vhost '${vhost}' exists already`);
          const { description, tags, defaultQueueType } = flags;
          await api.put(path('vhosts', vhost), {
            ...(description === undefined ? {} : { description }),
            ...(tags === undefined ? {} : { tags }),
            ...(defaultQueueType === undefined ? {} : { default_queue_type: defaultQueueType }),
          });
          await done({ vhost }, `vhost ${vhost} added: set_permissions -p ${vhost} lets users in`);
          return ExitCode.Ok;
        });
      });
    addApiFlags(command, terminal);
  },

  delete_vhost(command, terminal) {
    command.argument('<vhost>').action(async (vhost: string, flags: ApiFlags) => {
      await runApiVerb(terminal, flags, async ({ api, done }) => {
        await api.delete(path('vhosts', vhost), { what: `vhost '${vhost}'` });
        await done({ vhost }, `vhost ${vhost} deleted, with all that was in it`);
        return ExitCode.Ok;
      });
    });
    addApiFlags(command, terminal);
  },

  set_vhost_limits(command, terminal) {
    command
      .argument('<limits>', 'as JSON: {"max-connections": 100, "max-queues": 1000}; -1 is no limit', readLimits)
      .action(async (limits: Limits, flags: VhostFlags) => {
        await runApiVerb(terminal, flags, async ({ api, done }) => {
          const { vhost } = flags;
          await api.get(path('vhosts', vhost), { what: `vhost '${vhost}'` });
          await setLimits(api, ['vhost-limits', vhost], limits);
          await done({ vhost, limits }, `limits of vhost ${vhost} set`);
          return ExitCode.Ok;
        });
      });
    addVhostFlags(command, terminal);
  },

  clear_vhost_limits(command, terminal) {
    command.action(async (flags: VhostFlags) => {
      await runApiVerb(terminal, flags, async ({ api, done }) => {
        const { vhost } = flags;
        await api.get(path('vhosts', vhost), { what: `vhost '${vhost}'` });
        const cleared = await clearLimits(api, ['vhost-limits', vhost], 'all');
        await done({ vhost, cleared }, `limits of vhost ${vhost} cleared`);
        return ExitCode.Ok;
      });
    });
    addVhostFlags(command, terminal);
  },
};
