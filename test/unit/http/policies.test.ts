// Policies, operator policies and parameters by HTTP: put, applied at once, shown as RabbitMQ shows them, refused in its words.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ApiServer, rightsWithout } from '../../support/api-server.ts';

let server: ApiServer;
beforeEach(() => {
  server = new ApiServer();
});
afterEach(() => expect(server.logged).toEqual([]));

const put = async (path: string, body: unknown, user = 'admin') => {
  const { status, body: answer } = await server.ask('PUT', `/api/${path}`, user, JSON.stringify(body));
  return [status, answer];
};
const get = async (path: string) => (await server.ask('GET', `/api/${path}`, 'admin')).body;
const remove = async (path: string, user = 'admin') => (await server.ask('DELETE', `/api/${path}`, user)).status;
const HELD = 'columns=policy,operator_policy,effective_policy_definition';

describe.each([
  ['policies', 'policy'],
  ['operator-policies', 'operator-policy'],
] as const)('%s', (path, kind) => {
  test('are put, shown as RabbitMQ shows them, and taken away', async () => {
    const definition = { 'max-length': 5 };
    expect(await put(`${path}/%2F/p`, { pattern: '^q', definition })).toEqual([201, undefined]);
    expect(await put(`${path}/%2F/p`, { pattern: '^q', definition, priority: 1, 'apply-to': 'queues' })).toEqual([204, undefined]);
    const shown = { vhost: '/', name: 'p', pattern: '^q', 'apply-to': 'queues', definition, priority: 1 };
    for (const list of [path, `${path}/%2F`]) expect(await get(list)).toEqual([shown]);
    expect(await get(`${path}/%2F/p`)).toEqual(shown);
    expect(server.engine.broker.policies.list(kind, '/')).toHaveLength(1);
    expect(await remove(`${path}/%2F/p`)).toBe(204);
    expect(await remove(`${path}/%2F/p`)).toBe(404);
    expect((await server.ask('GET', `/api/${path}/%2F/p`, 'admin')).status).toBe(404);
  });

  test('hold at once for queues, and until they are taken away', async () => {
    const queue = server.engine.broker.vhost('/')?.queues.get('q');
    await put(`${path}/%2F/p`, { pattern: '^q', definition: { 'max-length': 0 } });
    expect(queue?.readyCount).toBe(0); // the message it had is dropped
    expect(await get(`queues/%2F/q?${HELD}`)).toEqual({
      policy: kind === 'policy' ? 'p' : null,
      operator_policy: kind === 'policy' ? null : 'p',
      effective_policy_definition: { 'max-length': 0 },
    });
    await remove(`${path}/%2F/p`);
    expect(await get(`queues/%2F/q?${HELD}`)).toEqual({ policy: null, operator_policy: null, effective_policy_definition: {} });
  });

  test('may have a glob in place of the pattern, and what is shown can be put again', async () => {
    expect(await put(`${path}/%2F/p`, { glob: 'q*', definition: { 'max-length': 5 } })).toEqual([201, undefined]);
    const shown = await get(`${path}/%2F/p`);
    expect(shown).toEqual({ vhost: '/', name: 'p', glob: 'q*', 'apply-to': 'all', definition: { 'max-length': 5 }, priority: 0 });
    expect(await put(`${path}/%2F/p`, shown)).toEqual([204, undefined]);
    expect(await get(`queues/%2F/q?columns=effective_policy_definition`)).toEqual({ effective_policy_definition: { 'max-length': 5 } });
  });

  test.each([
    [{ pattern: 'x' }, "'definition' is missing"],
    [{ definition: { 'max-length': 1 } }, 'Validation failed\n\npattern should be a string\n'],
    [{ pattern: 7, definition: { 'max-length': 1 } }, 'Validation failed\n\npattern should be a string\n'],
    [
      { pattern: 'x', glob: 'x', definition: { 'max-length': 1 } },
      'Validation failed\n\neither a pattern or a glob says what it applies to\n',
    ],
    [{ pattern: '(', definition: { 'max-length': 1 } }, 'pattern should be regular expression but is invalid'],
    [{ pattern: 'x', definition: {} }, 'Validation failed\n\nno policy provided\n'],
    [{ pattern: 'x', definition: 7 }, 'Validation failed\n\npolicy definition should be an object, actually was 7\n'],
    [{ pattern: 'x', definition: { 'max-length': -1 } }, 'Validation failed\n\n-1 is not a valid maximum length\n'],
    [{ pattern: 'x', definition: { odd: 1 } }, 'Validation failed\n\n[{<<"odd">>,1}] are not recognised policy settings\n'],
    [{ pattern: 'x', definition: { 'max-length': 1 }, 'apply-to': 'odd' }, "Validation failed\n\napply-to 'odd' unrecognised; should be"],
    [{ pattern: 'x', definition: { 'max-length': 1 }, priority: 'high' }, 'Validation failed\n\npriority should be a number, actually was'],
  ])('%j is 400: %s', async (body, reason) => {
    const before = server.state;
    expect(await put(`${path}/%2F/p`, body)).toMatchObject([400, { error: 'bad_request', reason: expect.stringContaining(reason) }]);
    expect(server.state).toEqual(before);
  });

  test('of a vhost that is not there is 404', async () => {
    expect(await put(`${path}/nowhere/p`, { pattern: 'x', definition: { 'max-length': 1 } })).toMatchObject([404, {}]);
    expect((await server.ask('GET', `/api/${path}/nowhere`, 'admin')).status).toBe(404);
  });
});

test('of both together the lower number holds, for an exchange too', async () => {
  await put('policies/%2F/mine', { pattern: '.', definition: { 'max-length': 9, 'alternate-exchange': 'amq.fanout' } });
  await put('operator-policies/%2F/cap', { pattern: '.', definition: { 'max-length': 3 } });
  const held = {
    policy: 'mine',
    operator_policy: 'cap',
    effective_policy_definition: { 'max-length': 3, 'alternate-exchange': 'amq.fanout' },
  };
  expect(await get(`queues/%2F/q?${HELD}`)).toEqual(held);
  expect(await get(`exchanges/%2F/x?${HELD}`)).toEqual(held);
  expect(await get('exchanges/%2F/amq.default')).not.toHaveProperty('policy'); // no pattern finds the empty name
});

describe('parameters', () => {
  test('of any component come back as they were', async () => {
    expect(await put('parameters/shovel/%2F/s', { value: { 'src-uri': 'amqp://' } })).toEqual([201, undefined]);
    const shown = { vhost: '/', component: 'shovel', name: 's', value: { 'src-uri': 'amqp://' } };
    for (const list of ['', '/shovel', '/shovel/%2F']) expect(await get(`parameters${list}`)).toEqual([shown]);
    expect(await get('parameters/other')).toEqual([]);
    expect(await get('parameters/shovel/%2F/s')).toEqual(shown);
    expect(await remove('parameters/shovel/%2F/s')).toBe(204);
    expect(await remove('parameters/shovel/%2F/s')).toBe(404);
    await put('global-parameters/g', { value: [1] });
    expect(await get('global-parameters/g')).toEqual({ name: 'g', value: [1] });
    expect(await put('cluster-name', { name: 'north' })).toEqual([204, undefined]);
    expect(await get('cluster-name')).toEqual({ name: 'north' });
    expect(await get('overview?columns=cluster_name')).toEqual({ cluster_name: 'north' });
  });

  test('show policies to who asks for them by name, operator policies and limits to all, as in RabbitMQ; and put none aside', async () => {
    const policy = { pattern: '^q', definition: { 'max-length': 5 }, priority: 0, 'apply-to': 'all' };
    await put('policies/%2F/p', policy);
    await put('vhost-limits/%2F/max-queues', { value: 10 });
    expect(await put('parameters/operator_policy/%2F/cap', { value: policy })).toEqual([201, undefined]);
    expect(await get('operator-policies/%2F')).toMatchObject([{ name: 'cap', ...policy }]);
    expect(await get('queues/%2F/q?columns=operator_policy')).toEqual({ operator_policy: 'cap' });
    expect(await get('parameters')).toEqual([
      { vhost: '/', component: 'operator_policy', name: 'cap', value: policy },
      { vhost: '/', component: 'vhost-limits', name: 'limits', value: { 'max-queues': 10 } },
    ]);
    expect(await get('parameters/policy/%2F/p')).toEqual({ vhost: '/', component: 'policy', name: 'p', value: policy });
    expect(await put('parameters/policy/%2F/p', { value: policy })).toMatchObject([
      400,
      { reason: 'policies may not be set using this method', hint: 'PUT and DELETE /api/policies/...' },
    ]);
    expect(await put('parameters/vhost-limits/%2F/limits', { value: {} })).toMatchObject([400, {}]);
    expect(await remove('parameters/policy/%2F/p')).toBe(400);
    expect(await remove('parameters/operator_policy/%2F/cap')).toBe(204);
    expect(await get('operator-policies')).toEqual([]);
  });

  test('are no way around the tag that an operator policy needs', async () => {
    server.tagged('alice', ['policymaker'], rightsWithout());
    const value = { pattern: '^q', definition: { 'max-length': 5 } };
    await put('operator-policies/%2F/cap', value);
    expect(await put('parameters/operator_policy/%2F/cap', { value }, 'alice')).toMatchObject([401, { error: 'not_authorised' }]);
    expect(await remove('parameters/operator_policy/%2F/cap', 'alice')).toBe(401);
    expect(await put('policies/%2F/p', value, 'alice')).toEqual([201, undefined]);
  });
});
