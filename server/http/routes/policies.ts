// Policies and operator policies: put, shown and taken away. What a policy may say, and that it holds at once, is the broker's (broker/policies.ts).
// Always: (1) paths, fields, statuses and the reasons of refusals are RabbitMQ's; (2) what one answer shows, a PUT takes; (3) a policy that is answered is
// durable. RabbitMQ differs: it has no `glob`, which stands here for the pattern; it escapes reasons as HTML; it has no typed reason for what is missing.

import type { NamedPolicy, PolicyKind } from '../../broker/policies.ts';
import { durable } from '../acting.ts';
import { type BodySchema, fields } from '../bodies.ts';
import { notFound } from '../http-error.ts';
import { columns, list } from '../listing.ts';
import { type Call, Created, type Route } from '../route.ts';
import { visibleVhosts } from './vhosts.ts';

/** The broker checks the types, in RabbitMQ's words. */
const POLICY_BODY: BodySchema = fields(
  {
    pattern: { title: 'a regular expression that finds names, such as "^orders"' },
    glob: { title: 'instead of a pattern: * is any run of characters, ? is one' },
    definition: { title: 'an object, such as {"max-length": 1000}' },
    priority: { title: 'a whole number: of the policies that match, the highest holds' },
    'apply-to': { title: 'all, queues, classic_queues, quorum_queues, streams or exchanges' },
  },
  ['definition'],
);

/** As RabbitMQ shows it; one with a glob has no pattern. */
export function showPolicy({ vhost, name, pattern, glob, definition, priority, 'apply-to': applyTo }: NamedPolicy): object {
  return { vhost, name, ...(glob === undefined ? { pattern } : { glob }), 'apply-to': applyTo, definition, priority };
}

function listPolicies(call: Call, kind: PolicyKind): unknown {
  const { vhost } = call.path;
  const vhosts = visibleVhosts(call).filter(({ name }) => vhost === undefined || name === vhost);
  const things = vhosts.flatMap(({ name }) => call.broker.policies.list(kind, name));
  return list({ things, nameOf: ({ name }) => name, placeOf: (policy) => policy.vhost, show: showPolicy }, call);
}

function policyAt({ broker, path: { vhost = '', name = '' } }: Call, kind: PolicyKind): NamedPolicy {
  const policy = broker.policies.get(kind, vhost, name);
  if (policy === undefined) throw notFound();
  return policy;
}

async function put(call: Call, kind: PolicyKind): Promise<Created | undefined> {
  const { vhost = '', name = '' } = call.path;
  const isNew = call.broker.policies.put(kind, vhost, name, call.body);
  await durable(call);
  return isNew ? new Created() : undefined;
}

async function remove(call: Call, kind: PolicyKind): Promise<void> {
  const { vhost = '', name = '' } = call.path;
  if (!call.broker.policies.delete(kind, vhost, name)) throw notFound();
  await durable(call);
}

function routesOf(kind: PolicyKind, path: string, what: string, tag: Route['tag']): Route[] {
  const see = { tag: 'management', method: 'GET' } as const;
  const one = { right: 'vhost', path: `${path}/{vhost}/{name}` } as const;
  return [
    { ...see, right: 'none', path, summary: `Lists ${what}`, handle: (call) => listPolicies(call, kind) },
    {
      ...see,
      right: 'vhost',
      path: `${path}/{vhost}`,
      summary: `Lists the ${what} of a vhost`,
      handle: (call) => listPolicies(call, kind),
    },
    {
      ...one,
      ...see,
      summary: `Shows one of the ${what}`,
      handle: (call) => columns(showPolicy(policyAt(call, kind)), call.query),
    },
    { ...one, tag, method: 'PUT', body: POLICY_BODY, summary: `Puts one of the ${what}`, handle: (call) => put(call, kind) },
    { ...one, tag, method: 'DELETE', summary: `Takes one of the ${what} away`, handle: (call) => remove(call, kind) },
  ];
}

export const policyRoutes: readonly Route[] = [
  ...routesOf('policy', '/api/policies', 'policies', 'policymaker'),
  ...routesOf('operator-policy', '/api/operator-policies', 'operator policies', 'administrator'),
];
