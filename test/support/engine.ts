// The engine alone: a broker on a memory log, a clock and turns that the test owns, and sessions that record.
// Always: `settle` runs turns until nothing is left to do, so a test never waits. Refuses: protocols and sockets.

import { Broker } from '../../server/broker/broker.ts';
import type { Consumer } from '../../server/broker/consumer.ts';
import { type BrokerLimits, defaultLimits } from '../../server/broker/limits.ts';
import { type Account, trustedAccount } from '../../server/broker/login.ts';
import type { Publisher } from '../../server/broker/publisher.ts';
import type { Session } from '../../server/broker/session.ts';
import type { Clock, MessageLog, Notice, Timer, Turns } from '../../server/ports.ts';
import { MemoryLog } from '../../server/store/memory-log.ts';
import type { Properties } from '../../shared/amqp/properties.ts';
import type { FieldTable } from '../../shared/amqp/table.ts';
import { encodeContent } from '../../shared/content.ts';
import { RecordingSink } from './recording-sink.ts';

export class EngineTime {
  #now = 1_767_225_600_000;
  #timers: { at: number; fire: () => void }[] = [];
  #tasks: (() => void)[] = [];

  now(): number {
    return this.#now;
  }
  setTimer(at: number, fire: () => void): Timer {
    const timer = { at, fire };
    this.#timers.push(timer);
    return { cancel: () => (this.#timers = this.#timers.filter((each) => each !== timer)) };
  }
  defer(task: () => void): void {
    this.#tasks.push(task);
  }
  get timerCount(): number {
    return this.#timers.length;
  }
  /** Runs deferred work until there is none. */
  settle(): void {
    for (let left = 100_000; this.#tasks.length > 0; left--) {
      if (left === 0) throw new Error('the engine never comes to rest');
      for (const task of this.#tasks.splice(0)) task();
    }
  }
  advance(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      this.settle();
      const next = this.#timers.filter((timer) => timer.at <= end).sort((a, b) => a.at - b.at)[0];
      if (next === undefined) break;
      this.#timers = this.#timers.filter((timer) => timer !== next);
      this.#now = Math.max(this.#now, next.at);
      next.fire();
    }
    this.#now = end;
    this.settle();
  }
}

export interface Peer {
  session: Session;
  sink: RecordingSink;
  publisher: Publisher;
}

export interface EngineOptions {
  readonly limits?: Partial<BrokerLimits>;
  readonly deferReads?: boolean;
  readonly log?: MessageLog;
  readonly onFault?: (cause: Error) => void;
  /** Instead of the engine's own. */
  readonly clock?: Clock;
  readonly turns?: Turns;
}

export class Engine {
  readonly time = new EngineTime();
  readonly log: MessageLog;
  readonly notices: Notice[] = [];
  readonly broker: Broker;
  #random = 1;

  constructor(options: EngineOptions = {}) {
    this.log = options.log ?? new MemoryLog(options.deferReads ? { deferReads: this.time } : {});
    this.broker = new Broker({
      log: this.log,
      clock: options.clock ?? this.time,
      turns: options.turns ?? this.time,
      random: { bytes: (count) => Uint8Array.from({ length: count }, () => (this.#random = (this.#random * 48_271) % 0x7fff_ffff) & 0xff) },
      notices: { notice: (notice) => this.notices.push(notice) },
      limits: { ...defaultLimits, ...options.limits },
      ...(options.onFault === undefined ? {} : { onFault: options.onFault }),
    });
  }

  connect(account: Account = trustedAccount('guest'), vhost = '/'): Peer {
    const sink = new RecordingSink();
    const session = this.broker.openSession(sink, { account, vhost, name: 'test' });
    return { session, sink, publisher: session.openPublisher(1, true) };
  }

  declare(peer: Peer, queue: string, args: [string, FieldTable extends Map<string, infer V> ? V : never][] = [], durable = true): void {
    peer.session.declareQueue({ queue, durable, exclusive: false, autoDelete: false, passive: false, arguments: new Map(args) });
  }

  publish(peer: Peer, exchange: string, key: string, body: string, properties: Properties = {}, mandatory = false): void {
    const run = encodeContent(exchange, key, properties, new TextEncoder().encode(body));
    peer.session.publish(peer.publisher, run, 0, run.length, mandatory);
  }

  consume(peer: Peer, queue: string, options: Partial<Parameters<Session['consume']>[0]> = {}): Consumer {
    return peer.session.consume({
      handle: 2,
      queue,
      consumerTag: '',
      noAck: false,
      exclusive: false,
      prefetch: 0,
      credit: undefined,
      priority: 0,
      arguments: new Map(),
      ...options,
    });
  }
}
