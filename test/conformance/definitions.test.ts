// Definitions between RabbitMQ and Leveret: what a real RabbitMQ exported loads, twice, and what Leveret exports loads there again and comes out the same.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hasRabbitMq, RabbitMq } from '../../scripts/rabbitmq.ts';
import { exportDefinitions, importDefinitions, loadDefinitions } from '../../server/broker/definitions-file/apply.ts';
import { canonicalJson } from '../../server/broker/definitions-file/thing.ts';
import type { Json, JsonObject } from '../../shared/protocol/control.ts';
import { isObject } from '../../shared/protocol/json.ts';
import { Engine } from '../support/engine.ts';

const SHA512 = 'rOO8ZU8aPN8qVEcU8TnOfBqBGnwD6jBC0TH6ZLp6HAMdwJCMT6bSKaSLqhtIAdqIEFQ3VsgEnVTrZZmJrbKe8Y/jU7Q=';
const q = (name: string, args: JsonObject = {}, more: JsonObject = {}): JsonObject => ({
  name,
  vhost: 'shop',
  durable: true,
  auto_delete: false,
  arguments: args,
  ...more,
});

/** What cannot be made by rabbitmqctl's own verbs, as a file that RabbitMQ imports. */
const SEED: JsonObject = {
  users: [{ name: 'carol', password_hash: SHA512, hashing_algorithm: 'rabbit_password_hashing_sha512', tags: 'policymaker,monitoring' }],
  exchanges: [
    { ...q('direct', { 'alternate-exchange': 'fanout' }), type: 'direct' },
    { ...q('fanout'), type: 'fanout', durable: false },
    { ...q('topic', { note: 'x', count: 3, flag: true, ratio: 1.5, list: [1, 'a'], table: { a: 1 } }), type: 'topic', auto_delete: true },
    { ...q('headers'), type: 'headers' },
  ],
  queues: [
    q('classic', {
      'x-message-ttl': 1000,
      'x-max-length': 2,
      'x-max-length-bytes': 1000,
      'x-dead-letter-exchange': 'direct',
      'x-dead-letter-routing-key': 'k',
      'x-max-priority': 5,
      'x-overflow': 'reject-publish',
      'x-expires': 1_000_000,
      'x-single-active-consumer': true,
    }),
    q('lazy', { 'x-queue-mode': 'lazy' }),
    q('transient', {}, { durable: false }),
    q('auto', {}, { auto_delete: true }),
    q('quorum', { 'x-queue-type': 'quorum', 'x-delivery-limit': 4 }),
    q('stream', { 'x-queue-type': 'stream', 'x-max-age': '1D' }),
  ],
  bindings: [
    ['direct', 'queue', 'classic', 'k', {}],
    ['direct', 'exchange', 'topic', 'e2e', {}],
    ['topic', 'queue', 'quorum', 'a.*.#', {}],
    ['headers', 'queue', 'classic', '', { 'x-match': 'any', a: 1, b: 'c' }],
    ['amq.fanout', 'queue', 'transient', '', {}],
  ].map(([source = '', kind = '', destination = '', key = '', args = {}]) => ({
    source,
    vhost: 'shop',
    destination,
    destination_type: kind,
    routing_key: key,
    arguments: args,
  })),
};

const VERBS: readonly (readonly string[])[] = [
  ['add_user', 'alice', 's3cret'],
  ['set_user_tags', 'alice', 'management', 'administrator'],
  ['add_vhost', 'shop', '--description', 'orders', '--tags', 'a,b'],
  ['set_permissions', '-p', 'shop', 'alice', '^a', '.*', ''],
  ['set_topic_permissions', '-p', 'shop', 'alice', 'amq.topic', '^w', '^r'],
  ['set_vhost_limits', '-p', 'shop', '{"max-queues": 500, "max-connections": 20}'],
  ['set_user_limits', 'alice', '{"max-connections": 5, "max-channels": 9}'],
  ['set_policy', '-p', 'shop', 'ttl', '^q', '{"message-ttl": 60000, "max-length": 3}', '--priority', '3', '--apply-to', 'queues'],
  ['set_operator_policy', '-p', 'shop', 'op', '^q', '{"max-length": 1000}', '--priority', '1', '--apply-to', 'queues'],
  ['set_global_parameter', 'mine', '{"a":[1,2]}'],
];

describe.skipIf(!hasRabbitMq())('definitions', () => {
  const directory = mkdtempSync(join(tmpdir(), 'leveret-definitions-'));
  let rabbitmq: RabbitMq;

  beforeAll(async () => {
    rabbitmq = await RabbitMq.start();
    for (const verb of VERBS) rabbitmq.control(...verb);
    write('seed.json', SEED);
    rabbitmq.control('import_definitions', join(directory, 'seed.json'));
  }, 120_000);
  afterAll(async () => {
    await rabbitmq.stop();
    rmSync(directory, { recursive: true });
  }, 30_000);

  function write(name: string, json: JsonObject): void {
    writeFileSync(join(directory, name), JSON.stringify(json));
  }
  function exported(broker: RabbitMq, name: string): JsonObject {
    broker.control('export_definitions', join(directory, name));
    return JSON.parse(readFileSync(join(directory, name), 'utf8'));
  }

  test('that RabbitMQ exported load unchanged; those that Leveret exports load there, and come out as they went in', {
    timeout: 120_000,
  }, async () => {
    const first = exported(rabbitmq, 'first.json');
    const engine = new Engine();
    const load = async (file: JsonObject): Promise<readonly object[]> => {
      const loading = loadDefinitions(engine.broker, file);
      engine.time.settle();
      const { steps, unknown } = await loading;
      expect(unknown).toEqual([]);
      return steps;
    };
    const steps = await load(first);
    expect(steps.filter((step) => 'why' in step)).toEqual([]);
    expect(await load(first)).toEqual([]);
    const ours = exportDefinitions(engine.broker, { product: 'Leveret', version: '0' });
    expect(engine.broker.users.record('carol')).toMatchObject({ passwordHash: SHA512, hashingAlgorithm: 'rabbit_password_hashing_sha512' });

    write('ours.json', ours);
    const other = await RabbitMq.start();
    try {
      other.control('import_definitions', join(directory, 'ours.json'));
      expect(comparable(exported(other, 'second.json'))).toEqual(comparable(first));
    } finally {
      await other.stop();
    }
  });

  test('of which one entry cannot be leave something in RabbitMQ, and nothing here', { timeout: 60_000 }, () => {
    const policy = { name: 'bad', vhost: 'half', pattern: '^q', definition: { 'max-length': -1 }, 'apply-to': 'queues', priority: 0 };
    const half = { vhosts: [{ name: 'half' }], policies: [policy] };
    write('half.json', half);
    expect(() => rabbitmq.control('import_definitions', join(directory, 'half.json'))).toThrow();
    expect(exported(rabbitmq, 'after.json')['vhosts']).toContainEqual(expect.objectContaining({ name: 'half' }));
    const engine = new Engine();
    expect(() => importDefinitions(engine.broker, half)).toThrow('Validation failed');
    expect(engine.broker.vhosts.names()).toEqual(['/']);
  });
});

/** Sections in one order. A vhost's tags are text where rabbitmqctl set them, and an array where a file did; what RabbitMQ writes as pairs is an object, or is not, by how it came in. */
function comparable(file: JsonObject): Record<string, string[]> {
  const sections = Object.entries(file).filter(([, entries]) => Array.isArray(entries));
  return Object.fromEntries(
    sections.map(([name, entries]) => [
      name,
      Array.isArray(entries)
        ? entries.map((entry) => canonicalJson(unpaired(entry)).replace('"tags":"a,b"', '"tags":["a","b"]')).sort()
        : [],
    ]),
  );
}

function unpaired(value: Json): Json {
  if (Array.isArray(value)) {
    const arePairs = value.every((pair) => Array.isArray(pair) && pair.length === 2 && typeof pair[0] === 'string');
    if (!arePairs || value.length === 0) return value.length === 0 ? '' : value.map(unpaired);
    return unpaired(Object.fromEntries(value.map((pair) => (Array.isArray(pair) ? [String(pair[0]), pair[1] ?? null] : ['', null]))));
  }
  if (isObject(value))
    return Object.keys(value).length === 0 ? '' : Object.fromEntries(Object.entries(value).map(([name, field]) => [name, unpaired(field)]));
  return value;
}
