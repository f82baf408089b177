// A broker behind the real HTTP port and WebSocket listener, with a clock the test owns.
// Always: small limits, so that a test can reach them; `stop` fails when a connection or a timer outlives it.

import { Admissions } from '../../server/broker/admissions.ts';
import { Broker } from '../../server/broker/broker.ts';
import { defaultLimits } from '../../server/broker/limits.ts';
import { SystemRandom, SystemTurns } from '../../server/clock.ts';
import { HttpServer } from '../../server/http/server.ts';
import { MemoryLog } from '../../server/store/memory-log.ts';
import { defaultConnectionLimits } from '../../server/websocket/connection.ts';
import { Listener, type ListenerOptions } from '../../server/websocket/listener.ts';
import { VirtualClock } from './clock.ts';
import { oneUser } from './logins.ts';
import { RawWebSocket } from './raw-web-socket.ts';

export const MESSAGE_BYTES_MAX = 300_000;
export const WINDOW_BYTES = 400_000;

export class WebSocketServer {
  readonly clock = new VirtualClock();
  readonly errors: string[] = [];
  readonly listener: Listener;
  readonly broker: Broker;
  readonly #http: HttpServer;
  port = 0;

  private constructor(options: Partial<ListenerOptions>) {
    const { clock } = this;
    const limits = { ...defaultLimits, messageBytes: MESSAGE_BYTES_MAX, publisherWindowBytes: WINDOW_BYTES };
    const notices = { notice: () => {} };
    this.broker = new Broker({ log: new MemoryLog(), clock, random: new SystemRandom(), turns: new SystemTurns(), notices, limits });
    const ignore = (): void => {};
    const log = {
      debug: ignore,
      info: ignore,
      warn: ignore,
      error: (fields: object, text: string) => void this.errors.push(`${text} ${JSON.stringify(fields)}`),
    };
    this.listener = new Listener({
      settings: {
        broker: this.broker,
        clock,
        login: oneUser('guest', 'guest'),
        product: { product: 'Leveret', version: '0.0.0' },
        messageBytesMax: MESSAGE_BYTES_MAX,
        handlesMax: 10,
        heartbeatMs: 30_000,
        limits: defaultConnectionLimits,
      },
      origins: ['https://listed.example'],
      admissions: new Admissions({ connectionsMax: 1000, connectionsPerIpMax: 1000, unauthenticatedMax: 1000 }),
      logFor: () => log,
      ...options,
    });
    this.#http = new HttpServer({
      upgrade: (request, socket, head) => this.listener.upgrade(request, socket, head),
      clock,
      requestMsMax: 10_000,
      tlsHandshakeMsMax: 5000,
    });
  }

  static async start(options: Partial<ListenerOptions> = {}): Promise<WebSocketServer> {
    const server = new WebSocketServer(options);
    server.port = (await server.#http.listen('127.0.0.1', 0)).port;
    return server;
  }

  async dial(headers: Record<string, string> = {}): Promise<RawWebSocket> {
    const socket = await RawWebSocket.open(this.port, headers);
    if (!(socket instanceof RawWebSocket)) throw new Error(`HTTP ${socket.status}: ${socket.body}`);
    return socket;
  }

  /** A connection that has said hello. */
  async connect(): Promise<RawWebSocket> {
    const socket = await this.dial();
    await socket.text({ id: 1, op: 'hello', version: 1, user: 'guest', password: 'guest' });
    const answer = await socket.json();
    if (!('ok' in answer)) throw new Error(`hello was refused: ${JSON.stringify(answer)}`);
    return socket;
  }

  async stop(): Promise<void> {
    this.listener.close('the test is over');
    this.broker.close();
    await this.#http.close(1000);
    if (this.listener.connections.size > 0) throw new Error(`${this.listener.connections.size} connections left`);
    if (this.clock.pendingTimers > 0) throw new Error(`${this.clock.pendingTimers} timers left`);
    if (this.errors.length > 0) throw new Error(this.errors.join('\n'));
  }
}
