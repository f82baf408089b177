// Verbs about what users may do: set_permissions, clear_permissions, and the same for topics.
// Always: no verb opens more than it was asked to: where the API can only clear a user's topic permissions together, clearing one of several is refused.
// Refuses: to check patterns: the broker does.

import type { Json } from '../../shared/protocol/control.ts';
import { type Api, ApiError, path } from './api.ts';
import { type ApiWork, addVhostFlags, type Configure, runApiVerb, type VhostFlags } from './api-verb.ts';
import { CliError, ExitCode } from './exit-codes.ts';

export const verbs: Readonly<Record<string, Configure>> = {
  set_permissions(command, terminal) {
    command
      .argument('<user>')
      .argument('<configure>', 'a regular expression: what it may declare and delete; "" is nothing, ".*" everything')
      .argument('<write>', 'what it may publish to and bind')
      .argument('<read>', 'what it may consume from and bind to')
      .action(async (user: string, configure: string, write: string, read: string, flags: VhostFlags) => {
        await runApiVerb(terminal, flags, async ({ api, done }) => {
          const { vhost } = flags;
          await putRights(api, 'permissions', { vhost, user }, { configure, write, read });
          await done({ user, vhost, configure, write, read }, `permissions of user ${user} in vhost ${vhost} set`);
          return ExitCode.Ok;
        });
      });
    addVhostFlags(command, terminal);
  },

  clear_permissions(command, terminal) {
    command.argument('<user>').action(async (user: string, flags: VhostFlags) => {
      await runApiVerb(terminal, flags, async ({ api, done }) => {
        const { vhost } = flags;
        await api.delete(path('permissions', vhost, user), { what: `permission of user '${user}' in vhost '${vhost}'` });
        await done({ user, vhost }, `user ${user} may no longer use vhost ${vhost}`);
        return ExitCode.Ok;
      });
    });
    addVhostFlags(command, terminal);
  },

  set_topic_permissions(command, terminal) {
    command
      .argument('<user>')
      .argument('<exchange>')
      .argument('<write>', 'a regular expression: routing keys it may publish with')
      .argument('<read>', 'binding keys it may bind with')
      .action(async (user: string, exchange: string, write: string, read: string, flags: VhostFlags) => {
        await runApiVerb(terminal, flags, async ({ api, done }) => {
          const { vhost } = flags;
          await putRights(api, 'topic-permissions', { vhost, user }, { exchange, write, read });
          const text = `topic permissions of user ${user} on exchange ${exchange} in vhost ${vhost} set`;
          await done({ user, vhost, exchange, write, read }, text);
          return ExitCode.Ok;
        });
      });
    addVhostFlags(command, terminal);
  },

  clear_topic_permissions(command, terminal) {
    command
      .argument('<user>')
      .argument('[exchange]', 'nothing: those on every exchange of the vhost')
      .action(async (user: string, exchange: string | undefined, flags: VhostFlags) => {
        await runApiVerb(terminal, flags, (work) => clearTopics(work, user, exchange, flags));
      });
    addVhostFlags(command, terminal);
  },
};

/** The API says that one of the two is not there; here is which. */
async function putRights(
  api: Api,
  kind: 'permissions' | 'topic-permissions',
  { vhost, user }: { readonly vhost: string; readonly user: string },
  rights: Json,
): Promise<void> {
  try {
    await api.put(path(kind, vhost, user), rights);
  } catch (error) {
    if (!(error instanceof ApiError) || error.reason !== 'vhost_or_user_not_found') throw error;
    await api.get(path('users', user), { what: `user '${user}'` });
    await api.get(path('vhosts', vhost), { what: `vhost '${vhost}'` });
    throw error;
  }
}

async function clearTopics({ api, done }: ApiWork, user: string, exchange: string | undefined, { vhost }: VhostFlags): Promise<ExitCode> {
  const what = `topic permission of user '${user}' in vhost '${vhost}'`;
  if (exchange !== undefined) {
    const all: unknown[] = [];
    for await (const entry of api.list(path('topic-permissions', vhost, user), { what })) all.push(entry['exchange']);
    if (!all.includes(exchange)) throw new CliError(ExitCode.Failure, `there is no ${what} on exchange '${exchange}'`);
    if (all.length > 1)
      throw new CliError(
        ExitCode.Failure,
        `user '${user}' has topic permissions on ${all.length} exchanges, and the HTTP API clears them together`,
        `this allows every key on that one: leveret set_topic_permissions -p ${vhost} ${user} ${exchange} '.*' '.*'`,
      );
  }
  await api.delete(path('topic-permissions', vhost, user), { what });
  await done({ user, vhost }, `topic permissions of user ${user} in vhost ${vhost} cleared`);
  return ExitCode.Ok;
}
