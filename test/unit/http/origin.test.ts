// Pages and the passwords that a browser adds for them: who asks from where, and who asks without a browser.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ApiServer } from '../../support/api-server.ts';

let server: ApiServer;
beforeEach(() => {
  server = new ApiServer();
});
afterEach(() => expect(server.logged).toEqual([]));

const HOST = { host: 'leveret' };
const OURS = { ...HOST, origin: 'http://leveret', 'sec-fetch-site': 'same-origin' };
const put = (headers: Record<string, string>) => server.ask('PUT', '/api/queues/%2F/new', 'admin', '{}', headers);

describe('a page', () => {
  test.each([
    ['another origin', { ...HOST, origin: 'https://evil.example' }],
    ['another port of this host', { ...HOST, origin: 'http://leveret:8080' }],
    ['a file or a sandbox', { ...HOST, origin: 'null' }],
    ['another site', { ...HOST, 'sec-fetch-site': 'cross-site' }],
    ['a neighbour', { ...HOST, 'sec-fetch-site': 'same-site' }],
  ])('of %s is refused, whatever it asks', async (_, headers) => {
    const before = server.state;
    for (const [method, path, body] of [
      ['GET', '/api/overview', undefined],
      ['PUT', '/api/queues/%2F/new', '{}'],
      ['DELETE', '/api/queues/%2F/q', undefined],
      ['POST', '/v1/publish/%2F/x/k', 'hello'],
      ['GET', '/v1/queues/%2F/q/pull?ack=auto', undefined],
    ] as const) {
      const answer = await server.ask(method, path, 'admin', body, headers);
      expect([answer.status, answer.body]).toMatchObject([403, { error: 'not_authorised', hint: 'ask from a page of this server' }]);
      expect(answer.headers.get('access-control-allow-origin')).toBeNull();
    }
    expect(server.state).toEqual(before);
  });

  test('of this server is served, and says what no form can send', async () => {
    expect((await server.ask('GET', '/api/overview', 'admin', undefined, OURS)).status).toBe(200);
    expect((await put({ ...OURS, 'content-type': 'application/json; charset=utf-8' })).status).toBe(201);
    for (const type of ['application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'text/plain', 'application/jsonp'])
      expect(await put({ ...OURS, 'content-type': type })).toMatchObject({
        status: 415,
        body: { reason: `a page sends application/json, not ${type}` },
      });
    expect((await server.ask('POST', '/v1/publish/%2F/x/k', 'admin', 'hello', { ...OURS, 'content-type': 'text/plain' })).status).toBe(200);
  });

  test('is never allowed to be read by another one, or framed', async () => {
    const { headers } = await server.ask('GET', '/api/overview', 'admin', undefined, OURS);
    expect(headers.get('access-control-allow-origin')).toBeNull();
    expect(headers.get('content-security-policy')).toContain("frame-ancestors 'none'");
  });
});

test('an address that was typed is no page', async () => {
  expect((await server.ask('GET', '/api/overview', 'admin', undefined, { 'sec-fetch-site': 'none' })).status).toBe(200);
});

test('who is no browser may send any content type', async () => {
  expect((await put({ 'content-type': 'application/x-www-form-urlencoded' })).status).toBe(201);
});

test('a browser is asked for a password under /api, and never where an image could take a message', async () => {
  for (const [path, asks] of [
    ['/api/overview', 'Basic realm="Leveret Management"'],
    ['/v1/queues/%2F/q/pull', null],
  ] as const) {
    const { status, headers } = await server.ask('GET', path, 'nobody');
    expect([status, headers.get('www-authenticate')]).toEqual([401, asks]);
  }
});

test.each(['/v1/queues/%2F/q/pull?ack=auto', '/api/aliveness-test/%2F'])(
  'HEAD of %s does nothing, as nobody would see what it did',
  async (path) => {
    const before = server.state;
    const { status, headers } = await server.ask('HEAD', path, 'admin');
    expect([status, headers.get('allow')]).toEqual([405, 'GET']);
    expect(server.state).toEqual(before);
    expect((await server.ask('HEAD', '/api/overview', 'admin')).status).toBe(200);
  },
);
