// The body of a request: counted, not packed, and JSON with one meaning; what is wrong with it is said with its place.
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { SystemClock } from '../../../server/clock.ts';
import { apiListener } from '../../../server/http/api-listener.ts';
import { HttpServer } from '../../../server/http/server.ts';
import { ApiServer, HERE } from '../../support/api-server.ts';

let server: ApiServer;
beforeEach(() => {
  server = new ApiServer();
});
afterEach(() => expect(server.logged).toEqual([]));

const NEW = '/api/queues/%2F/new';
const AUTHORIZATION = `Basic ${btoa('admin:right')}`;
const askBytes = async (body: Uint8Array<ArrayBuffer> | string) => {
  const request = new Request(`http://leveret${NEW}`, { method: 'PUT', headers: { authorization: AUTHORIZATION }, body });
  const response = await server.api(request, HERE);
  return [response.status, await response.json()];
};
const deep = (levels: number): string => `{"x":${'['.repeat(levels - 1)}${']'.repeat(levels - 1)}}`;

describe('JSON', () => {
  test.each([
    ['{', 'the body is no JSON: close brace expected, at line 1, column 2'],
    ['{"durable":true,}', 'the body is no JSON: property name expected, at line 1, column 17'],
    ['{\n  "durable": tru\n}', 'the body is no JSON: invalid symbol, at line 2, column 14'],
    ['{"durable":true} x', 'the body is no JSON: invalid symbol, at line 1, column 18'],
    ['/* why */{}', 'the body is no JSON: invalid comment token, at line 1, column 1'],
    ['{"a":NaN}', 'the body is no JSON: invalid symbol, at line 1, column 6'],
    ['{"a":"\u0001"}', 'the body is no JSON: invalid character, at line 1, column 6'],
    ['payload=x&a=b', 'the body is no JSON: invalid symbol, at line 1, column 1'],
    ['[]', 'the body must be a JSON object'],
    ['null', 'the body must be a JSON object'],
    ['7', 'the body must be a JSON object'],
    ['"{}"', 'the body must be a JSON object'],
    ['{"durable":true,\n"durable":false}', 'a name stands twice in one object: /durable, at line 2, column 1'],
    ['{"arguments":{"a":1,"\\u0061":2}}', 'a name stands twice in one object: /arguments/a, at line 1, column 21'],
    ['{"arguments":{"__proto__":{"x":1}}}', "the name '__proto__' is not taken, at line 1, column 15"],
    ['{"arguments":{"x-max-length":9007199254740993}}', 'a number cannot be kept exactly: /arguments/x-max-length, at line 1, column 30'],
    ['{"arguments":{"n":1e400}}', 'a number cannot be kept exactly: /arguments/n, at line 1, column 19'],
    ['{"arguments":{"n":-1e999}}', 'a number cannot be kept exactly: /arguments/n, at line 1, column 19'],
    [deep(65), 'the body is nested deeper than 64, at line 1, column 69'],
  ])('%j is 400: %s', async (body, reason) => {
    expect(await askBytes(body)).toMatchObject([400, { error: 'bad_request', reason }]);
    expect(server.engine.broker.vhost('/')?.queues.has('new')).toBe(false);
  });

  test('that is nothing but depth is refused before it costs a stack', async () => {
    expect(await askBytes('['.repeat(900_000))).toMatchObject([400, { reason: 'the body is nested deeper than 64, at line 1, column 65' }]);
  });

  test('that is fine is taken: 64 levels, the same name in two objects, the largest whole number, fractions, a byte order mark', async () => {
    for (const body of [deep(64), '{"a":{"n":1},"b":{"n":1}}', '{"n":9007199254740991}', '{"n":0.1e-2}', '\ufeff{"n":1}'])
      expect((await server.ask('PUT', NEW, 'admin', body)).status).toBeLessThan(300);
  });

  test.each([
    [[0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d], 2],
    [[0x7b, 0x22, 0xc3, 0xa9, 0xef, 0xbf, 0xbd, 0xc3], 7], // cut in the middle of a letter, after a replacement character that is meant
    [[0x22, 0xed, 0xa0, 0x80, 0x22], 1], // a surrogate
  ])('bytes that are no UTF-8 are named: %j at %i', async (bytes, at) => {
    expect(await askBytes(Uint8Array.from(bytes))).toMatchObject([400, { reason: `the body is not UTF-8 at byte ${at}` }]);
  });

  test('that is right but not what a route takes is refused with its path', async () => {
    expect(await askBytes('{"durable":"perhaps"}')).toMatchObject([400, { reason: "'durable' must be true or false", path: '/durable' }]);
    expect((await server.ask('PUT', NEW, 'admin', '{"arguments":{"n":{"$amqp":"b","value":1000}}}')).body).toMatchObject({
      path: expect.stringContaining('/arguments/n'),
    });
  });

  test('is not repeated in a refusal', async () => {
    for (const body of [
      '{"password":"planted" "tags":""}',
      '{"password":"planted',
      '{"password":"planted","password":"planted"}',
      '"planted"',
    ])
      expect(JSON.stringify(await askBytes(body))).not.toContain('planted');
  });
});

describe('the content type', () => {
  test.each(['application/json', 'application/json; charset=utf-8', 'application/x-www-form-urlencoded', 'text/plain'])(
    '%s is as good as any other: curl -d says that it sends a form',
    async (type) => {
      expect((await server.ask('PUT', NEW, 'admin', '{"arguments":null,"durable":""}', { 'content-type': type })).status).toBe(201);
    },
  );
  test('and the body may be none', async () => {
    expect((await server.ask('PUT', NEW, 'admin')).status).toBe(201);
  });
});

test.each(['gzip', 'br', 'deflate, gzip', 'x-odd'])('a body packed as %s is refused, as its size is not known', async (encoding) => {
  const { status, body, headers } = await server.ask('PUT', NEW, 'admin', '{}', { 'content-encoding': encoding });
  expect([status, body]).toMatchObject([
    415,
    { reason: `a body encoded as ${encoding} is not read`, hint: 'send it as it is, without Content-Encoding' },
  ]);
  expect(headers.get('accept-encoding')).toBe('identity');
});

test('of a message that is published the encoding is a property, and nobody unpacks it', async () => {
  const headers = { 'content-encoding': 'gzip', 'content-type': 'text/plain' };
  expect((await server.ask('POST', '/v1/publish/%2F/x/k', 'admin', 'not packed at all', headers)).status).toBe(200);
});

describe('above the limit', () => {
  /** Pieces of 64 KiB without end, and how many were taken. */
  function endless(): { body: ReadableStream<Uint8Array>; taken: () => number } {
    let count = 0;
    const body = new ReadableStream<Uint8Array>({
      pull: (controller) => {
        count++;
        controller.enqueue(new Uint8Array(65_536).fill(0x20));
      },
    });
    return { body, taken: () => count };
  }

  test.each([
    ['without a length', {}],
    ['with a length that is a lie', { 'content-length': '2' }],
  ])('a body %s is cut off by counting', async (_, headers) => {
    const { body, taken } = endless();
    const request = new Request(`http://leveret${NEW}`, {
      ...{ method: 'PUT', headers: { authorization: AUTHORIZATION, ...headers }, body },
      ...{ duplex: 'half' },
    });
    const response = await server.api(request, HERE);
    expect([response.status, await response.json()]).toEqual([
      413,
      { error: 'payload_too_large', reason: 'a body has at most 1000000 bytes', hint: 'the setting limits.http-body-bytes decides it' },
    ]);
    expect(taken()).toBeLessThan(20);
  });

  test('one byte less is read', async () => {
    expect(await askBytes(' '.repeat(1_000_001))).toMatchObject([413, {}]);
    expect(await askBytes(' '.repeat(1_000_000))).toMatchObject([400, { reason: expect.stringContaining('line 1, column 1000001') }]);
  });

  async function dialled(
    headers: string,
  ): Promise<{ socket: Socket; answer: () => string; send: (isOn: () => boolean) => void; close: () => Promise<void> }> {
    const listener = apiListener(server.options, () => true);
    const options = { requestMsMax: 60_000, tlsHandshakeMsMax: 60_000, clock: new SystemClock() };
    const http = new HttpServer({ ...options, upgrade: () => undefined, api: async () => listener });
    const { port } = await http.listen('127.0.0.1', 0);
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => undefined); // what is still on its way when the server closes
    let answer = '';
    socket.on('data', (bytes) => (answer += bytes.toString()));
    socket.write(`PUT ${NEW} HTTP/1.1\r\nhost: leveret\r\n${headers}transfer-encoding: chunked\r\n\r\n`);
    const chunk = `10000\r\n${' '.repeat(65_536)}\r\n`;
    const send = (isOn: () => boolean): void => {
      if (socket.destroyed || !isOn()) return;
      if (socket.write(chunk)) setImmediate(send, isOn);
      else socket.once('drain', () => send(isOn));
    };
    return { socket, answer: () => answer, send, close: () => http.close(0) };
  }
  const closed = (socket: Socket) => new Promise<void>((resolve) => socket.once('close', () => resolve()));

  test('a socket that sends chunks without end gets 413 and is closed', async () => {
    const { socket, answer, send, close } = await dialled(`authorization: ${AUTHORIZATION}\r\n`);
    send(() => answer() === '');
    await closed(socket);
    expect(answer()).toMatch(/^HTTP\/1\.1 413 /);
    expect(answer().toLowerCase()).toContain('connection: close');
    await close();
  });

  test('nothing of a body is read from a socket whose login was refused', async () => {
    const { socket, answer, send, close } = await dialled('');
    await once(socket, 'data');
    expect(answer()).toMatch(/^HTTP\/1\.1 401 /);
    expect(answer().toLowerCase()).toContain('connection: close');
    send(() => true);
    await closed(socket);
    await close();
  });

  test('a refusal whose body was read, or that had none, keeps its connection', async () => {
    for (const body of ['[]', undefined]) expect((await server.ask('PUT', NEW, 'admin', body)).headers.get('connection')).toBeNull();
    expect((await server.ask('GET', '/api/nothing', 'admin')).headers.get('connection')).toBeNull();
  });
});
