// Definitions files: what an import makes, changes, refuses and leaves alone, and that an export brings it all back.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { exportDefinitions, planDefinitions } from '../../../../server/broker/definitions-file/apply.ts';
import type { PlanOptions } from '../../../../server/broker/definitions-file/plan.ts';
import type { JsonObject } from '../../../../shared/protocol/control.ts';
import { b, HASH, load, PRODUCT, q, WHOLE, x } from '../../../support/definitions.ts';
import { Engine } from '../../../support/engine.ts';

describe('an import', () => {
  test('makes everything, in an order in which each finds what it needs; the same again does nothing', async () => {
    const engine = new Engine();
    const steps = await load(engine, WHOLE);
    expect(steps.slice(0, 3)).toEqual(
      ["create vhost 'shop'", "create vhost limits 'shop'", "create user 'alice'"].map((text) =>
        text.replace('vhost limits', 'vhost limits'),
      ),
    );
    expect(steps).toHaveLength(21);
    expect(steps.every((step) => step.startsWith('create'))).toBe(true);
    expect(engine.broker.users.record('alice')).toEqual({
      passwordHash: HASH,
      hashingAlgorithm: 'rabbit_password_hashing_sha512',
      tags: ['management', 'policymaker'],
    });
    expect(engine.broker.users.record('bob')?.hashingAlgorithm).toBe('rabbit_password_hashing_sha256');
    expect(engine.broker.users.account('bob')?.limits.maxChannels).toBe(3);
    expect(engine.broker.vhosts.limit('shop', 'max-queues')).toBe(5);
    expect(engine.broker.vhost('/')?.queues.get('q')?.settings.maxLength).toBe(3);
    expect(await load(engine, WHOLE)).toEqual([]);
  });

  test('of what an export wrote finds nothing to do, and makes the same elsewhere', async () => {
    const [one, two] = [new Engine(), new Engine()];
    await load(one, WHOLE);
    const file = exportDefinitions(one.broker, PRODUCT);
    expect(await load(one, file)).toEqual([]);
    await load(two, file);
    expect(exportDefinitions(two.broker, PRODUCT)).toEqual(file);
  });

  test('changes what may change, and says from what to what', async () => {
    const engine = new Engine();
    await load(engine, WHOLE);
    const changed = { users: [{ name: 'alice', password_hash: HASH, tags: [] }] };
    expect(planDefinitions(engine.broker, changed).steps).toMatchObject([
      { act: 'change', name: "user 'alice'", from: { tags: ['management', 'policymaker'] }, to: { tags: [] } },
    ]);
    expect(engine.broker.users.record('alice')?.tags).toHaveLength(2);
    await load(engine, changed);
    expect(engine.broker.users.record('alice')?.tags).toEqual([]);
  });

  test('with a queue that is there with other arguments is refused in the words of RabbitMQ, and does nothing of the rest', async () => {
    const engine = new Engine();
    await load(engine, WHOLE);
    const before = exportDefinitions(engine.broker, PRODUCT);
    const file = { vhosts: [{ name: 'new' }], queues: [q('other'), q('q', { arguments: { 'x-max-length': 4 } })] };
    await expect(load(engine, file)).rejects.toThrow(
      "inequivalent arg 'x-max-length' for queue 'q' in vhost '/': received '4' but current is '3'",
    );
    expect(exportDefinitions(engine.broker, PRODUCT)).toEqual(before);
    await expect(load(engine, { exchanges: [x('x', 'topic')] })).rejects.toThrow("inequivalent arg 'type' for exchange 'x' in vhost '/'");
  });

  test.each<[string, JsonObject, string]>([
    ['a vhost nobody has', { queues: [{ ...q('q'), vhost: 'none' }] }, "no vhost 'none'"],
    ['a user nobody has', { permissions: [{ user: 'u', vhost: '/', configure: '', write: '', read: '' }] }, "no user 'u'"],
    ['a pattern that is none', { policies: [{ name: 'p', vhost: '/', pattern: '(', definition: {} }] }, 'invalid regular expression'],
    ['an argument that is none', { queues: [q('q', { arguments: { 'x-max-length': -1 } })] }, "invalid arg 'x-max-length'"],
    ['an exchange type nobody has', { exchanges: [x('e', 'x-strange')] }, "unknown exchange type 'x-strange'"],
    ['a password in the clear', { users: [{ name: 'u', password: 'secret' }] }, 'has a password in the clear'],
    [
      'a hashing algorithm nobody has',
      { users: [{ name: 'u', password_hash: HASH, hashing_algorithm: 'md4' }] },
      "unknown hashing algorithm 'md4'",
    ],
    ['a section that is no list', { queues: {} }, 'must be an array'],
    ['a name that is missing', { queues: [{ vhost: '/' }] }, "'name' is missing"],
    [
      'more queues than the vhost may have',
      { vhosts: [{ name: '/', limits: { 'max-queues': 1 } }], queues: [q('a'), q('b')] },
      'queue limit',
    ],
  ])('of %s is refused whole', async (_what, file, text) => {
    const engine = new Engine();
    const before = exportDefinitions(engine.broker, PRODUCT);
    await expect(load(engine, { ...file, ...(file['vhosts'] === undefined ? { vhosts: [{ name: 'first' }] } : {}) })).rejects.toThrow(text);
    expect(exportDefinitions(engine.broker, PRODUCT)).toEqual(before);
  });

  test('reports sections it does not know, and bindings whose ends are nowhere, and goes on', () => {
    const engine = new Engine();
    const { steps, unknown } = planDefinitions(engine.broker, {
      component_x: [],
      queues: [q('q')],
      bindings: [b('nowhere', 'q'), b('amq.direct', 'lost')],
    });
    expect(unknown).toEqual(['component_x']);
    expect(steps.map(({ act, why }) => [act, why])).toEqual([
      ['create', undefined],
      ['skip', "no exchange 'nowhere' in vhost '/'"],
      ['skip', "no queue 'lost' in vhost '/'"],
    ]);
  });

  test('deletes what the file does not name where that is asked for, of the kinds it speaks of', async () => {
    const engine = new Engine();
    await load(engine, WHOLE);
    const steps = await load(
      engine,
      { exchanges: [], bindings: [], queues: [q('q', { arguments: { 'x-max-length': 3 } })] },
      { prune: true },
    );
    expect(steps.filter((step) => step.startsWith('delete queue'))).toEqual([
      "delete queue 'amq.gen-abc' in vhost '/'",
      "delete queue 't' in vhost '/'",
    ]);
    const left = exportDefinitions(engine.broker, PRODUCT);
    expect(left['exchanges']).toEqual([]);
    expect(left['bindings']).toEqual([]);
    expect(left['queues']).toHaveLength(1);
    expect(left['policies']).toHaveLength(1);
  });

  test('that would delete who asks, or leave no administrator, is refused by the rule, and deletes nobody', async () => {
    const engine = new Engine();
    await load(engine, WHOLE); // bob alone is an administrator
    const refused = async (file: JsonObject, options: PlanOptions, text: string): Promise<void> => {
      const [conflict] = planDefinitions(engine.broker, file, options).steps.filter(({ act }) => act === 'conflict');
      expect(conflict?.why).toContain(text);
      expect(conflict?.hint).toBeDefined();
      await expect(load(engine, file, options)).rejects.toThrow(text);
      expect(engine.broker.users.names().sort()).toEqual(['alice', 'bob']);
    };
    await refused({ users: [] }, { prune: true }, "user 'bob' must stay an administrator with a password: no other would be left");
    await refused({ users: [{ name: 'bob', password_hash: HASH, tags: [] }] }, {}, "user 'bob' must stay an administrator");
    const others = [{ name: 'carol', password_hash: HASH, tags: ['administrator'] }];
    await refused({ users: others }, { prune: true, caller: 'bob' }, "user 'bob' may not be deleted: it is who asks");
    expect(await load(engine, { users: others }, { prune: true, caller: 'carol' })).toContain("delete user 'bob'");
    expect(engine.broker.users.names()).toEqual(['carol']);
  });

  test('shows in its plan that a password changes, and never a hash', async () => {
    const engine = new Engine();
    await load(engine, WHOLE);
    await load(engine, { users: [{ name: 'dora', password_hash: HASH, tags: ['administrator'] }] });
    const users = [
      { name: 'alice', password_hash: 'b3RoZXI=', tags: ['management', 'policymaker'] },
      { name: 'bob', password_hash: '', tags: ['administrator'] },
      { name: 'carol', password_hash: 'bmV3', tags: [] },
    ];
    const planned = planDefinitions(engine.broker, { users });
    expect(planned.steps.filter(({ kind }) => kind === 'user').map(({ name: each, from, to }) => [each, from, to])).toEqual([
      ["user 'alice'", { tags: ['management', 'policymaker'] }, { tags: ['management', 'policymaker'], password: 'changed' }],
      ["user 'bob'", { tags: ['administrator'] }, { tags: ['administrator'], password: 'cleared' }],
      ["user 'carol'", undefined, { tags: [], password: 'set' }],
    ]);
    const told = [planned, planDefinitions(engine.broker, { users: [] }, { prune: true })].map((each) => JSON.stringify(each)).join();
    for (const secret of [HASH, 'b3RoZXI=', 'bmV3', 'hash']) expect(told).not.toContain(secret);
    await load(engine, { users });
    expect(engine.broker.users.record('alice')?.passwordHash).toBe('b3RoZXI=');
  });

  test('of policies puts them in force, a glob too, which a RabbitMQ reads as the pattern of the same meaning', async () => {
    const engine = new Engine();
    const glob = { name: 'g', vhost: '/', glob: 'a.*', definition: { 'max-length': 2 } };
    await load(engine, { queues: [q('q'), q('a.b'), q('a-b')], policies: [...[WHOLE['policies'] ?? []].flat(), glob] });
    const queue = (name: string) => engine.broker.vhost('/')?.queues.get(name);
    expect([queue('q')?.policy.policy, queue('a.b')?.policy.policy, queue('a-b')?.policy.policy]).toEqual(['ttl', 'g', undefined]);
    const exported = exportDefinitions(engine.broker, PRODUCT);
    expect(exported['policies']).toContainEqual(expect.objectContaining({ name: 'g', glob: 'a.*', pattern: '^a\\..*$' }));
    expect(await load(engine, exported)).toEqual([]);
    await load(engine, { policies: [] }, { prune: true });
    expect(queue('q')?.policy.policy).toBeUndefined();
  });

  test('does not lose an exchange that deletes itself when its last old binding goes before its new one comes', async () => {
    const engine = new Engine();
    const exchanges = [x('auto', 'direct', { auto_delete: true })];
    await load(engine, { exchanges, queues: [q('q')], bindings: [b('auto', 'q', { routing_key: 'old' })] });
    await load(engine, { exchanges, bindings: [b('auto', 'q', { routing_key: 'new' })] }, { prune: true });
    expect([...(engine.broker.vhost('/')?.exchanges.get('auto')?.outgoing.values() ?? [])].map(({ key }) => key)).toEqual(['new']);
  });

  test('frees the room of what goes before it makes what comes', async () => {
    const engine = new Engine();
    const vhosts = [{ name: '/', limits: { 'max-queues': 1 } }];
    await load(engine, { vhosts, queues: [q('old')] });
    await load(engine, { vhosts, queues: [q('new')] }, { prune: true });
    expect([...(engine.broker.vhost('/')?.queues.keys() ?? [])]).toEqual(['new']);
  });

  test('knows what goes along with what is pruned, and what is predeclared in one vhost alone', async () => {
    const engine = new Engine();
    await load(engine, WHOLE);
    const grant = { user: 'alice', vhost: 'shop', configure: '^a', write: '.*', read: '' };
    const users = [{ name: 'bob', password_hash: HASH, tags: ['administrator'] }];
    expect(planDefinitions(engine.broker, { users, permissions: [grant] }, { prune: true }).steps).toContainEqual(
      expect.objectContaining({ act: 'conflict', kind: 'permission', why: "no user 'alice'" }),
    );
    const without = planDefinitions(engine.broker, { exchanges: [], bindings: [b('x', 'q')] }, { prune: true });
    expect(without.steps).toContainEqual(expect.objectContaining({ act: 'skip', kind: 'binding', why: "no exchange 'x' in vhost '/'" }));
    const left = planDefinitions(engine.broker, { exchanges: [x('amq.new', 'direct')], bindings: [b('amq.new', 'q')] });
    expect(left.steps.map(({ act }) => act)).toEqual(['skip', 'skip']); // what needs what is left out is left out too
    const [queues, events] = [[{ ...q('e'), vhost: 'shop' }], { ...b('amq.rabbitmq.event', 'e'), vhost: 'shop' }];
    expect(await load(engine, { queues, bindings: [events] })).toEqual([
      "create queue 'e' in vhost 'shop'",
      "skip binding from 'amq.rabbitmq.event' to queue 'e' with key 'k' in vhost 'shop'",
    ]);
  });

  test('takes a topic permission by the length of its pattern, not by that of the names it stands for', async () => {
    const engine = new Engine();
    const user = 'u.'.repeat(100); // each dot is six characters in the expression
    await load(engine, {
      users: [{ name: user }],
      topic_permissions: [{ user, vhost: '/', exchange: 'e', write: '^{username}$', read: '' }],
    });
    engine.broker.users.setPermissions(user, '/', { configure: '', write: '', read: '' });
    const rights = engine.broker.users.account(user)?.rights('/');
    expect([rights?.mayRoute('write', 'e', user), rights?.mayRoute('write', 'e', 'uu'.repeat(100))]).toEqual([true, false]);
  });

  test('of one vhost goes into the vhost it is meant for, whatever it was called, and leaves users out', async () => {
    const engine = new Engine();
    await load(engine, WHOLE);
    const file = exportDefinitions(engine.broker, PRODUCT, '/');
    expect(JSON.stringify(file)).not.toContain('"vhost"');
    expect(file['users']).toBeUndefined();
    engine.broker.vhosts.put('copy', {});
    await load(engine, file, {}, 'copy');
    expect({ ...exportDefinitions(engine.broker, PRODUCT, 'copy'), original_vhost_name: '/' }).toEqual(file);
    expect(planDefinitions(engine.broker, WHOLE, {}, 'copy').unknown).toContain('users');
  });

  test('has nothing exclusive and nothing predeclared in its export', () => {
    const engine = new Engine();
    const peer = engine.connect();
    peer.session.declareQueue({ queue: 'mine', durable: false, exclusive: true, autoDelete: false, passive: false, arguments: new Map() });
    peer.session.bindQueue('mine', 'amq.direct', 'k', new Map());
    const file = exportDefinitions(engine.broker, PRODUCT);
    expect([file['queues'], file['exchanges'], file['bindings']]).toEqual([[], [], []]);
  });
});

const name = fc.stringMatching(/^[a-d]{1,2}$/);
const json = fc.dictionary(
  fc.stringMatching(/^[a-z]{1,4}$/),
  fc.oneof(fc.integer({ min: -9, max: 9 }), fc.boolean(), fc.constant('s'), fc.constant(1.5)),
  { maxKeys: 3 },
);
const named = <Entry extends object>(entry: fc.Arbitrary<Entry>): fc.Arbitrary<(Entry & { name: string })[]> =>
  fc.uniqueArray(
    fc.tuple(name, entry).map(([each, more]) => ({ name: each, ...more })),
    { selector: (each) => each.name, maxLength: 5 },
  );
const policy = fc.record({
  vhost: fc.constantFrom('/', 'v'),
  pattern: fc.constantFrom('^q', '.*'),
  'apply-to': fc.constantFrom('all', 'queues'),
  definition: fc.constantFrom<JsonObject>({ 'max-length': 3 }, { 'message-ttl': 5, expires: 7 }),
  priority: fc.integer({ min: 0, max: 5 }),
});
const files = fc
  .record({
    users: named(
      fc.record({
        password_hash: fc.constantFrom('', HASH),
        hashing_algorithm: fc.constant('leveret_scrypt'),
        tags: fc.constantFrom([], ['monitoring']),
        limits: fc.constantFrom({}, { 'max-channels': 2 }),
      }),
    ),
    global_parameters: named(fc.record({ value: json })),
    policies: named(policy),
    exchanges: named(
      fc.record({
        vhost: fc.constant('v'),
        type: fc.constantFrom('direct', 'topic', 'fanout', 'headers'),
        durable: fc.boolean(),
        auto_delete: fc.boolean(),
        internal: fc.boolean(),
        arguments: json,
      }),
    ),
    queues: named(fc.record({ vhost: fc.constant('v'), durable: fc.boolean(), auto_delete: fc.boolean(), arguments: json })),
    ends: fc.array(fc.tuple(fc.nat(), fc.nat(), fc.boolean(), name, json), { maxLength: 6 }),
  })
  .map(({ ends, ...file }) => {
    const bindings = ends.flatMap(([from, to, toQueue, routing_key, args]) => {
      const source = file.exchanges[from % Math.max(1, file.exchanges.length)]?.name;
      const things = toQueue ? file.queues : file.exchanges;
      const destination = things[to % Math.max(1, things.length)]?.name;
      if (source === undefined || destination === undefined) return [];
      return [{ source, vhost: 'v', destination, destination_type: toQueue ? 'queue' : 'exchange', routing_key, arguments: args }];
    });
    return {
      ...file,
      bindings,
      vhosts: [
        { name: '/', metadata: { description: '', tags: [] } },
        { name: 'v', metadata: { description: 'd', tags: ['t'] } },
      ],
    };
  });

test('an export of what was imported is what was imported', async () => {
  await fc.assert(
    fc.asyncProperty(files, async (file) => {
      const engine = new Engine();
      await load(engine, JSON.parse(JSON.stringify(file)));
      const exported = exportDefinitions(engine.broker, PRODUCT);
      for (const [section, entries] of Object.entries(file)) {
        const unique = [...new Set(sorted(entries))];
        expect(sorted(withoutLimits(exported[section])), section).toEqual([...new Set(unique)]);
      }
      expect(await load(engine, exported)).toEqual([]);
    }),
    { numRuns: 100 },
  );
});

/** Each entry as one text, in one order; a vhost's limits are in the file's parameters. */
function sorted(entries: unknown): string[] {
  if (!Array.isArray(entries)) throw new Error('a section is a list');
  return entries.map((entry) => canonical(entry)).sort();
}
function withoutLimits(entries: unknown): unknown {
  return Array.isArray(entries)
    ? entries.map(({ ...entry }) => (Array.isArray(entry.limits) ? { ...entry, limits: undefined } : entry))
    : entries;
}
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const fields = Object.entries(value).filter(([, field]) => field !== undefined);
  return `{${fields
    .map(([field, each]) => `${field}:${canonical(each)}`)
    .sort()
    .join(',')}}`;
}
