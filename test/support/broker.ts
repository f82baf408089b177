// A broker in the test's own process: virtual time, seeded chance, in-memory sockets, the connection code that a real WebSocket would meet.
// Always: (1) nothing real is waited for: `idle` ends when nothing is left to do, `advance` moves time; (2) when a test ends, its sessions are
// closed and its queues deleted, and what then is left over fails it: an exclusive queue, a message, a reference in the log, a timer, a task,
// a socket; (3) so does an answer nobody asked for, or anything the broker logged as an error.

import { test as base, expect } from 'vitest';
import { AmqpConnection } from '../../server/amqp/connection.ts';
import { type AmqpLimits, type AmqpSettings, defaultAmqpLimits } from '../../server/amqp/handshake.ts';
import { Broker } from '../../server/broker/broker.ts';
import { type BrokerLimits, defaultLimits } from '../../server/broker/limits.ts';
import type { Login } from '../../server/broker/login.ts';
import type { Users } from '../../server/broker/users.ts';
import type { ConnectionLog, Notice } from '../../server/ports.ts';
import { MemoryLog, type MemoryLogOptions } from '../../server/store/memory-log.ts';
import { Connection, type ConnectionLimits, type ConnectionSettings, defaultConnectionLimits } from '../../server/websocket/connection.ts';
import type { Answer, JsonObject, Limits, Request } from '../../shared/protocol/control.ts';
import { MemoryStream } from './byte-stream.ts';
import { VirtualClock, VirtualTurns } from './clock.ts';
import { CountingLog } from './counting-log.ts';
import { JsonSession } from './json-session.ts';
import { anybody, oneUser } from './logins.ts';
import { MemorySocket } from './memory-socket.ts';
import { RawAmqp } from './raw-amqp.ts';

export interface TestBrokerOptions {
  readonly limits?: Partial<BrokerLimits>;
  readonly amqp?: Partial<AmqpLimits>;
  readonly connection?: Partial<ConnectionLimits>;
  /** Of the native protocol; anybody comes in without. */
  readonly login?: Login;
  /** Every read from the log answers a turn later, as from a disk. */
  readonly defersReads?: boolean;
}

export class TestBroker {
  readonly clock = new VirtualClock();
  readonly turns = new VirtualTurns();
  readonly notices: Notice[] = [];
  /** What the broker logged as an error: its own faults. */
  readonly errors: string[] = [];
  readonly #log: CountingLog;
  readonly #broker: Broker;
  readonly #settings: ConnectionSettings;
  readonly #amqpSettings: AmqpSettings;
  readonly #sockets = new Map<JsonSession, MemorySocket>();
  readonly #streams: MemoryStream[] = [];
  #limits: Limits | undefined;
  #rest: Promise<void> | undefined;
  #observer: JsonSession | undefined;

  constructor({ limits = {}, amqp = {}, connection = {}, login = anybody, defersReads = false }: TestBrokerOptions = {}) {
    const logOptions: MemoryLogOptions = defersReads ? { deferReads: this.turns } : {};
    this.#log = new CountingLog(new MemoryLog(logOptions));
    this.#broker = new Broker({
      log: this.#log,
      clock: this.clock,
      turns: this.turns,
      random: new SeededRandom(),
      notices: { notice: (notice) => void this.notices.push(notice) },
      limits: { ...defaultLimits, ...limits },
    });
    this.#settings = {
      broker: this.#broker,
      clock: this.clock,
      login,
      product: { product: 'Leveret', version: '0' },
      messageBytesMax: limits.messageBytes ?? defaultLimits.messageBytes,
      handlesMax: 2_047,
      heartbeatMs: 30_000,
      limits: { ...defaultConnectionLimits, ...connection },
    };
    const { broker, clock, product, messageBytesMax: messageBytes } = this.#settings;
    this.#amqpSettings = {
      broker,
      clock,
      product,
      login: oneUser('guest', 'guest'),
      limits: { ...defaultAmqpLimits, messageBytes, ...amqp },
    };
  }

  /** As hello announced them to the first session. */
  get limits(): Limits {
    if (this.#limits === undefined) throw new Error('no session said hello yet');
    return this.#limits;
  }

  async connect(fields: Partial<Request<'hello'>> = {}): Promise<JsonSession> {
    const session = this.dial();
    const hello: Answer<'hello'> = await session.hello(fields);
    this.#limits ??= hello.limits;
    return session;
  }

  get users(): Users {
    return this.#broker.users;
  }

  /** For all queues and exchanges of the vhost "/". */
  putPolicy(definition: JsonObject): void {
    this.#broker.policies.put('policy', '/', 'all', { pattern: '.*', definition });
  }

  /** A session that has not said hello. */
  dial(): JsonSession {
    const socket = new MemorySocket();
    const session = new JsonSession(socket, () => this.idle());
    const name = `test-${this.#sockets.size + 1}`;
    const owner = { opened: () => {}, closed: () => {} };
    socket.attach(new Connection(this.#settings, socket, { name, address: '', isLoopback: true }, this.#connectionLog(), owner));
    this.#sockets.set(session, socket);
    return session;
  }

  /** An AMQP client that has said nothing yet, on `stream`. Its user is guest. */
  dialAmqp(stream = new MemoryStream()): RawAmqp {
    const client = new RawAmqp(stream);
    this.#streams.push(stream);
    const remote = { name: `amqp-${this.#streams.length}`, address: '', isLoopback: true, certifiedName: undefined };
    const owner = { opened: () => {}, closed: () => {} };
    stream.attach(new AmqpConnection(this.#amqpSettings, stream.server, remote, this.#connectionLog(), owner));
    return client;
  }

  #connectionLog(): ConnectionLog {
    const ignore = (): void => {};
    return { debug: ignore, info: ignore, warn: ignore, error: (fields, text) => this.#loggedError(fields, text) };
  }

  /** Until nothing is deferred and nothing is on its way. */
  idle(): Promise<void> {
    this.#rest ??= this.#untilQuiet().finally(() => {
      this.#rest = undefined;
    });
    return this.#rest;
  }

  async #untilQuiet(): Promise<void> {
    for (let quietRounds = 0, rounds = 0; quietRounds < 2; rounds++) {
      if (rounds > 100_000) throw new Error('the broker never comes to rest');
      await new Promise((resolve) => setImmediate(resolve));
      this.turns.drain();
      const isQuiet = this.turns.pendingTasks === 0 && this.#ends.every((end) => end.isQuiet);
      quietRounds = isQuiet ? quietRounds + 1 : 0;
    }
  }

  get #ends(): readonly (MemorySocket | MemoryStream)[] {
    return [...this.#sockets.values(), ...this.#streams];
  }

  async advance(ms: number): Promise<void> {
    await this.idle();
    await this.clock.advance(ms, () => this.idle());
    await this.idle();
  }

  /** `session` stops reading what it is sent. `idle` does not wait for it. */
  stall(session: JsonSession): void {
    this.#sockets.get(session)?.stall(true);
  }
  unstall(session: JsonSession): void {
    this.#sockets.get(session)?.stall(false);
  }

  async queueNames(): Promise<string[]> {
    const { queues } = await (await this.observer()).do('stats', {});
    return queues.map((queue) => queue.queue).sort();
  }
  async observer(): Promise<JsonSession> {
    this.#observer ??= await this.connect({ client: { name: 'observer' } });
    return this.#observer;
  }

  /** Ends everything, and answers what was left over or went wrong. */
  async end(): Promise<string[]> {
    const observer = await this.observer();
    for (const [session, socket] of this.#sockets) {
      socket.stall(false);
      if (session !== observer) await session.close();
    }
    for (const stream of this.#streams) {
      stream.resume();
      stream.destroy();
    }
    await this.idle();
    const complaints = await this.#clearUp(observer);
    await observer.close();
    this.#broker.close();
    await this.idle();
    if (this.#log.live.length > 0) complaints.push(`messages left in the log: ${this.#log.live.join(' ')}`);
    if (this.clock.pendingTimers > 0) complaints.push(`${this.clock.pendingTimers} timers left`);
    if (this.turns.pendingTasks > 0) complaints.push(`${this.turns.pendingTasks} tasks left`);
    if (!this.#ends.every((end) => end.isEnded)) complaints.push('a socket is still open');
    for (const session of this.#sockets.keys()) complaints.push(...session.faults.map((fault) => `an answer to no request: ${fault}`));
    return [...complaints, ...this.errors];
  }

  async #clearUp(observer: JsonSession): Promise<string[]> {
    const complaints: string[] = [];
    const before = await observer.do('stats', {});
    if (before.broker.connections !== 1) complaints.push(`${before.broker.connections - 1} connections outlived their sockets`);
    for (const { queue, unacked, consumers } of before.queues) {
      if (unacked > 0) complaints.push(`queue '${queue}' has ${unacked} unacked messages that nobody holds`);
      if (consumers > 0) complaints.push(`queue '${queue}' has ${consumers} consumers that nobody is`);
      try {
        if ((await observer.inspect(queue)).exclusive) complaints.push(`exclusive queue '${queue}' outlived its connection`);
        await observer.do('queue.delete', { queue });
      } catch (error) {
        complaints.push(`queue '${queue}' cannot be deleted: ${String(error)}`);
      }
    }
    const after = await observer.do('stats', {});
    if (after.broker.queues !== 0 || after.queues.length !== 0) complaints.push(`${after.broker.queues} queues left`);
    if (after.broker.messages !== 0) complaints.push(`${after.broker.messages} messages left in no queue`);
    return complaints;
  }

  #loggedError(fields: object, text: string): void {
    const fault: unknown = 'err' in fields ? fields.err : 'error' in fields ? fields.error : undefined;
    this.errors.push(`logged as an error: ${text} ${fault instanceof Error ? (fault.stack ?? fault.message) : JSON.stringify(fields)}`);
  }
}

/** The same bytes in every run: names in a failing test are names in the next. */
class SeededRandom {
  #state = 0x9e3779b9;

  bytes(count: number): Uint8Array {
    return Uint8Array.from({ length: count }, () => {
      // xorshift32
      this.#state ^= this.#state << 13;
      this.#state ^= this.#state >>> 17;
      this.#state ^= this.#state << 5;
      return this.#state & 0xff;
    });
  }
}

/** A test with a broker of its own, which must be left clean. */
export const test = base.extend<{ broker: TestBroker }>({
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads the pattern
  broker: async ({}, use) => {
    const broker = new TestBroker();
    await use(broker);
    expect(await broker.end(), 'left over or gone wrong').toEqual([]);
  },
});
