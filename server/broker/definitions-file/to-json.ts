// A definitions file in the JSON of RabbitMQ 3.x and 4.x, from things.
// Always: (1) its own importer, and RabbitMQ's, read it; (2) operator policies are parameters of the component operator_policy, limits of a vhost those of
// vhost-limits, where RabbitMQ looks for them; (3) the file of one vhost names no vhost.
// Refuses: to leave anything out: from-broker.ts has chosen.

import type { Json, JsonObject } from '../../../shared/protocol/control.ts';
import type { Kind, Thing } from './thing.ts';

/** The release whose format this is: RabbitMQ reads hashes without an algorithm by it. */
const FORMAT_VERSION = '3.10.8';

export interface Product {
  readonly product: string;
  readonly version: string;
}

/** `vhost` undefined: of the whole broker. */
export function definitionsJson(things: readonly Thing[], { product, version }: Product, vhost?: string): JsonObject {
  const isWhole = vhost === undefined;
  const of = (kind: Kind): Thing[] => things.filter((thing) => thing.kind === kind);
  const limits = (kind: Kind, name: string | undefined): JsonObject => of(kind).find(({ key }) => key[0] === name)?.value ?? {};
  const place = (name: string | undefined): JsonObject => (isWhole ? { vhost: name ?? '' } : {});
  const head: JsonObject = {
    rabbit_version: FORMAT_VERSION,
    rabbitmq_version: FORMAT_VERSION,
    product_name: product,
    product_version: version,
  };
  const whole = (): JsonObject => ({
    users: of('user').map(({ key: [name = ''], value }) => ({
      name,
      password_hash: value['passwordHash'] ?? '',
      hashing_algorithm: value['hashingAlgorithm'] ?? '',
      tags: value['tags'] ?? [],
      limits: limits('user-limits', name),
    })),
    vhosts: of('vhost').map(({ key: [name = ''], value }) => ({ name, metadata: value, limits: pairs(limits('vhost-limits', name)) })),
    permissions: of('permission').map(({ key: [name = '', user = ''], value }) => ({ user, vhost: name, ...value })),
    topic_permissions: of('topic-permission').map(({ key: [name = '', user = '', exchange = ''], value }) => ({
      user,
      vhost: name,
      exchange,
      ...value,
    })),
    global_parameters: of('global-parameter').map(({ key: [name = ''], value }) => ({ name, value: value['value'] ?? null })),
  });
  const topology = topologyJson(of, place);
  return isWhole ? { ...head, ...whole(), ...topology } : { ...head, original_vhost_name: vhost, ...topology };
}

function topologyJson(of: (kind: Kind) => Thing[], place: (name: string | undefined) => JsonObject): JsonObject {
  const parameter = (vhost: string | undefined, component: string, name: string, value: Json): JsonObject => ({
    ...place(vhost),
    component,
    name,
    value,
  });
  return {
    parameters: [
      ...of('parameter').map(({ key: [vhost, component = '', name = ''], value }) =>
        parameter(vhost, component, name, value['value'] ?? null),
      ),
      ...of('operator-policy').map(({ key: [vhost, name = ''], value }) => parameter(vhost, 'operator_policy', name, policyJson(value))),
      ...of('vhost-limits').map(({ key: [vhost], value }) => parameter(vhost, 'vhost-limits', 'limits', value)),
    ],
    policies: of('policy').map(({ key: [vhost, name = ''], value }) => ({ ...place(vhost), name, ...policyJson(value) })),
    queues: of('queue').map(({ key: [vhost, name = ''], value }) => ({ name, ...place(vhost), ...value })),
    exchanges: of('exchange').map(({ key: [vhost, name = ''], value }) => ({ name, ...place(vhost), ...value })),
    bindings: of('binding').map(({ key: [vhost, source = '', kind = '', destination = '', key = ''], value }) => ({
      source,
      ...place(vhost),
      destination,
      destination_type: kind,
      routing_key: key,
      ...value,
    })),
  };
}

/** As RabbitMQ writes limits inside a vhost. */
function pairs(object: JsonObject): Json[] {
  return Object.entries(object).map(([name, value]) => [name, value]);
}

/** A glob has a pattern of the same meaning beside it: RabbitMQ would read a policy without one as meant for everything. */
function policyJson(value: JsonObject): JsonObject {
  const { glob } = value;
  if (typeof glob !== 'string') return value;
  const pattern = glob
    .replace(/[\\^$.+()[\]{}|]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  return { ...value, pattern: `^${pattern}$` };
}
