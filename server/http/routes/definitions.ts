// Definitions files out and in, and what a publish would do. Always: an import is all or nothing, and answered when it is durable; `?plan=true` answers what it would do
// and does nothing; `?prune=true` deletes what the file does not name. Refuses: users and vhosts in the file of one vhost.

import type { JsonObject } from '../../../shared/protocol/control.ts';
import { propertiesFromJson, tableToJson } from '../../../shared/protocol/json.ts';
import { authorise } from '../../broker/authorise.ts';
import { exportDefinitions, loadDefinitions, planDefinitions } from '../../broker/definitions-file/apply.ts';
import type { Plan } from '../../broker/definitions-file/plan.ts';
import { explain } from '../../broker/explanation.ts';
import { type FieldSchema, fields, table, text, whole } from '../bodies.ts';
import { badRequest, notFound } from '../http-error.ts';
import { type Call, countOf, objectOf, type Route, textOf } from '../route.ts';

function exported({ broker, facts, path }: Call): JsonObject {
  return exportDefinitions(broker, facts, path['vhost']);
}

async function imported({ account, broker, body, bytes, query, path }: Call): Promise<Plan | undefined> {
  if (bytes.length === 0) throw badRequest('the body is empty: it must be a definitions file', 'curl reads one with --data-binary @FILE');
  const options = { prune: query.get('prune') === 'true', caller: account.name };
  if (query.get('plan') === 'true') return planDefinitions(broker, body, options, path['vhost']);
  await loadDefinitions(broker, body, options, path['vhost']);
  return undefined;
}

/** `{routing_key, properties, payload_bytes}`, all of them optional. */
function explained(call: Call): object {
  const { body, broker, account, path } = call;
  const [vhost, name] = [path['vhost'] ?? '', path['name'] ?? ''];
  const found = broker.vhosts.get(vhost);
  if (found === undefined) throw notFound();
  const exchange = name === 'amq.default' ? '' : name;
  authorise({ account, vhost }, 'exchange.inspect', { exchange });
  const properties = propertiesFromJson(objectOf(body, 'properties'));
  const publish = { exchange, key: textOf(body, 'routing_key', ''), properties, bodyBytes: countOf(body, 'payload_bytes', 0) };
  const { visits, attempts, queues, isUnroutable, leftOut } = explain(found, publish, broker.clock.now());
  return {
    routed: isUnroutable === undefined ? null : !isUnroutable,
    ...(leftOut.length > 0 ? { truncated: true, leftOut } : {}),
    exchanges: visits,
    bindings: attempts.map(({ arguments: args, ...attempt }) => ({ ...attempt, arguments: tableToJson(args) })),
    queues,
  };
}

const list: FieldSchema = { title: 'a list', type: 'array' };
/** Sections that nobody here knows are let through, and told of by a plan. */
const FILE = fields({
  ...{ users: list, vhosts: list, permissions: list, topic_permissions: list, global_parameters: list },
  ...{ parameters: list, policies: list, exchanges: list, queues: list, bindings: list },
});
const EXPLAIN = fields({ routing_key: text, properties: table, payload_bytes: whole });

const tag = 'administrator' as const;
const limit = 'http-definitions-bytes' as const;
export const definitionRoutes: readonly Route[] = [
  { tag, right: 'none', method: 'GET', path: '/api/definitions', summary: 'Exports all definitions', handle: exported },
  {
    tag,
    right: 'none',
    method: 'POST',
    path: '/api/definitions',
    body: FILE,
    limit,
    summary: 'Imports definitions; plan=true: says what that would do',
    handle: imported,
  },
  {
    tag,
    right: 'vhost',
    method: 'GET',
    path: '/api/definitions/{vhost}',
    summary: 'Exports the definitions of a vhost',
    handle: exported,
  },
  {
    tag,
    right: 'vhost',
    method: 'POST',
    path: '/api/definitions/{vhost}',
    body: FILE,
    limit,
    summary: 'Imports definitions into a vhost',
    handle: imported,
  },
  {
    tag: 'management',
    right: 'exchange.inspect',
    method: 'POST',
    path: '/api/exchanges/{vhost}/{name}/explain',
    body: EXPLAIN,
    summary: 'Says what a publish would do, binding by binding',
    handle: explained,
  },
];
