// The things a broker holds now, as a definitions file would have them.
// Always: (1) nothing exclusive and nothing predeclared is among them; (2) a vhost's things come in the order of KINDS; (3) transient exchanges and queues are there
// too, as in RabbitMQ's export.
// Refuses: messages, and taps.

import type { JsonObject } from '../../../shared/protocol/control.ts';
import type { Broker } from '../broker.ts';
import type { Binding } from '../exchange.ts';
import { RESERVED_PREFIX } from '../names.ts';
import { DEFAULT_HASHING } from '../password-hash.ts';
import { plainTable } from '../plain-table.ts';
import type { Vhost } from '../vhost.ts';
import type { Current } from './plan.ts';
import { canonicalJson, KINDS, type Kind, type Thing, VHOST_KINDS } from './thing.ts';

/** Of the whole broker, or of one vhost. */
export function thingsOf(broker: Broker, vhost?: string): Thing[] {
  const found = vhost === undefined ? [...broker.vhosts.values()] : [broker.vhosts.get(vhost)].filter((each) => each !== undefined);
  const topology = found.flatMap(topologyOf);
  return KINDS.filter((kind) => vhost === undefined || VHOST_KINDS.has(kind)).flatMap((kind) => {
    if (kind === 'vhost') return found.map(({ name }) => ({ kind, key: [name], value: vhostValue(broker.vhosts.metadata(name)) }));
    if (kind === 'exchange' || kind === 'queue' || kind === 'binding') return topology.filter((thing) => thing.kind === kind);
    return recordsOf(broker, kind, vhost);
  });
}

/** The same, and the exclusive queues, which are in no file. */
export function currentOf(broker: Broker, vhost?: string): Current {
  const exclusive: Thing[] = [];
  for (const { name, queues } of broker.vhosts.values())
    for (const queue of queues.values())
      if (queue.exclusiveOwner !== undefined) exclusive.push({ kind: 'queue', key: [name, queue.name], value: {} });
  return { things: thingsOf(broker, vhost), exclusive, limits: broker.limits };
}

function recordsOf(broker: Broker, kind: Exclude<Kind, 'vhost' | 'exchange' | 'queue' | 'binding'>, vhost: string | undefined): Thing[] {
  return broker.records
    .entries(kind)
    .filter(({ key }) => vhost === undefined || key[0] === vhost)
    .map(({ key, value }) => ({ kind, key, value: kind === 'user' ? userValue(value) : value }));
}

/** Metadata as every file spells them. */
export function vhostValue(metadata: JsonObject): JsonObject {
  const { description, tags, ...others } = metadata;
  return { ...others, description: description ?? '', tags: tags ?? [] };
}

/** Whoever has no hash has none of any kind. */
function userValue(value: JsonObject): JsonObject {
  return value['hashingAlgorithm'] === '' ? { ...value, hashingAlgorithm: DEFAULT_HASHING } : value;
}

function topologyOf(vhost: Vhost): Thing[] {
  const things: Thing[] = [];
  for (const exchange of vhost.exchanges.values()) {
    const { name, type, durable, autoDelete, internal } = exchange;
    if (name !== '' && !name.startsWith(RESERVED_PREFIX)) {
      const value = { type, durable, auto_delete: autoDelete, internal, arguments: plainTable(exchange.arguments) };
      things.push({ kind: 'exchange', key: [vhost.name, name], value });
    }
    for (const binding of exchange.outgoing.values()) if (isExported(binding)) things.push(bindingThing(vhost.name, binding));
  }
  for (const { name, durable, autoDelete, exclusiveOwner, arguments: args } of vhost.queues.values()) {
    if (exclusiveOwner !== undefined) continue;
    things.push({ kind: 'queue', key: [vhost.name, name], value: { durable, auto_delete: autoDelete, arguments: plainTable(args) } });
  }
  return things;
}

function isExported({ isTap, destination }: Binding): boolean {
  return !isTap && (destination.kind === 'exchange' || destination.exclusiveOwner === undefined);
}

function bindingThing(vhost: string, { source, destination, key, arguments: table }: Binding): Thing {
  const args = plainTable(table);
  return {
    kind: 'binding',
    key: [vhost, source.name, destination.kind, destination.name, key, canonicalJson(args)],
    value: { arguments: args },
  };
}
