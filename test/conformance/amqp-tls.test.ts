// AMQP over TLS, and client certificates: the built broker, and amqplib as its peer.
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect as connectSocket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { connect as connectAmqp, credentials } from 'amqplib';
import { expect, test } from 'vitest';
import { ExitCode } from '../../server/cli/exit-codes.ts';
import { Started } from '../support/started.ts';

const path = (name: string): string => fileURLToPath(new URL(`../support/tls/${name}.pem`, import.meta.url));
const pem = (name: string): Buffer => readFileSync(path(name));
const SERVER = ['--tls-cert', path('server'), '--tls-key', path('server-key')];

async function start(...flags: string[]): Promise<string> {
  return startIn({}, ...flags);
}

async function startIn(environment: Record<string, string>, ...flags: string[]): Promise<string> {
  const started = new Started(['--memory', '--http-port', '0', '--https-port', '0', '--amqps-port', '0', ...SERVER, ...flags], environment);
  await started.port();
  const url = /amqps:\/\/\S+/.exec(started.out)?.[0];
  if (url === undefined) throw new Error(`no amqps address in: ${started.out}`);
  return url;
}

async function roundTrip(url: string, options: object): Promise<string> {
  const connection = await connectAmqp(url, { ca: [pem('ca')], ...options });
  const channel = await connection.createConfirmChannel();
  const { queue } = await channel.assertQueue('', { exclusive: true });
  channel.sendToQueue(queue, Buffer.from('over TLS'));
  await channel.waitForConfirms();
  const message = await channel.get(queue);
  await connection.close();
  return message === false ? 'nothing' : message.content.toString();
}

test('a client that trusts the authority speaks AMQP over TLS', async () => {
  expect(await roundTrip(await start(), {})).toBe('over TLS');
});

test('a client that does not trust the certificate does not connect, and the broker goes on', async () => {
  const url = await start();
  await expect(roundTrip(url, { ca: [pem('stranger')] })).rejects.toThrow(/certificate/);
  expect(await roundTrip(url, {})).toBe('over TLS');
});

test('a verified client certificate logs in with EXTERNAL as the user of its common name, without a password', async () => {
  const ops = { LEVERET_DEFAULT_USER: 'orders-service', LEVERET_DEFAULT_PASS: 'secret' };
  const url = await startIn(ops, '--tls-ca', path('ca'), '--tls-client-certificate', 'ask');
  const certified = { cert: pem('client'), key: pem('client-key'), credentials: credentials.external() };
  expect(await roundTrip(url, certified)).toBe('over TLS');
  // who has none logs in as ever
  expect(await roundTrip(url.replace('amqps://', 'amqps://orders-service:secret@'), {})).toBe('over TLS');
});

test('a certificate that names nobody who is a user here is no way in', async () => {
  const url = await start('--tls-ca', path('ca'), '--tls-client-certificate', 'ask');
  const certified = { cert: pem('client'), key: pem('client-key'), credentials: credentials.external() };
  await expect(roundTrip(url, certified)).rejects.toThrow(/EXTERNAL/);
});

test('EXTERNAL without a certificate, or with one that nobody here signed, is no way in', async () => {
  const url = await start('--tls-ca', path('ca'), '--tls-client-certificate', 'ask');
  await expect(roundTrip(url, { credentials: credentials.external() })).rejects.toThrow(/EXTERNAL/);
  const stranger = { cert: pem('stranger'), key: pem('stranger-key'), credentials: credentials.external() };
  await expect(roundTrip(url, stranger)).rejects.toThrow(/EXTERNAL/);
});

test('where a certificate is required, nobody comes in without', async () => {
  const url = await start('--tls-ca', path('ca'), '--tls-client-certificate', 'require');
  await expect(roundTrip(url, {})).rejects.toThrow();
  expect(await roundTrip(url, { cert: pem('client'), key: pem('client-key') })).toBe('over TLS');
});

test('a socket that shakes no hands counts: one too many is hung up on at once, and one that is gone makes room', async () => {
  const url = await startIn({ LEVERET_LIMITS_CONNECTIONS_UNAUTHENTICATED: '3' });
  const dial = () => connectSocket(Number(new URL(url).port), '127.0.0.1');
  const silent = [dial(), dial(), dial()];
  await Promise.all(silent.map((socket) => once(socket, 'connect')));
  const closed: string[] = [];
  for (const socket of silent) socket.resume().on('close', () => closed.push('silent'));
  const excess = dial()
    .resume()
    .on('error', () => undefined);
  await once(excess, 'close');
  expect(closed, 'those within the limit have their five seconds').toEqual([]);
  const [first] = silent;
  first?.end();
  await once(first ?? excess, 'close');
  expect(await roundTrip(url, {})).toBe('over TLS');
  for (const socket of silent) socket.destroy();
});

test('a TLS handshake that is never begun is cut after five seconds, and counts no longer', async () => {
  const url = await startIn({ LEVERET_LIMITS_CONNECTIONS_UNAUTHENTICATED: '1' });
  const silent = connectSocket(Number(new URL(url).port), '127.0.0.1').resume();
  silent.on('error', () => undefined);
  await once(silent, 'close');
  expect(await roundTrip(url, {})).toBe('over TLS');
});

test.each([
  ['a key without a certificate', ['--tls-key', path('server-key')], /--tls-key: TLS needs 'tls\.cert'/],
  ['a certificate without its key', ['--tls-cert', path('server')], /--tls-cert: 'tls\.cert' needs 'tls\.key'/],
  [
    'a file that is not there',
    ['--tls-cert', path('nobody'), '--tls-key', path('server-key')],
    /TLS cannot be set up: tls.cert: .* cannot be read: ENOENT/,
  ],
  [
    'a key of another certificate',
    ['--tls-cert', path('server'), '--tls-key', path('client-key')],
    /TLS cannot be set up: .*key values mismatch/,
  ],
  [
    'a way to ask that does not exist',
    [...SERVER, '--tls-client-certificate', 'aks'],
    /must be one of none, ask, require, not "aks": did you mean 'ask'/,
  ],
  ['certificates asked for without an authority', [...SERVER, '--tls-client-certificate', 'ask'], /needs 'tls\.ca'/],
])('%s stops the start and says what is wrong', async (_what, flags, text) => {
  const started = new Started(['--memory', '--http-port', '0', ...flags]);
  expect(await started.ended).toBe(ExitCode.Configuration);
  expect(started.err).toMatch(text);
});
