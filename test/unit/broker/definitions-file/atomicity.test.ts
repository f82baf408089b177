// An import is all or nothing: whatever is wrong with a file, at whatever place, nothing of it is done; and what the plan lets through does not fail half way.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { exportDefinitions, importDefinitions, planDefinitions } from '../../../../server/broker/definitions-file/apply.ts';
import type { PlanOptions } from '../../../../server/broker/definitions-file/plan.ts';
import type { BrokerLimits } from '../../../../server/broker/limits.ts';
import { AmqpError } from '../../../../shared/error.ts';
import type { Json, JsonObject } from '../../../../shared/protocol/control.ts';
import { b, HASH, load, PRODUCT, q, WHOLE, x } from '../../../support/definitions.ts';
import { Engine } from '../../../support/engine.ts';

/** With something of everything, a limit that is reached, and a queue and an exchange that a file may ask for differently. */
async function busyEngine(): Promise<Engine> {
  const engine = new Engine();
  await load(engine, {
    vhosts: [{ name: 'full', limits: { 'max-queues': 1 } }],
    users: [{ name: 'root', password_hash: HASH, tags: ['administrator'] }],
    queues: [q('there', { arguments: { 'x-max-length': 1 } }), { ...q('one'), vhost: 'full' }],
    exchanges: [x('there', 'direct')],
  });
  engine
    .connect()
    .session.declareQueue({ queue: 'mine', durable: false, exclusive: true, autoDelete: false, passive: false, arguments: new Map() });
  return engine;
}

const policy = (more: JsonObject): JsonObject => ({ name: 'bad', vhost: '/', pattern: '^q', definition: { 'max-length': 1 }, ...more });
const grant = (more: JsonObject): JsonObject => ({ user: 'root', vhost: '/', configure: '', write: '', read: '', ...more });
const operatorPolicy = (value: JsonObject): JsonObject => ({ component: 'operator_policy', name: 'bad', vhost: '/', value });
const deep = JSON.parse(`${'['.repeat(70)}1${']'.repeat(70)}`);

/** What cannot be, by the section in which it stands. */
const BAD: { readonly [section: string]: readonly Json[] } = {
  vhosts: [
    { name: '' },
    { name: 'x'.repeat(256) },
    {},
    { name: 'w', limits: { 'max-queues': 1.5 } },
    { name: 'w', limits: { strange: 1 } },
    { name: 'w', metadata: { default_queue_type: 'fast' } },
    'w',
  ],
  users: [
    { name: '', password_hash: HASH },
    { name: 'u', password: 'secret' },
    { name: 'u', password_hash: HASH, hashing_algorithm: 'md4' },
    { name: 'u', tags: [1] },
    { name: 'u', limits: { 'max-channels': 'many' } },
  ],
  permissions: [
    grant({ user: 'nobody' }),
    grant({ vhost: 'none' }),
    grant({ read: '(' }),
    grant({ read: 'a'.repeat(513) }),
    { user: 'root', vhost: '/' },
  ],
  topic_permissions: [
    { user: 'root', vhost: '/', exchange: 'amq.topic', write: '[', read: '' },
    { user: 'nobody', vhost: '/', exchange: 'e', write: '', read: '' },
    { user: 'root', vhost: '/', exchange: 'e', write: '', read: '[a-{vhost}]' }, // '{' comes after 'a', '/' does not
  ],
  global_parameters: [{ value: 1 }, { name: 'deep', value: deep }, { name: 'large', value: 'x'.repeat(1_000_000) }],
  parameters: [
    { component: 'shovel', name: 's', vhost: 'none', value: {} },
    operatorPolicy({ pattern: '^q', definition: { 'alternate-exchange': 'e' } }),
    operatorPolicy({ pattern: '(', definition: { 'max-length': 1 } }),
    { component: 'vhost-limits', name: 'limits', vhost: '/', value: { 'max-queues': '5' } },
  ],
  policies: [
    policy({ pattern: '(' }),
    policy({ definition: {} }),
    policy({ definition: { 'max-length': -1 } }),
    policy({ definition: { strange: 1 } }),
    policy({ 'apply-to': 'everything' }),
    policy({ priority: 'high' }),
    policy({ vhost: 'none' }),
    policy({ name: '' }),
    { ...policy({}), glob: 'a'.repeat(200) },
  ],
  exchanges: [
    x('there', 'topic'),
    x('e', 'x-strange'),
    { ...x('e', 'direct'), vhost: 'none' },
    x('e', 'direct', { arguments: { 'alternate-exchange': 1 } }),
    x('x'.repeat(256), 'direct'),
    x('e', 'direct', { durable: 'yes' }),
  ],
  queues: [
    q('there'),
    q('mine'),
    { ...q('two'), vhost: 'full' },
    { ...q('q2'), vhost: 'none' },
    q('q2', { arguments: { 'x-max-length': -1 } }),
    q('q2', { durable: false, arguments: { 'x-queue-type': 'quorum' } }),
    q('q2', { arguments: { 'x-dead-letter-routing-key': 'k' } }),
    q('x'.repeat(256)),
  ],
  bindings: [
    { ...b('amq.direct', 'q'), vhost: 'none' },
    b('amq.direct', 'q', { routing_key: 'k'.repeat(256) }),
    b('amq.headers', 'q', { arguments: { 'x-match': 'some' } }),
    b('amq.direct', 'q', { destination_type: 'topic' }),
  ],
};
const bads = Object.entries(BAD).flatMap(([section, entries]) => entries.map((entry) => ({ section, entry })));

/** `file` with `entry` at the `at`-th place of its section. */
function withEntry(file: JsonObject, section: string, entry: Json, at: number): JsonObject {
  const there = file[section];
  const entries = Array.isArray(there) ? there : [];
  return { ...file, [section]: [...entries.slice(0, at), entry, ...entries.slice(at)] };
}

describe('a file with one bad entry', () => {
  test.each(bads.map(({ section, entry }): [string, string, Json] => [section, JSON.stringify(entry).slice(0, 120), entry]))(
    'in %s is refused by plan and import, and nothing of it is done: %s',
    async (section, _text, entry) => {
      const engine = await busyEngine();
      const before = exportDefinitions(engine.broker, PRODUCT);
      const { definedLsn } = engine.broker;
      const there = WHOLE[section];
      for (let at = 0; at <= (Array.isArray(there) ? there.length : 0); at++) {
        const file = withEntry(WHOLE, section, entry, at);
        expect(() => importDefinitions(engine.broker, file), `at ${at}`).toThrow(AmqpError);
        expect(engine.broker.definedLsn, `at ${at}`).toBe(definedLsn);
      }
      expect(exportDefinitions(engine.broker, PRODUCT)).toEqual(before);
    },
  );

  test('is refused wherever the entries around it stand', async () => {
    const engine = await busyEngine();
    const { definedLsn } = engine.broker;
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...bads), fc.nat(20), fc.shuffledSubarray(Object.keys(WHOLE)), async (bad, at, sections) => {
        const some = Object.fromEntries(sections.map((section): [string, Json] => [section, WHOLE[section] ?? []]));
        const file = withEntry(some, bad.section, bad.entry, at);
        // What stands before it may be missing now, or lack what it needs: then that is refused, which is just as well.
        expect(() => importDefinitions(engine.broker, file)).toThrow(AmqpError);
        expect(engine.broker.definedLsn).toBe(definedLsn);
      }),
      { numRuns: 200 },
    );
  });
});

test.each<[string, Partial<BrokerLimits>, JsonObject, string]>([
  ['limits.queues-per-vhost', { queuesPerVhost: 2 }, { queues: [q('a'), q('b')] }, "vhost '/' has 2 queues"],
  [
    'limits.bindings-per-queue',
    { bindingsPerQueue: 2 },
    { bindings: [b('amq.fanout', 'q', { routing_key: '1' }), b('amq.fanout', 'q', { routing_key: '2' })] },
    "queue 'q' has 2 bindings",
  ],
  ['limits.topic-words', { topicWords: 2 }, { bindings: [b('amq.topic', 'q', { routing_key: 'a.b.c' })] }, 'at most 2 words'],
])('%s is asked before anything is done, with what is there counted', async (setting, limits, file, text) => {
  const engine = new Engine({ limits });
  await load(engine, { queues: [q('q')], bindings: [b('amq.direct', 'q')] });
  const { definedLsn } = engine.broker;
  const wanted = { vhosts: [{ name: 'first' }], ...file };
  expect(planDefinitions(engine.broker, wanted).steps.at(-1)).toMatchObject({ act: 'conflict', hint: expect.stringContaining(setting) });
  expect(() => importDefinitions(engine.broker, wanted)).toThrow(text);
  expect(engine.broker.definedLsn).toBe(definedLsn);
});

// Few names, so that things meet: under other names, with other properties, without what they need.
const vhost = fc.constantFrom('/', 'v', 'none');
const name = fc.constantFrom('a', 'b', 'amq.c', '');
const flag = fc.boolean();
const limits = fc.constantFrom<JsonObject>({}, {}, { 'max-queues': 1 }, { 'max-queues': 0 });
const list = <Entry>(entry: fc.Arbitrary<Entry>): fc.Arbitrary<Entry[]> => fc.array(entry, { maxLength: 3 });
const args = fc.constantFrom<JsonObject>({}, { 'x-max-length': 1 }, { 'x-queue-type': 'quorum' });
const anyFile = fc
  .record(
    {
      vhosts: list(fc.record({ name: fc.constantFrom('/', 'v'), limits, default_queue_type: fc.constantFrom('quorum', 'classic') })),
      users: list(fc.record({ name: fc.constantFrom('u', 'root'), tags: fc.constantFrom([], ['administrator']) })),
      permissions: list(fc.record({ user: fc.constantFrom('u', 'root'), vhost, configure: fc.constant('.*'), write: name, read: name })),
      policies: list(fc.record({ name, vhost, pattern: fc.constantFrom('a', '('), definition: fc.constantFrom({ 'max-length': 2 }, {}) })),
      parameters: list(fc.record({ component: fc.constantFrom('vhost-limits', 'x'), name, vhost, value: limits })),
      exchanges: list(fc.record({ name, vhost, type: fc.constantFrom('direct', 'fanout'), durable: flag, auto_delete: flag })),
      queues: list(fc.record({ name, vhost, durable: flag, auto_delete: flag, arguments: args })),
      bindings: list(
        fc.record({
          source: fc.oneof(name, fc.constantFrom('amq.direct', 'amq.rabbitmq.event')),
          vhost,
          destination: name,
          destination_type: fc.constantFrom('queue', 'exchange'),
          routing_key: name,
        }),
      ),
    },
    { requiredKeys: [] },
  )
  .map((file): JsonObject => JSON.parse(JSON.stringify(file)));

test('any file on top of any other is refused whole, or done whole: then the same file asks for nothing more', async () => {
  const outcomes = new Set<boolean>();
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(anyFile, fc.boolean()), { minLength: 1, maxLength: 4 }), async (files) => {
      const engine = await busyEngine();
      for (const [file, prune] of files) {
        const options: PlanOptions = { prune };
        const { definedLsn } = engine.broker;
        const isDone = attempt(() => importDefinitions(engine.broker, file, options));
        engine.time.settle();
        outcomes.add(isDone);
        if (isDone) expect(planDefinitions(engine.broker, file, options).steps.filter(({ act }) => act !== 'skip')).toEqual([]);
        else expect(engine.broker.definedLsn).toBe(definedLsn);
        expect(engine.broker.users.names().some((user) => engine.broker.users.account(user)?.tags.has('administrator'))).toBe(true);
      }
    }),
    { numRuns: 500 },
  );
  expect(outcomes.size).toBe(2);
});

function attempt(work: () => unknown): boolean {
  try {
    work();
    return true;
  } catch (error) {
    if (error instanceof AmqpError) return false;
    throw error;
  }
}
