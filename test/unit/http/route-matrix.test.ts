// Every route as everybody who should not: without a tag, with the tag but no right, with every right but the one it needs; and as who should. What each route has to
// say of itself: test/tidy/routes.ts.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { NEEDED } from '../../../server/broker/authorise.ts';
import type { Tag } from '../../../server/broker/login.ts';
import type { Route } from '../../../server/http/route.ts';
import { routes } from '../../../server/http/routes/routes.ts';
import { ApiServer, filled, rightsWithout } from '../../support/api-server.ts';

let server: ApiServer;
beforeEach(() => {
  server = new ApiServer();
});
afterEach(() => expect(server.logged).toEqual([]));

const BODY = JSON.stringify({
  durable: true,
  ...{ tags: '', password: 'x', configure: '.*', write: '.*', read: '.*', exchange: 'x', value: 1, users: ['alice'], count: 1 },
  ...{ type: 'direct', routing_key: 'q', payload: 'p', properties: {}, ackmode: 'ack_requeue_false', action: 'sync', name: 'n' },
  ...{ pattern: '^q', definition: { 'max-length': 1 } },
});
/** Of a definitions file those fields are sections. */
const bodyOf = ({ path }: Route): string => (path.startsWith('/api/definitions') ? '{}' : BODY);
const ask = (route: Route, user: string) =>
  server.ask(route.method, filled(route.path), user, route.method === 'PUT' || route.method === 'POST' ? bodyOf(route) : undefined);

const CASES = routes.map((route) => [`${route.method} ${route.path}`, route] as const);
const operationOf = ({ right }: Route): keyof typeof NEEDED | undefined => (right === 'none' || right === 'vhost' ? undefined : right);
const LACKS = CASES.flatMap(([name, route]) => {
  const operation = operationOf(route);
  return operation === undefined
    ? []
    : [...new Set(NEEDED[operation].map(({ right }) => right))].map((right) => [name, right, route] as const);
});
/** Beside each route that one tag is for: all tags that do not include that one. */
const OTHERS: readonly (readonly [Tag, readonly Tag[]])[] = [
  ['administrator', ['management', 'policymaker', 'monitoring']],
  ['monitoring', ['management', 'policymaker']],
  ['policymaker', ['management', 'monitoring']],
];
const REFUSED = OTHERS.flatMap(([tag, others]) =>
  CASES.filter(([, route]) => route.tag === tag).map(([name, route]) => [name, others, route] as const),
);
/** Sees all vhosts by its tag. */
const seesAll = (tag: Tag | 'none'): boolean => tag === 'administrator' || tag === 'monitoring';
const CHANGES = CASES.filter(([, { method }]) => method !== 'GET');

describe('who may do what', () => {
  test.each(CASES)('%s refuses a user without a tag and a right, and changes nothing', async (_, route) => {
    server.tagged('alice', []);
    const before = server.state;
    const { status, body } = await ask(route, 'alice');
    if (route.tag === 'none' && route.right === 'none') expect([200, 404]).toContain(status);
    else expect([status, body]).toMatchObject([401, { error: 'not_authorised' }]);
    expect(server.state).toEqual(before);
  });

  test.each(CASES)('%s shows and changes nothing of a vhost for a user who has its tag alone', async (_, route) => {
    server.tagged('alice', route.tag === 'none' ? [] : [route.tag]);
    const before = server.state;
    const { status, body } = await ask(route, 'alice');
    if (seesAll(route.tag)) return;
    if (route.right !== 'none') expect(status).toBe(401);
    expect(JSON.stringify(body ?? '')).not.toMatch(/"(name|queue)":"q"|planted-hash|kept/);
    expect(server.state).toEqual(before);
  });

  // RabbitMQ 3.10.8 does so too: monitoring sees, and changes what its rights let it change.
  test.each(CHANGES)('%s changes nothing for who sees everything and has a right nowhere', async (_, route) => {
    server.tagged('alice', ['management', 'policymaker', 'monitoring']);
    const before = server.state;
    const { status } = await ask(route, 'alice');
    if (route.right !== 'none') expect(status).toBe(401);
    expect(server.state).toEqual(before);
  });

  test.each(REFUSED)('%s refuses every other tag: %j', async (_, others, route) => {
    server.tagged('alice', others, rightsWithout());
    const before = server.state;
    expect(await ask(route, 'alice')).toMatchObject({ status: 401, body: { reason: `user 'alice' is not tagged ${route.tag}` } });
    expect(server.state).toEqual(before);
  });

  test.each(LACKS)('%s refuses who has every right but to %s', async (_, right, route) => {
    server.tagged(
      'alice',
      ['management', 'policymaker'],
      right === 'any' ? rightsWithout('configure', 'write', 'read') : rightsWithout(right),
    );
    const before = server.state;
    expect(await ask(route, 'alice')).toMatchObject({
      status: 401,
      body: { error: 'not_authorised', reason: expect.stringContaining('refused for user') },
    });
    expect(server.state).toEqual(before);
  });

  test.each(CASES.filter(([, route]) => operationOf(route) !== undefined))(
    '%s serves who has its tag and every right',
    async (_, route) => {
      server.tagged('alice', ['management'], rightsWithout());
      expect([200, 201, 204]).toContain((await ask(route, 'alice')).status);
    },
  );

  test.each(CASES)('%s serves an administrator', async (_, route) => {
    expect([200, 201, 204, 404]).toContain((await ask(route, 'admin')).status);
  });
});
