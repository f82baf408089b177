// Verbs for the one on call: status, purge_queue, delete_queue, close_connection, close_all_connections.
// Always: close_all_connections goes on when a connection has ended by itself meanwhile. Refuses: to act on what was not named.
// RabbitMQ differs: rabbitmqctl names a connection by its Erlang pid, the HTTP API by its name.

import { ApiError, path } from './api.ts';
import {
  type ApiFlags,
  type ApiWork,
  addApiFlags,
  addVhostFlags,
  type Configure,
  inVhost,
  runApiVerb,
  type VhostFlags,
} from './api-verb.ts';
import { wholeNumber } from './arguments.ts';
import { ExitCode } from './exit-codes.ts';
import { readStatus, statusLines } from './status.ts';

interface DeleteFlags extends VhostFlags {
  readonly ifEmpty?: true;
  readonly ifUnused?: true;
}
interface CloseAllFlags extends VhostFlags {
  readonly global?: true;
  readonly limit?: number;
}

export const verbs: Readonly<Record<string, Configure>> = {
  status(command, terminal) {
    command.action(async (flags: ApiFlags) => {
      await runApiVerb(terminal, flags, async ({ api, output }) => {
        const status = await readStatus(api);
        await output.result({ ...status }, () => statusLines(status).join('\n'));
        return ExitCode.Ok;
      });
    });
    addApiFlags(command, terminal);
  },

  purge_queue(command, terminal) {
    command.argument('<queue>').action(async (queue: string, flags: VhostFlags) => {
      await runApiVerb(terminal, flags, async ({ api, done }) => {
        await api.delete(path('queues', flags.vhost, queue, 'contents'), { what: inVhost('queue', queue, flags) });
        await done({ queue, vhost: flags.vhost }, `queue ${queue} purged; what is unacked stays`);
        return ExitCode.Ok;
      });
    });
    addVhostFlags(command, terminal);
  },

  delete_queue(command, terminal) {
    command
      .argument('<queue>')
      .option('-e, --if-empty', 'only if no message is in it')
      .option('-u, --if-unused', 'only if it has no consumer')
      .action(async (queue: string, flags: DeleteFlags) => {
        await runApiVerb(terminal, flags, async ({ api, done }) => {
          const { vhost, ifEmpty, ifUnused } = flags;
          const query = { 'if-empty': ifEmpty === true ? 'true' : undefined, 'if-unused': ifUnused === true ? 'true' : undefined };
          await api.delete(path('queues', vhost, queue), { query, what: inVhost('queue', queue, flags) });
          await done({ queue, vhost }, `queue ${queue} deleted`);
          return ExitCode.Ok;
        });
      });
    addVhostFlags(command, terminal);
  },

  close_connection(command, terminal) {
    command
      .argument('<connection>', 'its name, as list_connections name shows it')
      .argument('<reason>', 'the client is told')
      .action(async (connection: string, reason: string, flags: ApiFlags) => {
        await runApiVerb(terminal, flags, async ({ api, done }) => {
          const what = `connection '${connection}'`;
          await api.get(path('connections', connection), { what, query: { columns: 'name' } }); // RabbitMQ answers 204 for what is not there too
          await api.delete(path('connections', connection), { headers: reasonHeader(reason), what });
          await done({ connection }, `connection ${connection} closed`);
          return ExitCode.Ok;
        });
      });
    addApiFlags(command, terminal);
  },

  close_all_connections(command, terminal) {
    command
      .argument('<reason>', 'the clients are told')
      .option('--global', 'those of every vhost')
      .option('--limit <number>', 'close at most this many', wholeNumber(1))
      .action(async (reason: string, flags: CloseAllFlags) => {
        await runApiVerb(terminal, flags, (work) => closeAll(work, reason, flags));
      });
    addVhostFlags(command, terminal);
  },
};

async function closeAll({ api, done }: ApiWork, reason: string, { global, limit, vhost }: CloseAllFlags): Promise<ExitCode> {
  const target = global === true ? path('connections') : path('vhosts', vhost, 'connections');
  const names: string[] = [];
  const query = { columns: 'name', sort: 'name' };
  for await (const { name } of api.list(target, { query, what: `vhost '${vhost}'` })) if (typeof name === 'string') names.push(name);
  let closed = 0;
  for (const name of names.slice(0, limit)) {
    try {
      await api.delete(path('connections', name), { headers: reasonHeader(reason) });
      closed++;
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 404)) throw error;
    }
  }
  await done({ closed }, `${closed} connection${closed === 1 ? '' : 's'} closed`);
  return ExitCode.Ok;
}

/** A header holds one line of Latin-1. */
function reasonHeader(reason: string): Readonly<Record<string, string>> {
  return { 'x-reason': reason.replace(/[^\x20-\x7e\xa0-\xff]/g, '?') };
}
