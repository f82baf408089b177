// Parameters of components, and global ones: whatever tools keep here comes back as it was.
// Always: (1) policies, operator policies and the limits of vhosts are shown among them, as RabbitMQ does, and are nowhere kept twice; (2) an operator
// policy that is put here is one that holds, and wants the tag that it wants elsewhere.
// Refuses: to put policies and limits of vhosts, which have routes of their own. RabbitMQ differs: it refuses a component that no plugin of it knows; here
// all are kept and none is acted on, so that definitions go through unchanged.

import type { JsonObject } from '../../../shared/protocol/control.ts';
import { isObject } from '../../../shared/protocol/json.ts';
import { requireTag } from '../../broker/authorise.ts';
import type { NamedPolicy, PolicyKind } from '../../broker/policies.ts';
import { durable } from '../acting.ts';
import { anything, fields, text } from '../bodies.ts';
import { badRequest, notFound } from '../http-error.ts';
import { columns, list } from '../listing.ts';
import { type Call, Created, type Route, textOf } from '../route.ts';
import { visibleVhosts } from './vhosts.ts';

interface Parameter {
  readonly vhost: string;
  readonly component: string;
  readonly name: string;
  readonly value: unknown;
}

const OPERATOR_POLICY = 'operator_policy';
/** Components that are kept elsewhere, and where. */
const ELSEWHERE: Readonly<Record<string, string>> = { policy: '/api/policies', 'vhost-limits': '/api/vhost-limits' };

/** Of the vhosts that the caller may see, or of the one in the path. Policies are among them for who asks for them by name, as in RabbitMQ. */
function parametersOf(call: Call): Parameter[] {
  const { broker, path } = call;
  const { component, vhost } = path;
  const vhosts = visibleVhosts(call).filter(({ name }) => vhost === undefined || name === vhost);
  const seen = new Set(vhosts.map(({ name }) => name));
  const kept = broker.records
    .entries('parameter')
    .map(({ key: [place = '', of = '', name = ''], value }) => ({ vhost: place, component: of, name, value: value['value'] ?? null }));
  const limits = broker.records
    .entries('vhost-limits')
    .map(({ key: [place = ''], value }) => ({ vhost: place, component: 'vhost-limits', name: 'limits', value }));
  const policies = (kind: PolicyKind, of: string): Parameter[] =>
    vhosts.flatMap(({ name }) => broker.policies.list(kind, name).map((policy) => asParameter(of, policy)));
  return [
    ...[...kept, ...limits].filter((each) => seen.has(each.vhost)),
    ...policies('operator-policy', OPERATOR_POLICY),
    ...(component === 'policy' ? policies('policy', 'policy') : []),
  ].filter((each) => component === undefined || each.component === component);
}

function asParameter(component: string, policy: NamedPolicy): Parameter {
  const { vhost, name, pattern, glob, definition, priority, 'apply-to': applyTo } = policy;
  return { vhost, component, name, value: { ...(glob === undefined ? { pattern } : { glob }), definition, priority, 'apply-to': applyTo } };
}

const listParameters = (call: Call): unknown =>
  list(
    { things: parametersOf(call), nameOf: ({ name }) => name, placeOf: ({ vhost, component }) => `${vhost}\0${component}`, show: same },
    call,
  );
const same = <Thing>(each: Thing): Thing => each;

function show(call: Call): object {
  const parameter = parametersOf(call).find(({ name }) => name === call.path['name']);
  if (parameter === undefined) throw notFound();
  return columns(parameter, call.query);
}

/** Throws for a component whose parameters are put elsewhere, or by an administrator alone. */
function checkComponent({ account, path: { component = '' } }: Call): void {
  if (Object.hasOwn(ELSEWHERE, component)) {
    const what = component === 'policy' ? 'policies' : component;
    throw badRequest(`${what} may not be set using this method`, `PUT and DELETE ${ELSEWHERE[component]}/...`);
  }
  if (component === OPERATOR_POLICY) requireTag(account, 'administrator');
}

async function put(call: Call): Promise<Created | undefined> {
  checkComponent(call);
  const { broker, body, path } = call;
  const { vhost = '', component = '', name = '' } = path;
  const value = body['value'];
  if (component !== OPERATOR_POLICY) return await putRecord(call, 'parameter', [vhost, component, name], { value: value ?? null });
  if (!isObject(value)) throw badRequest("'value' must be an object", 'with pattern and definition');
  const isNew = broker.policies.put('operator-policy', vhost, name, value);
  await durable(call);
  return isNew ? new Created() : undefined;
}

async function remove(call: Call): Promise<void> {
  checkComponent(call);
  const { broker, path } = call;
  const { vhost = '', component = '', name = '' } = path;
  const isGone =
    component === OPERATOR_POLICY
      ? broker.policies.delete('operator-policy', vhost, name)
      : broker.records.delete('parameter', [vhost, component, name]);
  if (!isGone) throw notFound();
  await durable(call);
}

// Global ones.

type GlobalOrNot = 'parameter' | 'global-parameter';

async function putRecord(call: Call, kind: GlobalOrNot, key: readonly string[], value: JsonObject): Promise<Created | undefined> {
  const isNew = call.broker.records.get(kind, key) === undefined;
  call.broker.records.put(kind, key, value);
  await durable(call);
  return isNew ? new Created() : undefined;
}

const showGlobal = (name: string | undefined, record: JsonObject): object => ({ name, value: record['value'] });

function globalAt(call: Call): object {
  const { name = '' } = call.path;
  const record = call.broker.records.get('global-parameter', [name]);
  if (record === undefined) throw notFound();
  return columns(showGlobal(name, record), call.query);
}

function listGlobals(call: Call): unknown {
  const things = call.broker.records.entries('global-parameter');
  return list({ things, nameOf: ({ key }) => key[0] ?? '', show: ({ key, value }) => showGlobal(key[0], value) }, call);
}

async function removeGlobal(call: Call): Promise<void> {
  if (!call.broker.records.delete('global-parameter', [call.path['name'] ?? ''])) throw notFound();
  await durable(call);
}

const VALUE_BODY = fields({ value: anything }, ['value']);
const see = { tag: 'policymaker', method: 'GET' } as const;
const one = { tag: 'policymaker', right: 'vhost', path: '/api/parameters/{component}/{vhost}/{name}' } as const;
const global = { tag: 'administrator', right: 'none', path: '/api/global-parameters/{name}' } as const;

export const parameterRoutes: readonly Route[] = [
  { ...see, right: 'none', path: '/api/parameters', summary: 'Lists parameters', handle: listParameters },
  { ...see, right: 'none', path: '/api/parameters/{component}', summary: 'Lists the parameters of a component', handle: listParameters },
  {
    ...see,
    right: 'vhost',
    path: '/api/parameters/{component}/{vhost}',
    summary: 'Lists the parameters of a component in a vhost',
    handle: listParameters,
  },
  { ...one, ...see, summary: 'Shows a parameter', handle: show },
  { ...one, method: 'PUT', body: VALUE_BODY, summary: 'Puts a parameter', handle: put },
  { ...one, method: 'DELETE', summary: 'Takes a parameter away', handle: remove },
  { ...see, right: 'none', path: '/api/global-parameters', summary: 'Lists global parameters', handle: listGlobals },
  { ...global, ...see, summary: 'Shows a global parameter', handle: globalAt },
  {
    ...global,
    method: 'PUT',
    body: VALUE_BODY,
    summary: 'Puts a global parameter',
    handle: (call) => putRecord(call, 'global-parameter', [call.path['name'] ?? ''], { value: call.body['value'] ?? null }),
  },
  { ...global, method: 'DELETE', summary: 'Takes a global parameter away', handle: removeGlobal },
  {
    ...global,
    method: 'PUT',
    path: '/api/cluster-name',
    body: fields({ name: text }, ['name']),
    summary: 'Names the cluster',
    handle: async (call) => {
      await putRecord(call, 'global-parameter', ['cluster_name'], { value: textOf(call.body, 'name') });
    },
  },
];
