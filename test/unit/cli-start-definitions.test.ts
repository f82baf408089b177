// `leveret start` with a definitions file and an audit log: what is there before anybody can come in, what it says to a file that cannot be, and who is in the log.

import { createHash } from 'node:crypto';
import { existsSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Connection, connect } from 'leveret-client';
import { expect, test } from 'vitest';
import { ExitCode } from '../../server/cli/exit-codes.ts';
import { freshFolder, Started } from '../support/started.ts';

const ANY_PORT = ['--http-port', '0'];
const salt = Buffer.from([1, 2, 3, 4]);
const HASH = Buffer.concat([salt, createHash('sha256').update(salt).update('wonder').digest()]).toString('base64');
const DEFINITIONS = {
  vhosts: [{ name: '/' }],
  users: [{ name: 'alice', password_hash: HASH, tags: ['administrator'] }],
  permissions: [{ user: 'alice', vhost: '/', configure: '.*', write: '.*', read: '.*' }],
  policies: [{ name: 'short', vhost: '/', pattern: '^q', definition: { 'max-length': 1 } }],
  queues: [{ name: 'q', vhost: '/', durable: true, auto_delete: false, arguments: {} }],
};

const url = async (started: Started, user = 'alice:wonder'): Promise<string> => `ws://${user}@127.0.0.1:${await started.port()}/ws`;
const client = async (started: Started, user?: string): Promise<Connection> => connect(await url(started, user), { reconnect: false });
/** Asks the management API as alice. */
async function ask(started: Started, method: string, path: string, body?: object): Promise<{ status: number; body: unknown }> {
  const response = await fetch(`http://127.0.0.1:${await started.port()}${path}`, {
    method,
    headers: { authorization: `Basic ${Buffer.from('alice:wonder').toString('base64')}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, body: text === '' ? undefined : JSON.parse(text) };
}

test('definitions are there when the port opens, after a kill and at every start; guest is not made beside their users', async () => {
  const folder = freshFolder();
  const path = join(folder, 'definitions.json');
  writeFileSync(path, JSON.stringify(DEFINITIONS));
  const withFile = { LEVERET_DEFINITIONS: path };
  const first = new Started(ANY_PORT, withFile, folder);
  await first.port();
  await first.kill();
  for (const environment of [withFile, {}]) {
    const started = new Started(ANY_PORT, environment, folder);
    expect(await ask(started, 'GET', '/api/queues/%2F/q')).toMatchObject({ status: 200, body: { name: 'q', policy: 'short' } });
    await expect(client(started, 'guest:guest')).rejects.toThrow();
    await started.stop();
  }
});

test('a definitions file with a bad entry ends the start, says where, and nothing of it is kept', async () => {
  const folder = freshFolder();
  const path = join(folder, 'definitions.json');
  const bad = { name: 'bad', vhost: '/', pattern: '(', definition: { 'max-length': 1 } };
  writeFileSync(path, JSON.stringify({ ...DEFINITIONS, policies: [...DEFINITIONS.policies, bad] }));
  const refused = new Started(ANY_PORT, { LEVERET_DEFINITIONS: path }, folder);
  expect(await refused.ended).toBe(ExitCode.Configuration);
  expect(refused.err).toContain(`definitions: ${path}/policies/1/pattern: PRECONDITION_FAILED`);
  expect(refused.err).not.toMatch(/^\s+at |pya|AQIDB/m);
  expect(refused.err.trimEnd().split('\n').length).toBeLessThanOrEqual(2);
  const after = new Started(ANY_PORT, {}, folder);
  const mq = await client(after, 'guest:guest'); // so no user was made
  await expect(mq.queue('q').publish('x')).rejects.toThrow();
  await mq.close();
  await after.stop();
});

test.each([
  ['is not there', undefined, /definitions: .* cannot be read/],
  ['is no JSON', '{"users": [{"password_hash": "planted" }],\n}', /is no JSON: look at line 2, column 1/],
  ['is a list', '[]', /must hold a JSON object/],
])('a definitions file that %s ends the start before the data directory is touched, and is not quoted', async (_what, content, text) => {
  const folder = freshFolder();
  const path = join(folder, 'definitions.json');
  if (content !== undefined) writeFileSync(path, content);
  const started = new Started(ANY_PORT, { LEVERET_DEFINITIONS: path }, folder);
  expect(await started.ended).toBe(ExitCode.Configuration);
  expect(started.err).toMatch(text);
  expect(started.err).not.toContain('planted');
  expect(existsSync(join(folder, '.leveret'))).toBe(false);
});

test('the audit log names who did what, in a file that may be moved away under the running broker; without a file, what administrators do is in the log', async () => {
  const folder = freshFolder();
  const [path, audit] = [join(folder, 'definitions.json'), join(folder, 'audit.log')];
  writeFileSync(path, JSON.stringify(DEFINITIONS));
  const lines = (file = audit): string[][] =>
    readFileSync(file, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
      .map(({ user, act, object, outcome }) => [user, act, object, outcome]);
  const started = new Started(ANY_PORT, { LEVERET_DEFINITIONS: path, LEVERET_AUDIT_FILE: audit }, folder);
  expect((await ask(started, 'PUT', '/api/users/bob', { password: 'hush-hush', tags: '' })).status).toBe(201);
  const mq = await client(started);
  await mq.declareQueue('orders');
  await mq.close();
  expect(lines()).toEqual(
    expect.arrayContaining([
      ['alice', 'user.authentication.success', 'alice', 'ok'],
      ['alice', 'user.created', 'bob', 'ok'],
      ['alice', 'PUT /api/users/{name}', 'bob', 'ok'],
      ['alice', 'queue.created', 'orders', 'ok'],
    ]),
  );
  expect(readFileSync(audit, 'utf8')).not.toMatch(/hush|wonder|AQIDB/);
  expect(statSync(audit).mode & 0o777).toBe(0o600);
  renameSync(audit, `${audit}.1`);
  started.child.kill('SIGHUP');
  while (!existsSync(audit)) await new Promise((resolve) => setImmediate(resolve));
  expect((await ask(started, 'DELETE', '/api/users/bob')).status).toBe(204);
  expect(lines()).toContainEqual(['alice', 'user.deleted', 'bob', 'ok']);
  await started.stop();
  const logged = new Started([...ANY_PORT, '--log-level', 'info'], {}, folder);
  expect((await ask(logged, 'PUT', '/api/users/carol', { password: 'hush-hush', tags: '' })).status).toBe(201);
  expect((await ask(logged, 'DELETE', '/api/queues/%2F/orders')).status).toBe(204);
  await logged.stop();
  expect(logged.err).toContain('"act":"user.created","object":"carol"');
  expect(logged.err).not.toMatch(/hush|queue\.deleted|authentication/);
});

test('an audit file that cannot be opened ends the start', async () => {
  const folder = freshFolder();
  const started = new Started(ANY_PORT, { LEVERET_AUDIT_FILE: folder }, folder);
  expect(await started.ended).toBe(ExitCode.Configuration);
  expect(started.err).toMatch(/the audit log cannot be opened/);
  expect(started.err).toContain('audit.file');
});
