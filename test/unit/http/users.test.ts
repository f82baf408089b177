// Users, permissions and limits over the management API: what is refused, as RabbitMQ 3.10.8 refuses it.
import { beforeEach, describe, expect, test } from 'vitest';
import { ApiServer } from '../../support/api-server.ts';
import { HASH } from '../../support/definitions.ts';

let server: ApiServer;
beforeEach(() => {
  server = new ApiServer();
});

describe('a password_hash', () => {
  test.each(['not base64!', 'YWI', 'YW-_', 'Y==='])('that is no base64 is 400, and is not repeated: %s', async (hash) => {
    const before = server.state;
    const put = await server.ask('PUT', '/api/users/z', 'admin', JSON.stringify({ password_hash: hash, tags: '' }));
    expect(put).toMatchObject({ status: 400, body: { reason: 'not_base64', path: '/password_hash' } });
    const users = [
      { name: 'a', password_hash: HASH, tags: '' },
      { name: 'z', password_hash: hash, tags: '' },
    ];
    const imported = await server.ask('POST', '/api/definitions', 'admin', JSON.stringify({ users }));
    expect(imported).toMatchObject({ status: 400, body: { path: '/users/1/password_hash' } });
    expect(JSON.stringify([put.body, imported.body])).not.toContain(`"${hash}"`);
    expect(server.state).toEqual(before);
  });

  test.each(['', 'YWI=', 'YW I=', HASH])('that is base64, white space aside, is kept: %j', async (hash) => {
    const body = JSON.stringify({ password_hash: hash, tags: '' });
    expect((await server.ask('PUT', '/api/users/z', 'admin', body)).status).toBe(201);
  });
});

test('a name has 1 to 255 bytes, so that what is exported can be imported', async () => {
  const put = (name: string) => server.ask('PUT', `/api/users/${encodeURIComponent(name)}`, 'admin', '{"password_hash":"","tags":""}');
  expect((await put('ü'.repeat(127))).status).toBe(201);
  expect(await put('ü'.repeat(128))).toMatchObject({ status: 400, body: { reason: 'a user name has 1 to 255 bytes' } });
});

test.each([
  'users/nobody/permissions',
  'users/nobody/topic-permissions',
  'vhosts/nov/permissions',
  'vhosts/nov/topic-permissions',
  'vhost-limits/nov',
  'user-limits/nobody',
])('GET /api/%s is 404, for who or what it asks about is not there', async (path) => {
  expect((await server.ask('GET', `/api/${path}`, 'admin')).status).toBe(404);
});

test.each(['users/alice/topic-permissions', 'vhosts/%2F/topic-permissions', 'vhost-limits/%2F', 'user-limits/alice'])(
  'GET /api/%s is an empty list, for there are none',
  async (path) => {
    expect(await server.ask('GET', `/api/${path}`, 'admin')).toMatchObject({ status: 200, body: [] });
  },
);

test('deleting several users with one who is not there is 400, and deletes nobody', async () => {
  const deleted = await server.ask('POST', '/api/users/bulk-delete', 'admin', '{"users":["alice","unknown"]}');
  expect(deleted).toMatchObject({ status: 400, body: { reason: "no_such_user 'unknown'" } });
  expect(server.engine.broker.users.names()).toContain('alice');
  expect((await server.ask('POST', '/api/users/bulk-delete', 'admin', '{"users":["alice"]}')).status).toBe(204);
});

test('a user has the columns that were asked for', async () => {
  expect((await server.ask('GET', '/api/users/alice?columns=name', 'admin')).body).toEqual({ name: 'alice' });
  expect((await server.ask('GET', '/api/permissions/%2F/alice?columns=user', 'admin')).body).toEqual({ user: 'alice' });
  expect((await server.ask('GET', '/api/whoami?columns=name', 'admin')).body).toEqual({ name: 'admin' });
});
