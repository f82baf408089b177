// The HTTPS port: the same as the plain one, over TLS, with HSTS; and what becomes of who does not shake hands.

import { readFileSync } from 'node:fs';
import { Agent, get } from 'node:https';
import { connect } from 'node:net';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import WebSocket from 'ws';
import { Started } from '../support/started.ts';

const path = (name: string): string => fileURLToPath(new URL(`../support/tls/${name}.pem`, import.meta.url));
const ca = readFileSync(path('ca'));

async function start(environment: Record<string, string> = {}): Promise<{ started: Started; port: number }> {
  const tls = ['--tls-cert', path('server'), '--tls-key', path('server-key'), '--https-port', '0', '--amqps-port', '0'];
  const started = new Started(['--memory', '--http-port', '0', ...tls], environment);
  await started.port();
  return { started, port: Number(/wss:\/\/[^:]+:(\d+)/.exec(started.out)?.[1]) };
}

test('HTTP and WebSocket are there over TLS, every answer says HSTS, and the plain port does not', async () => {
  const { started, port } = await start();
  const headers = await new Promise((resolve, reject) =>
    get({ host: 'localhost', family: 4, port, path: '/health', ca }, (response) => resolve(response.headers)).on('error', reject),
  );
  expect(headers).toMatchObject({ 'strict-transport-security': 'max-age=31536000' });
  const plain = await fetch(`http://127.0.0.1:${await started.port()}/health`);
  expect(plain.headers.get('strict-transport-security')).toBeNull();
  const socket = new WebSocket(`wss://localhost:${port}/ws`, 'leveret.v1', { ca, family: 4 });
  const answer = await new Promise((resolve, reject) => {
    socket.on('open', () => socket.send(JSON.stringify({ id: 1, op: 'hello', version: 1, user: 'guest', password: 'guest' })));
    socket.on('message', (text: Buffer) => resolve(JSON.parse(text.toString())));
    socket.on('error', reject);
  });
  expect(answer).toMatchObject({ id: 1, ok: { user: 'guest' } });
  socket.terminate();
  await started.stop();
});

test('limits.connections-unauthenticated: a socket that has logged in over TLS no longer counts', async () => {
  const { started, port } = await start({ LEVERET_LIMITS_CONNECTIONS_UNAUTHENTICATED: '1' });
  const agent = new Agent({ keepAlive: true });
  const options = { host: 'localhost', family: 4, port, path: '/api/whoami', ca, auth: 'guest:guest' };
  const status = (more: object) =>
    new Promise((resolve, reject) => get({ ...options, ...more }, (response) => resolve(response.resume().statusCode)).on('error', reject));
  expect([await status({ agent }), await status({ agent: false }), await status({ agent })]).toEqual([200, 200, 200]);
  agent.destroy();
  await started.stop();
});

test('limits.tls-handshake-ms: who shakes no hands is hung up on, on both TLS ports', async () => {
  const { started, port } = await start({ LEVERET_LIMITS_TLS_HANDSHAKE_MS: '100' });
  const amqps = Number(/amqps:\/\/[^:]+:(\d+)/.exec(started.out)?.[1]);
  for (const each of [port, amqps]) {
    const socket = connect(each, '127.0.0.1');
    socket.on('error', () => undefined).resume();
    await new Promise((resolve) => socket.once('close', resolve));
  }
  await started.stop();
});
