// Users, permissions and topic permissions. For administrators; `whoami` for everybody.
// Always: a password is hashed before anything is kept, and no answer shows one.
// Refuses: to check patterns (broker/rights.ts does).

import { DEFAULT_HASHING, HASHING_ALGORITHMS, isPasswordHash } from '../../broker/password-hash.ts';
import type { UserRecord } from '../../broker/users.ts';
import { durable } from '../acting.ts';
import { anything, fields, tags, text } from '../bodies.ts';
import { badRequest, notFound } from '../http-error.ts';
import { columns, list } from '../listing.ts';
import { type Call, Created, type Route, textOf } from '../route.ts';
import { tagsOf } from './vhosts.ts';

function showUser({ broker }: Call, name: string): object {
  const record = broker.users.record(name);
  if (record === undefined) throw notFound();
  const limits = broker.records.get('user-limits', [name]) ?? {};
  return { name, password_hash: record.passwordHash, hashing_algorithm: record.hashingAlgorithm, tags: record.tags, limits };
}

async function putUser(call: Call): Promise<Created | undefined> {
  const { account, body, broker, path } = call;
  const name = path['name'] ?? '';
  const before = broker.users.record(name);
  const userTags = tagsOf(body);
  const password = await hashOf(call, before);
  broker.events.as(account.name, () => broker.users.put(name, { ...password, tags: userTags }));
  await durable(call);
  return before === undefined ? new Created() : undefined;
}

async function hashOf({ body, hashPassword }: Call, before: UserRecord | undefined): Promise<Omit<UserRecord, 'tags'>> {
  if (body['password'] !== undefined) return await hashPassword(textOf(body, 'password'));
  if (body['password_hash'] !== undefined) {
    const hashingAlgorithm = textOf(body, 'hashing_algorithm', DEFAULT_HASHING);
    if (!HASHING_ALGORITHMS.includes(hashingAlgorithm))
      throw badRequest(`no hashing algorithm '${hashingAlgorithm}'`, HASHING_ALGORITHMS.join(', '));
    const passwordHash = textOf(body, 'password_hash');
    if (!isPasswordHash(passwordHash))
      throw badRequest('not_base64', 'a hash is base64 with its padding: leveret hash_password prints one', '/password_hash');
    return { passwordHash, hashingAlgorithm };
  }
  if (before !== undefined) return before;
  throw badRequest("'password' or 'password_hash' is missing", 'an empty password_hash makes a user without a password');
}

async function deleteUser(call: Call): Promise<void> {
  if (!call.broker.users.delete(call.path['name'] ?? '')) throw notFound();
  await durable(call);
}

/** All of them or none. */
async function bulkDelete(call: Call): Promise<void> {
  const { users } = call.broker;
  const asked = call.body['users'];
  if (!Array.isArray(asked)) throw badRequest("'users' must be a list of names");
  const names = asked.map(String);
  const unknown = names.find((name) => users.record(name) === undefined);
  if (unknown !== undefined) throw badRequest(`no_such_user '${unknown}'`);
  for (const name of names) users.delete(name);
  await durable(call);
}

type Entries = readonly { readonly key: readonly string[]; readonly value: object }[];
const permissions = ({ broker }: Call): object[] => showPermissions(broker.records.entries('permission'));
const showPermissions = (entries: Entries): object[] => entries.map(({ key: [vhost, user], value }) => ({ user, vhost, ...value }));
const topicPermissions = ({ broker }: Call): object[] =>
  broker.records.entries('topic-permission').map(({ key: [vhost, user, exchange], value }) => ({ user, vhost, exchange, ...value }));
const having = (objects: object[], field: string, name: string | undefined): object[] =>
  objects.filter((object) => Object.entries(object).some(([key, value]) => key === field && value === name));

/** Those of one user or one vhost, which must be there. */
function ofUser({ broker }: Call, objects: object[], user: string | undefined): object[] {
  if (broker.users.record(user ?? '') === undefined) throw notFound();
  return having(objects, 'user', user);
}
function ofVhost({ broker }: Call, objects: object[], vhost: string | undefined): object[] {
  if (broker.vhost(vhost ?? '') === undefined) throw notFound();
  return having(objects, 'vhost', vhost);
}

/** RabbitMQ's word for it. */
function checkBoth({ broker }: Call, vhost: string, user: string): void {
  if (broker.vhost(vhost) !== undefined && broker.users.record(user) !== undefined) return;
  throw badRequest('vhost_or_user_not_found', 'make them first: PUT /api/vhosts/{name}, PUT /api/users/{name}');
}

async function putPermissions(call: Call): Promise<Created | undefined> {
  const { body, broker, path } = call;
  const [vhost = '', user = ''] = [path['vhost'], path['user']];
  checkBoth(call, vhost, user);
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
  const { body, broker, path } = call;
  const [vhost = '', user = '', exchange] = [path['vhost'], path['user'], textOf(body, 'exchange')];
  checkBoth(call, vhost, user);
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

const listed = (call: Call, things: object[]): unknown => list({ things, nameOf: nameIn, placeOf: vhostIn, show: (each) => each }, call);
const vhostIn = (each: object): string => ('vhost' in each ? String(each.vhost) : '');
const nameIn = (each: object): string => ('user' in each ? String(each.user) : '');
const names = (call: Call, wanted: (name: string) => boolean = () => true): unknown =>
  list({ things: call.broker.users.names().filter(wanted), nameOf: (name) => name, show: (name) => showUser(call, name) }, call);

async function clearTopics(call: Call): Promise<void> {
  call.broker.users.clearTopicPermissions(call.path['user'] ?? '', call.path['vhost'] ?? '');
  await durable(call);
}

const USER_BODY = fields({ password: text, password_hash: text, hashing_algorithm: text, tags }, ['tags']);
const PERMISSION_BODY = fields({ configure: text, write: text, read: text }, ['configure', 'write', 'read']);
const TOPIC_PERMISSION_BODY = fields({ exchange: text, write: text, read: text }, ['exchange', 'write', 'read']);

const see = { tag: 'administrator', right: 'none', method: 'GET' } as const;
const put = { tag: 'administrator', right: 'none', method: 'PUT' } as const;
const remove = { tag: 'administrator', right: 'none', method: 'DELETE' } as const;
const PERMISSION = '/api/permissions/{vhost}/{user}';
const TOPIC_PERMISSION = '/api/topic-permissions/{vhost}/{user}';

export const userRoutes: readonly Route[] = [
  {
    ...see,
    tag: 'management',
    path: '/api/whoami',
    summary: 'Who the caller is',
    handle: ({ account, query }) => columns({ name: account.name, tags: [...account.tags] }, query),
  },
  { ...see, path: '/api/users', summary: 'Lists users', handle: (call) => names(call) },
  {
    ...see,
    path: '/api/users/without-permissions',
    summary: 'Lists users who may open no vhost',
    handle: (call) => names(call, (name) => !call.broker.records.entries('permission').some(({ key }) => key[1] === name)),
  },
  {
    ...see,
    method: 'POST',
    path: '/api/users/bulk-delete',
    body: fields({ users: anything }, ['users']),
    summary: 'Deletes users',
    handle: bulkDelete,
  },
  {
    ...see,
    path: '/api/users/{name}',
    summary: 'Shows a user',
    handle: (call) => columns(showUser(call, call.path['name'] ?? ''), call.query),
  },
  { ...put, path: '/api/users/{name}', body: USER_BODY, summary: 'Makes or changes a user', handle: putUser },
  { ...remove, path: '/api/users/{name}', summary: 'Deletes a user', handle: deleteUser },
  {
    ...see,
    path: '/api/users/{name}/permissions',
    summary: "Lists a user's permissions",
    handle: (call) => listed(call, ofUser(call, permissions(call), call.path['name'])),
  },
  {
    ...see,
    path: '/api/users/{name}/topic-permissions',
    summary: "Lists a user's topic permissions",
    handle: (call) => listed(call, ofUser(call, topicPermissions(call), call.path['name'])),
  },
  {
    ...see,
    path: '/api/vhosts/{name}/permissions',
    summary: 'Lists the permissions in a vhost',
    handle: (call) => listed(call, ofVhost(call, permissions(call), call.path['name'])),
  },
  {
    ...see,
    path: '/api/vhosts/{name}/topic-permissions',
    summary: 'Lists the topic permissions in a vhost',
    handle: (call) => listed(call, ofVhost(call, topicPermissions(call), call.path['name'])),
  },
  { ...see, path: '/api/permissions', summary: 'Lists permissions', handle: (call) => listed(call, permissions(call)) },
  { ...see, path: PERMISSION, summary: 'Shows what a user may do in a vhost', handle: (call) => columns(onePermission(call), call.query) },
  { ...put, path: PERMISSION, body: PERMISSION_BODY, summary: 'Says what a user may do in a vhost', handle: putPermissions },
  { ...remove, path: PERMISSION, summary: "Takes a user's permissions in a vhost away", handle: clear },
  { ...see, path: '/api/topic-permissions', summary: 'Lists topic permissions', handle: (call) => listed(call, topicPermissions(call)) },
  {
    ...see,
    path: TOPIC_PERMISSION,
    summary: "Lists a user's topic permissions in a vhost",
    handle: (call) => listed(call, ofVhost(call, ofUser(call, topicPermissions(call), call.path['user']), call.path['vhost'])),
  },
  {
    ...put,
    path: TOPIC_PERMISSION,
    body: TOPIC_PERMISSION_BODY,
    summary: 'Limits the routing keys of a user at an exchange',
    handle: putTopicPermissions,
  },
  { ...remove, path: TOPIC_PERMISSION, summary: "Takes a user's topic permissions in a vhost away", handle: clearTopics },
];
