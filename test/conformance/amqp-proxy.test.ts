// AMQP behind a load balancer that speaks the PROXY protocol: the client's address counts, and a header from anybody else does not. And sockets
// count, whatever they have said.
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect as connectSocket, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { FrameReader } from '../../shared/amqp/frame.ts';
import { decodeMethod, type Method, methodFrame } from '../../shared/amqp/methods.ts';
import { encodeUtf8 } from '../../shared/text.ts';
import { Started } from '../support/started.ts';

const tls = (name: string): string => fileURLToPath(new URL(`../support/tls/${name}.pem`, import.meta.url));
const BALANCER = { LEVERET_PROXIES: '127.0.0.0/8' };

async function start(
  environment: Record<string, string>,
  ...flags: string[]
): Promise<{ started: Started; port: number; amqpsPort: number }> {
  const started = new Started(['--memory', '--http-port', '0', '--log-level', 'debug', ...flags], environment);
  await started.port();
  const portOf = (scheme: string): number => Number(new RegExp(`${scheme}://[^\\s:]+:(\\d+)`).exec(started.out)?.[1]);
  return { started, port: portOf('amqp'), amqpsPort: portOf('amqps') };
}

/** The handshake of guest over a socket on which AMQP may begin: the name of the last method, or how it ended. */
async function logIn(socket: Socket): Promise<string> {
  const reader = new FrameReader(131_072);
  const methods: Method[] = [];
  const ended = new Promise<'closed'>((resolve) => socket.once('close', () => resolve('closed'))); // `once` would reject when it is reset
  socket.on('error', () => undefined);
  socket.write(Buffer.from('AMQP\0\0\x09\x01', 'latin1'));
  const next = async (): Promise<string> => {
    for (;;) {
      const method = methods.shift();
      if (method !== undefined) return method.name;
      const chunk = await Promise.race([
        once(socket, 'data').then(
          ([bytes]) => bytes as Buffer,
          () => ended,
        ),
        ended,
      ]);
      if (chunk === 'closed') return 'closed';
      if (chunk.toString('latin1', 0, 4) === 'AMQP') return 'the version that is spoken here';
      reader.feed(chunk);
      while (reader.next()) methods.push(decodeMethod(reader.bytes, reader.payloadStart, reader.payloadEnd));
    }
  };
  const first = await next();
  if (first !== 'connection.start') return first;
  const response = encodeUtf8('\0guest\0guest');
  const capabilities = new Map([['authentication_failure_close', true]]);
  socket.write(
    methodFrame(0, 'connection.start-ok', {
      clientProperties: new Map([['capabilities', capabilities]]),
      mechanism: 'PLAIN',
      response,
      locale: 'en_US',
    }),
  );
  const second = await next();
  if (second !== 'connection.tune') return second;
  socket.write(methodFrame(0, 'connection.tune-ok', { channelMax: 10, frameMax: 4096, heartbeat: 0 }));
  socket.write(methodFrame(0, 'connection.open', { virtualHost: '/' }));
  return next();
}

async function behind(port: number, header: string): Promise<string> {
  const socket = connectSocket(port, '127.0.0.1');
  socket.write(header);
  const outcome = await logIn(socket);
  socket.destroy();
  return outcome;
}

test('guest, who may come from loopback alone, is refused when the balancer says that its client is elsewhere', async () => {
  const { started, port } = await start(BALANCER);
  expect(await behind(port, 'PROXY TCP4 127.0.0.1 127.0.0.1 40000 5672\r\n')).toBe('connection.open-ok');
  expect(await behind(port, 'PROXY TCP4 203.0.113.7 127.0.0.1 40000 5672\r\n')).toBe('connection.close');
  expect(started.err).toContain('203.0.113.7:40000');
});

test('a proxy that says nothing of its client is hung up on; a health check comes as itself', async () => {
  const { port } = await start(BALANCER);
  expect(await behind(port, '')).toBe('closed');
  expect(await behind(port, 'PROXY UNKNOWN\r\n')).toBe('connection.open-ok');
});

test('a header from who is no proxy is no AMQP', async () => {
  const { port } = await start({});
  expect(await behind(port, 'PROXY TCP4 127.0.0.1 127.0.0.1 40000 5672\r\n')).toBe('the version that is spoken here');
  expect(await behind(port, '')).toBe('connection.open-ok');
});

test('the header comes before TLS', async () => {
  const { started, amqpsPort } = await start(
    BALANCER,
    '--https-port',
    '0',
    '--amqps-port',
    '0',
    '--tls-cert',
    tls('server'),
    '--tls-key',
    tls('server-key'),
  );
  for (const [address, outcome] of [
    ['127.0.0.1', 'connection.open-ok'],
    ['203.0.113.7', 'connection.close'],
  ] as const) {
    const raw = connectSocket(amqpsPort, '127.0.0.1');
    raw.write(`PROXY TCP4 ${address} 127.0.0.1 40001 5671\r\n`);
    const socket = connectTls({ socket: raw, ca: [readFileSync(tls('ca'))], servername: 'localhost' });
    await once(socket, 'secureConnect');
    expect(await logIn(socket)).toBe(outcome);
    socket.destroy();
  }
  expect(started.err).toContain('203.0.113.7:40001');
});

/** The outcome once there is room: the broker sees that a socket is gone a little later than the test that closed it. */
async function whenThereIsRoom(dial: () => Promise<string>): Promise<string> {
  for (;;) {
    const outcome = await dial();
    if (outcome !== 'closed') return outcome;
  }
}

const ONE = { LEVERET_LIMITS_CONNECTIONS_UNAUTHENTICATED: '1' };

test('a proxy that has not said whom it stands for counts: one too many is hung up on at once', async () => {
  const { port } = await start({ ...BALANCER, ...ONE });
  const silent = connectSocket(port, '127.0.0.1');
  await once(silent, 'connect');
  let isClosed = false;
  silent.resume().on('close', () => {
    isClosed = true;
  });
  const excess = connectSocket(port, '127.0.0.1')
    .resume()
    .on('error', () => undefined);
  await once(excess, 'close');
  expect(isClosed, 'it has its five seconds').toBe(false);
  silent.write('PROXY UNKNOWN\r\n');
  expect(await logIn(silent)).toBe('connection.open-ok');
  expect(await behind(port, 'PROXY UNKNOWN\r\n'), 'who has logged in makes room').toBe('connection.open-ok');
  silent.destroy();
});

test('behind a proxy the limit per address is that of the client, and what is closed makes room', async () => {
  const { port } = await start({ ...BALANCER, LEVERET_LIMITS_CONNECTIONS_PER_IP: '1' });
  const from = (address: string): Promise<string> => behind(port, `PROXY TCP4 ${address} 127.0.0.1 40000 5672\r\n`);
  const first = connectSocket(port, '127.0.0.1');
  first.write('PROXY TCP4 203.0.113.7 127.0.0.1 40000 5672\r\nAMQP\0\0\x09\x01');
  await once(first, 'data');
  expect(await from('203.0.113.7')).toBe('closed');
  expect(await from('203.0.113.8')).toBe('connection.close'); // guest, from elsewhere
  first.resume().end();
  expect(await whenThereIsRoom(() => from('203.0.113.7'))).toBe('connection.close');
});

test('a socket counts for as long as it is there, also when its connection is over', async () => {
  const { port } = await start(ONE);
  const lingering = connectSocket({ port, host: '127.0.0.1', allowHalfOpen: true });
  let isClosed = false;
  lingering.on('close', () => {
    isClosed = true;
  });
  lingering.resume().write('GET / HTTP/1.1\r\n\r\n');
  await once(lingering, 'end');
  expect(await behind(port, '')).toBe('closed');
  expect(isClosed, 'it is not cut yet').toBe(false);
  lingering.end();
  expect(await whenThereIsRoom(() => behind(port, ''))).toBe('connection.open-ok');
});

test('a proxy that is no address stops the start', async () => {
  const started = new Started(['--memory', '--http-port', '0'], { LEVERET_PROXIES: '10.0.0.0/99' });
  expect(await started.ended).toBe(78);
  expect(started.err).toMatch(/LEVERET_PROXIES: 'proxies' must hold addresses or networks/);
});
