// Definitions files for tests: their parts, one that has something of every kind, and how to load one into an engine.

import { loadDefinitions } from '../../server/broker/definitions-file/apply.ts';
import type { PlanOptions } from '../../server/broker/definitions-file/plan.ts';
import type { JsonObject } from '../../shared/protocol/control.ts';
import type { Engine } from './engine.ts';

export const PRODUCT = { product: 'Leveret', version: '0' };
export const HASH = 'ye+pHGvT1ozB/9wYdg6ga4F0LkbvzvCtwBmnVmjjkts9eMtW';
export const q = (name: string, more: JsonObject = {}): JsonObject => ({
  name,
  vhost: '/',
  durable: true,
  auto_delete: false,
  arguments: {},
  ...more,
});
export const x = (name: string, type: string, more: JsonObject = {}): JsonObject => ({ ...q(name, more), type });
export const b = (source: string, destination: string, more: JsonObject = {}): JsonObject => ({
  source,
  vhost: '/',
  destination,
  destination_type: 'queue',
  routing_key: 'k',
  arguments: {},
  ...more,
});

/** Something of every kind. */
export const WHOLE: JsonObject = {
  rabbit_version: '3.10.8',
  vhosts: [{ name: '/' }, { name: 'shop', metadata: { description: 'orders', tags: ['a'] }, limits: [['max-queues', 5]] }],
  users: [
    { name: 'alice', password_hash: HASH, hashing_algorithm: 'rabbit_password_hashing_sha512', tags: 'management, policymaker' },
    { name: 'bob', password_hash: HASH, tags: ['administrator'], limits: { 'max-channels': 3 } },
  ],
  permissions: [{ user: 'alice', vhost: 'shop', configure: '^a', write: '.*', read: '' }],
  topic_permissions: [{ user: 'alice', vhost: 'shop', exchange: 'amq.topic', write: '^w', read: '^r' }],
  global_parameters: [{ name: 'cluster_name', value: 'here' }],
  parameters: [
    {
      component: 'operator_policy',
      name: 'op',
      vhost: '/',
      value: { pattern: '^q', 'apply-to': 'queues', priority: 1, definition: [['max-length', 9]] },
    },
    { component: 'shovel', name: 's', vhost: '/', value: { 'src-queue': 'q' } },
  ],
  policies: [{ name: 'ttl', vhost: '/', pattern: '^q', 'apply-to': 'queues', priority: 3, definition: { 'message-ttl': 5 } }],
  exchanges: [
    x('x', 'direct', { arguments: { 'alternate-exchange': 'y' } }),
    x('y', 'headers', { internal: true }),
    x('z', 'fanout', { durable: false }),
  ],
  queues: [q('q', { arguments: { 'x-max-length': 3 } }), q('t', { durable: false }), q('amq.gen-abc', { auto_delete: true })],
  bindings: [
    b('x', 'q'),
    b('x', 'y', { destination_type: 'exchange' }),
    b('y', 'q', { arguments: { 'x-match': 'any', a: 1 } }),
    b('amq.topic', 'amq.gen-abc'),
  ],
};

/** Imports `file`; answers what was done. */
export async function load(engine: Engine, file: JsonObject, options: PlanOptions = {}, vhost?: string): Promise<string[]> {
  const loading = loadDefinitions(engine.broker, file, options, vhost);
  engine.time.settle();
  return (await loading).steps.map(({ act, name }) => `${act} ${name}`);
}
