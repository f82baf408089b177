// Users, permissions and topic permissions. For administrators; `whoami` for everybody.
// Always: a password is hashed before anything is kept, and no answer shows one.
// Refuses: to check patterns (broker/rights.ts does).

import type { UserRecord } from '../../broker/users.ts';
import { durable } from '../acting.ts';
import { badRequest, notFound } from '../http-error.ts';
import { list } from '../listing.ts';
import { type Call, Created, type Route, textOf } from '../route.ts';
import { tagsOf } from './vhosts.ts';

function showUser({ broker }: Call, name: string): object {
  const record = broker.users.record(name);
  if (record === undefined) throw notFound();
  const limits = broker.records.get('user-limits', [name]) ?? {};
  return { name, password_hash: record.passwordHash, hashing_algorithm: record.hashingAlgorithm, tags: record.tags, limits };
}

async function putUser(call: Call): Promise<Created | undefined> {
  const { body, broker, path } = call;
  const name = path['name'] ?? '';
  const before = broker.users.record(name);
  if (body['tags'] === undefined) throw badRequest("'tags' is missing", 'a list of words, or an empty one');
  const tags = tagsOf(body);
  broker.users.put(name, { ...(await hashOf(call, before)), tags });
  await durable(call);
  return before === undefined ? new Created() : undefined;
}

async function hashOf({ body, hashPassword }: Call, before: UserRecord | undefined): Promise<Omit<UserRecord, 'tags'>> {
  if (body['password'] !== undefined) return await hashPassword(textOf(body, 'password'));
  if (body['password_hash'] !== undefined) {
    const hashingAlgorithm = textOf(body, 'hashing_algorithm', RABBIT_DEFAULT);
    if (!HASHING_ALGORITHMS.includes(hashingAlgorithm))
      throw badRequest(`no hashing algorithm '${hashingAlgorithm}'`, HASHING_ALGORITHMS.join(', '));
    return { passwordHash: textOf(body, 'password_hash'), hashingAlgorithm };
  }
  if (before !== undefined) return before;
  throw badRequest("'password' or 'password_hash' is missing", 'an empty password_hash makes a user without a password');
}

async function deleteUser(call: Call): Promise<void> {
  if (!call.broker.users.delete(call.path['name'] ?? '')) throw notFound();
  await durable(call);
}

async function bulkDelete(call: Call): Promise<void> {
  const names = call.body['users'];
  if (!Array.isArray(names)) throw badRequest("'users' must be a list of names");
  for (const name of names) call.broker.users.delete(String(name));
  await durable(call);
}

// RabbitMQ's, and ours; without a word about it RabbitMQ means its SHA-256.
const RABBIT_DEFAULT = 'rabbit_password_hashing_sha256';
const HASHING_ALGORITHMS = [RABBIT_DEFAULT, 'rabbit_password_hashing_sha512', 'leveret_scrypt'];

type Entries = readonly { readonly key: readonly string[]; readonly value: object }[];
const permissions = ({ broker }: Call): object[] => showPermissions(broker.records.entries('permission'));
const showPermissions = (entries: Entries): object[] => entries.map(({ key: [vhost, user], value }) => ({ user, vhost, ...value }));
const topicPermissions = ({ broker }: Call): object[] =>
  broker.records.entries('topic-permission').map(({ key: [vhost, user, exchange], value }) => ({ user, vhost, exchange, ...value }));
const having = (objects: object[], field: string, name: string | undefined): object[] =>
  objects.filter((object) => Object.entries(object).some(([key, value]) => key === field && value === name));

/** Throws 400 for a vhost that is not there. */
function placeOf({ broker, path }: Call): { vhost: string; user: string } {
  const { vhost = '', user = '' } = path;
  if (broker.vhost(vhost) === undefined) throw badRequest(`vhost '${vhost}' does not exist`);
  return { vhost, user };
}

async function putPermissions(call: Call): Promise<Created | undefined> {
  const { body, broker } = call;
  const { vhost, user } = placeOf(call);
  const isNew = broker.records.get('permission', [vhost, user]) === undefined;
  broker.users.setPermissions(user, vhost, {
    configure: textOf(body, 'configure'),
    write: textOf(body, 'write'),
    read: textOf(body, 'read'),
  });
  await durable(call);
  return isNew ? new Created() : undefined;
}

async function putTopicPermissions(call: Call): Promise<Created | undefined> {
  const { body, broker } = call;
  const { vhost, user } = placeOf(call);
  const exchange = textOf(body, 'exchange');
  const isNew = broker.records.get('topic-permission', [vhost, user, exchange]) === undefined;
  broker.users.setTopicPermissions(user, vhost, exchange, { write: textOf(body, 'write'), read: textOf(body, 'read') });
  await durable(call);
  return isNew ? new Created() : undefined;
}

function onePermission(call: Call): object {
  const { vhost = '', user = '' } = call.path;
  const value = call.broker.records.get('permission', [vhost, user]);
  if (value === undefined) throw notFound();
  return { user, vhost, ...value };
}

async function clear(call: Call): Promise<void> {
  if (!call.broker.users.clearPermissions(call.path['user'] ?? '', call.path['vhost'] ?? '')) throw notFound();
  await durable(call);
}

const tag = 'administrator' as const;
const names = (call: Call, wanted: (name: string) => boolean = () => true): unknown =>
  list({ things: call.broker.users.names().filter(wanted), nameOf: (name) => name, show: (name) => showUser(call, name) }, call.query);

export const userRoutes: readonly Route[] = [
  {
    tag: 'management',
    method: 'GET',
    path: '/api/whoami',
    summary: 'Who the caller is',
    handle: ({ account }) => ({ name: account.name, tags: [...account.tags] }),
  },
  { tag, method: 'GET', path: '/api/users', summary: 'Lists users', handle: (call) => names(call) },
  {
    tag,
    method: 'GET',
    path: '/api/users/without-permissions',
    summary: 'Lists users who may open no vhost',
    handle: (call) => names(call, (name) => !call.broker.records.entries('permission').some(({ key }) => key[1] === name)),
  },
  { tag, method: 'POST', path: '/api/users/bulk-delete', summary: 'Deletes users', handle: bulkDelete },
  { tag, method: 'GET', path: '/api/users/{name}', summary: 'Shows a user', handle: (call) => showUser(call, call.path['name'] ?? '') },
  { tag, method: 'PUT', path: '/api/users/{name}', summary: 'Makes or changes a user', handle: putUser },
  { tag, method: 'DELETE', path: '/api/users/{name}', summary: 'Deletes a user', handle: deleteUser },
  {
    tag,
    method: 'GET',
    path: '/api/users/{name}/permissions',
    summary: "Lists a user's permissions",
    handle: (call) => having(permissions(call), 'user', call.path['name']),
  },
  {
    tag,
    method: 'GET',
    path: '/api/users/{name}/topic-permissions',
    summary: "Lists a user's topic permissions",
    handle: (call) => having(topicPermissions(call), 'user', call.path['name']),
  },
  {
    tag,
    method: 'GET',
    path: '/api/vhosts/{name}/permissions',
    summary: 'Lists the permissions in a vhost',
    handle: (call) => having(permissions(call), 'vhost', call.path['name']),
  },
  {
    tag,
    method: 'GET',
    path: '/api/vhosts/{name}/topic-permissions',
    summary: 'Lists the topic permissions in a vhost',
    handle: (call) => having(topicPermissions(call), 'vhost', call.path['name']),
  },
  { tag, method: 'GET', path: '/api/permissions', summary: 'Lists permissions', handle: permissions },
  { tag, method: 'GET', path: '/api/permissions/{vhost}/{user}', summary: 'Shows what a user may do in a vhost', handle: onePermission },
  { tag, method: 'PUT', path: '/api/permissions/{vhost}/{user}', summary: 'Says what a user may do in a vhost', handle: putPermissions },
  { tag, method: 'DELETE', path: '/api/permissions/{vhost}/{user}', summary: "Takes a user's permissions in a vhost away", handle: clear },
  { tag, method: 'GET', path: '/api/topic-permissions', summary: 'Lists topic permissions', handle: topicPermissions },
  {
    tag,
    method: 'GET',
    path: '/api/topic-permissions/{vhost}/{user}',
    summary: "Lists a user's topic permissions in a vhost",
    handle: (call) => having(having(topicPermissions(call), 'user', call.path['user']), 'vhost', call.path['vhost']),
  },
  {
    tag,
    method: 'PUT',
    path: '/api/topic-permissions/{vhost}/{user}',
    summary: 'Limits the routing keys of a user at an exchange',
    handle: putTopicPermissions,
  },
  {
    tag,
    method: 'DELETE',
    path: '/api/topic-permissions/{vhost}/{user}',
    summary: "Takes a user's topic permissions in a vhost away",
    handle: async (call) => {
      call.broker.users.clearTopicPermissions(call.path['user'] ?? '', call.path['vhost'] ?? '');
      await durable(call);
    },
  },
];
