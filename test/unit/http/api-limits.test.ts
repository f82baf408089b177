// The limits of the API, by the names of their settings: how often a user may ask, and how long the body of an import is.
import { expect, test } from 'vitest';
import { configOf } from '../../../server/config.ts';
import { HttpError } from '../../../server/http/http-error.ts';
import { readBody } from '../../../server/http/request-body.ts';
import { ApiServer } from '../../support/api-server.ts';

const FAR = { name: 'there', address: '192.0.2.1', isLoopback: false };

test('limits.http-requests-per-second: one more of the same user is 429, another user and peers on loopback are not', async () => {
  const { limits } = configOf({ 'limits.http-requests-per-second': 3 });
  const server = new ApiServer({ limits });
  server.tagged('alice', ['management']);
  const advance = server.engine.time.advance.bind(server.engine.time);
  server.engine.time.advance = () => undefined; // the test's own time stands still
  const ask = (user: string, remote = FAR) => server.ask('GET', '/api/whoami', user, undefined, {}, remote);
  const statuses: number[] = [];
  for (let count = 0; count < 3; count++) statuses.push((await ask('admin')).status);
  expect(statuses).toEqual([200, 200, 200]);
  const refused = await ask('admin');
  expect([refused.status, refused.headers.get('retry-after'), refused.body]).toEqual([
    429,
    '1',
    {
      error: 'too_many_requests',
      reason: "user 'admin' asks too often",
      hint: 'at most 3 a second: the setting limits.http-requests-per-second',
    },
  ]);
  expect((await ask('alice')).status).toBe(200);
  for (let count = 0; count < 5; count++) expect((await server.ask('GET', '/api/whoami', 'admin')).status).toBe(200); // from loopback
  advance(334); // a third of a second is one request
  expect((await ask('admin')).status).toBe(200);
  expect((await ask('admin')).status).toBe(429);
});

test('50 a second is the default', async () => {
  const server = new ApiServer();
  server.engine.time.advance = () => undefined;
  const asked = Array.from({ length: 51 }, () => server.ask('GET', '/api/whoami', 'admin', undefined, {}, FAR));
  const statuses = (await Promise.all(asked)).map(({ status }) => status);
  expect([statuses.filter((status) => status === 200).length, statuses.at(-1)]).toEqual([50, 429]);
});

test('limits.http-definitions-bytes: counts the body of a route that takes definitions, whatever other bodies may have', async () => {
  const { limits } = configOf({ 'limits.http-definitions-bytes': 2048, 'limits.http-body-bytes': 1024 });
  const read = (bytes: number, limit: 'http-body-bytes' | 'http-definitions-bytes') =>
    readBody(new Request('http://leveret/', { method: 'POST', body: ' '.repeat(bytes) }), limit, limits).then(
      ({ length }) => length,
      (error: unknown) => (error instanceof HttpError ? [error.status, error.more.hint] : error),
    );
  expect(await read(2048, 'http-definitions-bytes')).toBe(2048);
  expect(await read(2049, 'http-definitions-bytes')).toEqual([413, 'the setting limits.http-definitions-bytes decides it']);
  expect(await read(1025, 'http-body-bytes')).toEqual([413, 'the setting limits.http-body-bytes decides it']);
});
