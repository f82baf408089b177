// Virtual hosts, and the limits of vhosts and users.
// Always: who may not see a vhost does not find it in a list.
// Refuses: what is in them (topology.ts).

import type { JsonObject } from '../../../shared/protocol/control.ts';
import { NODE } from '../../broker/names.ts';
import type { Vhost } from '../../broker/vhost.ts';
import { checkVhost, durable } from '../acting.ts';
import { fields, flag, tags, text, whole } from '../bodies.ts';
import { badRequest, notFound } from '../http-error.ts';
import { columns, list } from '../listing.ts';
import { type Call, Created, countOf, flagOf, type Route, textOf } from '../route.ts';

/** Those that the caller may see: all for administrator and monitoring, else where it has rights. */
export function visibleVhosts(call: Call): Vhost[] {
  return [...call.broker.vhosts.values()].filter(({ name }) => seesAll(call) || call.account.rights(name) !== undefined);
}

export function seesAll({ account }: Call): boolean {
  return account.tags.has('administrator') || account.tags.has('monitoring');
}

function show({ broker }: Call, vhost: Vhost): object {
  let [ready, unacked] = [0, 0];
  for (const queue of vhost.queues.values()) {
    ready += queue.readyCount;
    unacked += queue.unackedCount;
  }
  const metadata = broker.vhosts.metadata(vhost.name);
  return {
    name: vhost.name,
    description: metadata['description'] ?? '',
    tags: metadata['tags'] ?? [],
    default_queue_type: metadata['default_queue_type'] ?? 'classic',
    tracing: metadata['tracing'] === true,
    metadata,
    cluster_state: { [NODE]: 'running' },
    messages: ready + unacked,
    messages_ready: ready,
    messages_unacknowledged: unacked,
  };
}

async function put(call: Call): Promise<Created | undefined> {
  const { body, broker, path } = call;
  const name = path['name'] ?? '';
  const metadata: JsonObject = { ...broker.vhosts.metadata(name) };
  if (body['description'] !== undefined) metadata['description'] = textOf(body, 'description');
  if (body['tags'] !== undefined) metadata['tags'] = tagsOf(body);
  if (body['default_queue_type'] !== undefined) metadata['default_queue_type'] = queueType(textOf(body, 'default_queue_type'));
  if (body['tracing'] !== undefined) metadata['tracing'] = flagOf(body, 'tracing');
  if (body['protected_from_deletion'] !== undefined) metadata['protected_from_deletion'] = flagOf(body, 'protected_from_deletion');
  const isNew = broker.vhosts.put(name, metadata);
  if (isNew && broker.users.record(call.account.name) !== undefined)
    broker.users.setPermissions(call.account.name, name, { configure: '.*', write: '.*', read: '.*' }); // as RabbitMQ does for who makes one
  await durable(call);
  return isNew ? new Created() : undefined;
}

function queueType(type: string): string {
  if (['classic', 'quorum', 'stream'].includes(type)) return type;
  throw badRequest(`unsupported queue type '${type}'`, 'classic, quorum or stream');
}

/** An array, or words with commas between them. */
export function tagsOf(body: JsonObject): string[] {
  const given = body['tags'];
  if (typeof given === 'string')
    return given
      .split(',')
      .map((tag) => tag.trim())
      .filter((tag) => tag !== '');
  if (Array.isArray(given) && given.every((tag) => typeof tag === 'string')) return given.map(String);
  throw badRequest("'tags' must be a list of words");
}

async function remove(call: Call): Promise<void> {
  if (!call.broker.vhosts.delete(call.path['name'] ?? '')) throw notFound();
  await durable(call);
}

function named(call: Call): Vhost {
  const name = call.path['name'] ?? '';
  checkVhost(call, name);
  const vhost = call.broker.vhost(name);
  if (vhost === undefined) throw notFound();
  return vhost;
}

const LIMITS = { 'vhost-limits': ['max-connections', 'max-queues'], 'user-limits': ['max-connections', 'max-channels'] } as const;
const LIMIT_BODY = fields({ value: whole }, ['value']);
const VHOST_BODY = fields({ description: text, tags, default_queue_type: text, tracing: flag, protected_from_deletion: flag });
type LimitKind = keyof typeof LIMITS;

function limitRoutes(kind: LimitKind, what: 'vhost' | 'user'): Route[] {
  const showLimits = ({ broker }: Call, name?: string): object[] =>
    broker.records
      .entries(kind)
      .filter(({ key }) => name === undefined || key[0] === name)
      .map(({ key, value }) => ({ [what]: key[0], value }));
  const check = ({ broker }: Call, name: string): void => {
    if (what === 'vhost' ? broker.vhost(name) === undefined : broker.users.record(name) === undefined) throw notFound();
  };
  const set = async (call: Call): Promise<void> => {
    const [name = '', limit = ''] = [call.path['target'], call.path['limit']];
    if (!LIMITS[kind].some((each) => each === limit)) throw badRequest(`no limit '${limit}'`, LIMITS[kind].join(' or '));
    check(call, name);
    call.broker.records.put(kind, [name], { ...call.broker.records.get(kind, [name]), [limit]: countOf(call.body, 'value') });
    await durable(call);
  };
  const clear = async (call: Call): Promise<void> => {
    const [name = '', limit = ''] = [call.path['target'], call.path['limit']];
    const { [limit]: _, ...left } = call.broker.records.get(kind, [name]) ?? {};
    if (Object.keys(left).length === 0) call.broker.records.delete(kind, [name]);
    else call.broker.records.put(kind, [name], left);
    await durable(call);
  };
  const admin = { tag: 'administrator', right: 'none' } as const;
  const listed = (call: Call, things: object[]): unknown =>
    list({ things, nameOf: (each) => String(Object.values(each)[0]), show: (each) => each }, call);
  return [
    {
      ...admin,
      method: 'GET',
      path: `/api/${kind}`,
      summary: `Lists the limits of every ${what}`,
      handle: (call) => listed(call, showLimits(call)),
    },
    {
      ...admin,
      method: 'GET',
      path: `/api/${kind}/{target}`,
      summary: `Lists the limits of a ${what}`,
      handle: (call) => {
        check(call, call.path['target'] ?? '');
        return listed(call, showLimits(call, call.path['target']));
      },
    },
    { ...admin, method: 'PUT', path: `/api/${kind}/{target}/{limit}`, body: LIMIT_BODY, summary: `Sets a limit of a ${what}`, handle: set },
    { ...admin, method: 'DELETE', path: `/api/${kind}/{target}/{limit}`, summary: `Takes a limit of a ${what} away`, handle: clear },
  ];
}

export const vhostRoutes: readonly Route[] = [
  {
    tag: 'management',
    right: 'none',
    method: 'GET',
    path: '/api/vhosts',
    summary: 'Lists vhosts',
    handle: (call) => list({ things: visibleVhosts(call), nameOf: ({ name }) => name, show: (vhost) => show(call, vhost) }, call),
  },
  {
    tag: 'management',
    right: 'none',
    method: 'GET',
    path: '/api/vhosts/{name}',
    summary: 'Shows a vhost',
    handle: (call) => columns(show(call, named(call)), call.query),
  },
  {
    tag: 'administrator',
    right: 'none',
    method: 'PUT',
    path: '/api/vhosts/{name}',
    body: VHOST_BODY,
    summary: 'Makes a vhost, or changes its metadata',
    handle: put,
  },
  {
    tag: 'administrator',
    right: 'none',
    method: 'DELETE',
    path: '/api/vhosts/{name}',
    summary: 'Deletes a vhost and all that is in it',
    handle: remove,
  },
  ...limitRoutes('vhost-limits', 'vhost'),
  ...limitRoutes('user-limits', 'user'),
];
