// The broker that the foreign clients talk to: `leveret start` on a disk; or, with LEVERET_FOREIGN_TARGET=rabbitmq, a real RabbitMQ, which shows
// whether a red cell is ours. RabbitMQ has no AMQP over WebSocket: a relay before it passes bytes on.
// Always: (1) ports and data outlive restart and kill; (2) `stop` leaves no process, port or file behind.

import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { WebSocketServer } from 'ws';
import { RabbitMq } from '../../../scripts/rabbitmq.ts';
import { type BuiltBroker, startBuiltBroker } from '../../support/built-broker.ts';
import { dropBallast, loadBallast } from './ballast.ts';
import type { Target } from './scenarios.ts';

export const usesRabbitMq = process.env['LEVERET_FOREIGN_TARGET'] === 'rabbitmq';
const PATIENCE_MS = 30_000;
/** What a squeezed broker may hold in memory. */
export const SQUEEZED_BYTES = 32 * 1024 * 1024;

export interface StartedTarget extends Target {
  stop(): Promise<void>;
}

export function startTarget(): Promise<StartedTarget> {
  return usesRabbitMq ? startRabbitMq() : startLeveret();
}

async function startLeveret(): Promise<StartedTarget> {
  const folder = mkdtempSync(join(tmpdir(), 'leveret-foreign-'));
  const start = (amqpPort: string, httpPort: string): Promise<BuiltBroker> =>
    startBuiltBroker({}, ['--data-dir', folder, '--amqp-port', amqpPort, '--http-port', httpPort]);
  const ports = [await lastingPort(), await lastingPort()] as const;
  let broker = await start(...ports);
  const { amqpUrl, url: webSocketUrl } = broker;
  let squeezed: BuiltBroker | undefined;
  const again = async (): Promise<void> => {
    broker = await start(...ports);
  };
  return {
    amqpUrl,
    webSocketUrl,
    patienceMs: PATIENCE_MS,
    async restart() {
      await broker.stop();
      await again();
    },
    async kill() {
      await broker.kill();
      await again();
    },
    async squeeze() {
      squeezed ??= await startBuiltBroker({ LEVERET_LIMITS_MEMORY_BYTES: String(SQUEEZED_BYTES) });
      await loadBallast(squeezed.amqpUrl, PATIENCE_MS);
      return { amqpUrl: squeezed.amqpUrl, webSocketUrl: squeezed.url };
    },
    async relieve() {
      if (squeezed !== undefined) await dropBallast(squeezed.amqpUrl);
    },
    async stop() {
      await broker.stop();
      await squeezed?.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** A free port from below those that a system gives away for the asking: nobody takes it while the broker is down. */
async function lastingPort(): Promise<string> {
  for (;;) {
    const server = createServer();
    const port = 20_000 + Math.floor(Math.random() * 10_000);
    const isFree = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
    });
    if (isFree) return String(port);
  }
}

async function startRabbitMq(): Promise<StartedTarget> {
  const rabbit = await RabbitMq.start();
  const relay = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  await once(relay, 'listening');
  relay.on('connection', (socket) => {
    const upstream = connect(rabbit.port, '127.0.0.1');
    socket.on('message', (chunk: Buffer) => upstream.write(chunk));
    socket.on('close', () => upstream.destroy());
    socket.on('error', () => upstream.destroy());
    upstream.on('data', (chunk: Buffer) => socket.send(chunk));
    upstream.on('close', () => socket.close());
    upstream.on('error', () => socket.close());
  });
  // Stopping the application inside the node closes listener and connections and keeps what is durable, in a third of the time.
  const restart = async (): Promise<void> => {
    rabbit.control('stop_app');
    rabbit.control('start_app');
  };
  const urls = { amqpUrl: rabbit.url, webSocketUrl: `ws://127.0.0.1:${(relay.address() as AddressInfo).port}/ws` };
  const watermark = (share: string): string => rabbit.control('set_vm_memory_high_watermark', share);
  return {
    ...urls,
    patienceMs: PATIENCE_MS,
    restart,
    kill: restart,
    async squeeze() {
      watermark('0');
      return urls;
    },
    async relieve() {
      watermark('0.4');
    },
    async stop() {
      relay.close();
      for (const socket of relay.clients) socket.terminate();
      await rabbit.stop();
    },
  };
}
