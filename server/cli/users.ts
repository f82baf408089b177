// Verbs about users: add_user, delete_user, change_password, clear_password, authenticate_user, set_user_tags, their limits, and hash_password.
// Always: (1) a password comes as a word, on the standard input or at a prompt, and is never printed; (2) what a verb does not speak of stays: a new password
// keeps the tags, new tags keep the password. Refuses: to know rights (permissions.ts). RabbitMQ differs: add_user of one that is there exits with 70, here with 1.

import type { Json } from '../../shared/protocol/control.ts';
import { RABBIT_SHA256 } from '../broker/password-hash.ts';
import { rabbitHash } from '../identity/passwords.ts';
import { type Api, ApiError, type Fields, path } from './api.ts';
import { type ApiFlags, type ApiWork, addApiFlags, type Configure, runApiVerb } from './api-verb.ts';
import { CliError, ExitCode } from './exit-codes.ts';
import { clearLimits, readLimits, setLimits } from './limits.ts';
import { Output } from './output.ts';
import { readPassword } from './password.ts';

const PASSWORD = 'nothing: it is read from the standard input, or asked for on a terminal';

interface AddFlags extends ApiFlags {
  readonly preHashedPassword?: true;
}

export const verbs: Readonly<Record<string, Configure>> = {
  add_user(command, terminal) {
    command
      .argument('<user>')
      .argument('[password]', PASSWORD)
      .option('--pre-hashed-password', 'the password is a hash, as hash_password prints it')
      .action(async (user: string, given: string | undefined, flags: AddFlags) => {
        await runApiVerb(terminal, flags, async ({ api, done }) => {
          if ((await api.find(path('users', user))) !== undefined)
            throw new CliError(ExitCode.Failure, `user '${user}' exists already`, 'change_password gives it another password');
          const password = await readPassword(terminal, given);
          const secret = flags.preHashedPassword === true ? { password_hash: password } : { password };
          await api.put(path('users', user), { ...secret, tags: '' });
          await done({ user }, `user ${user} added: set_permissions lets it into a vhost, set_user_tags into the HTTP API`);
          return ExitCode.Ok;
        });
      });
    addApiFlags(command, terminal);
  },

  delete_user(command, terminal) {
    command.argument('<user>').action(async (user: string, flags: ApiFlags) => {
      await runApiVerb(terminal, flags, async ({ api, done }) => {
        await api.delete(path('users', user), { what: `user '${user}'` });
        await done({ user }, `user ${user} deleted`);
        return ExitCode.Ok;
      });
    });
    addApiFlags(command, terminal);
  },

  change_password(command, terminal) {
    command
      .argument('<user>')
      .argument('[password]', PASSWORD)
      .action(async (user: string, given: string | undefined, flags: ApiFlags) => {
        await runApiVerb(terminal, flags, async ({ api, done }) => {
          const { tags } = await userOf(api, user);
          await api.put(path('users', user), { password: await readPassword(terminal, given), tags });
          await done({ user }, `user ${user} has a new password`);
          return ExitCode.Ok;
        });
      });
    addApiFlags(command, terminal);
  },

  clear_password(command, terminal) {
    command.argument('<user>').action(async (user: string, flags: ApiFlags) => {
      await runApiVerb(terminal, flags, async ({ api, done }) => {
        const { tags } = await userOf(api, user);
        await api.put(path('users', user), { password_hash: '', tags });
        await done({ user }, `user ${user} has no password: nobody can log in with one`);
        return ExitCode.Ok;
      });
    });
    addApiFlags(command, terminal);
  },

  authenticate_user(command, terminal) {
    command
      .argument('<user>')
      .argument('[password]', PASSWORD)
      .action(async (user: string, given: string | undefined, flags: ApiFlags) => {
        await runApiVerb(terminal, flags, async (work) => await authenticate(work, user, await readPassword(terminal, given)));
      });
    addApiFlags(command, terminal);
  },

  set_user_tags(command, terminal) {
    command
      .argument('<user>')
      .argument('[tag...]', 'management, policymaker, monitoring, administrator...; nothing takes all away')
      .action(async (user: string, tags: string[], flags: ApiFlags) => {
        await runApiVerb(terminal, flags, async ({ api, done }) => {
          const { passwordHash, hashingAlgorithm } = await userOf(api, user);
          const kept = { password_hash: passwordHash, hashing_algorithm: hashingAlgorithm };
          await api.put(path('users', user), { ...kept, tags: tags.flatMap((tag) => tag.split(',')).join(',') });
          await done({ user, tags }, `user ${user} ${tags.length === 0 ? 'has no tags' : `is tagged ${tags.join(', ')}`}`);
          return ExitCode.Ok;
        });
      });
    addApiFlags(command, terminal);
  },

  set_user_limits(command, terminal) {
    command
      .argument('<user>')
      .argument('<limits>', 'as JSON: {"max-connections": 10, "max-channels": 100}; -1 is no limit', readLimits)
      .action(async (user: string, limits: Readonly<Record<string, number>>, flags: ApiFlags) => {
        await runApiVerb(terminal, flags, async ({ api, done }) => {
          await userOf(api, user);
          await setLimits(api, ['user-limits', user], limits);
          await done({ user, limits }, `limits of user ${user} set`);
          return ExitCode.Ok;
        });
      });
    addApiFlags(command, terminal);
  },

  clear_user_limits(command, terminal) {
    command
      .argument('<user>')
      .argument('[limit]', 'max-connections, max-channels or all', 'all')
      .action(async (user: string, limit: string, flags: ApiFlags) => {
        await runApiVerb(terminal, flags, async ({ api, done }) => {
          await userOf(api, user);
          const cleared = await clearLimits(api, ['user-limits', user], limit);
          await done({ user, cleared }, `limits of user ${user} cleared`);
          return ExitCode.Ok;
        });
      });
    addApiFlags(command, terminal);
  },

  hash_password(command, terminal) {
    command
      .argument('[password]', PASSWORD)
      .option('--json', 'one JSON object a line')
      .action(async (given: string | undefined, flags: { readonly json?: true }) => {
        const hash = rabbitHash(await readPassword(terminal, given)).toString('base64');
        const output = new Output(terminal, flags.json === true);
        await output.result({ password_hash: hash, hashing_algorithm: RABBIT_SHA256 }, () => hash);
        output.check();
        terminal.exit(ExitCode.Ok);
      });
  },
};

interface User {
  readonly tags: string;
  readonly passwordHash: Json;
  readonly hashingAlgorithm: Json;
}

/** Throws CliError for a user who is not there. */
async function userOf(api: Api, name: string): Promise<User> {
  const user: Fields = await api.get(path('users', name), { what: `user '${name}'` });
  const tags: unknown = user['tags'];
  return {
    tags: Array.isArray(tags) ? tags.join(',') : String(tags ?? ''),
    passwordHash: String(user['password_hash'] ?? ''),
    hashingAlgorithm: String(user['hashing_algorithm'] ?? 'rabbit_password_hashing_sha256'),
  };
}

async function authenticate({ api, done }: ApiWork, user: string, password: string): Promise<ExitCode> {
  await api.get(path('whoami')); // the broker is there, and the one who asks may come in
  try {
    await api.as(user, password).get(path('whoami'));
  } catch (error) {
    // Who is known but not tagged for the API is refused for that alone.
    const isKnown = error instanceof ApiError && error.status === 401 && error.exitCode !== ExitCode.LoginRefused;
    if (!isKnown && error instanceof ApiError && error.status === 401)
      throw new CliError(ExitCode.Failure, `user '${user}' does not come in with that password: ${error.reason}`);
    if (!isKnown) throw error;
  }
  await done({ user, authenticated: true }, `user ${user} comes in with that password`);
  return ExitCode.Ok;
}
