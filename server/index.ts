// `import { createBroker } from 'leveret'`: the same engine inside a user's own process, with or without a port.
// Always: (1) `connect()` is leveret-client's own connection, over memory; (2) after `close()` nothing keeps the process alive; (3) it logs nothing
// unless told to, and never ends the process.

import { type Connection, type ConnectOptions, connectOver, type Topology, type Transport } from 'leveret-client';
import type { Sample } from '../shared/protocol/control.ts';
import { SystemClock } from './clock.ts';
import { authority, Leveret, type Logs } from './compose.ts';
import { type Config, ConfigError, configOf } from './config.ts';
import { nearest } from './config-nearest.ts';
import { memoryTransport } from './memory-transport.ts';
import { durableLog } from './storage.ts';
import { MemoryLog } from './store/memory-log.ts';

export interface BrokerOptions {
  /**
   * The directory that keeps messages, queues, exchanges and bindings: `createBroker` recovers what is in it, and throws when it cannot.
   * One broker has it at a time. Without it everything is in memory, and gone with the broker.
   */
  readonly dataDir?: string;
  /** The disk of `dataDir` has failed: connections are closed, nothing is confirmed any more. What was confirmed is stored. */
  readonly onFault?: (cause: Error) => void;
  /** Origins of pages that may connect beside the broker's own. */
  readonly origins?: readonly string[];
  readonly user?: string;
  readonly password?: string;
  /** Where log lines go: a pino logger, or anything with its shape. */
  readonly log?: { debug: LogLine; info: LogLine; warn: LogLine; error: LogLine };
}
type LogLine = (fields: object, text: string) => void;

export interface ListenOptions {
  /** 127.0.0.1 unless given. */
  readonly host?: string;
  /** 15672 unless given; 0 takes any that is free. */
  readonly port?: number;
  /** A port for AMQP 0-9-1 clients too, 5672 by custom; 0 takes any that is free. Without it there is none: over WebSocket AMQP is always there. */
  readonly amqpPort?: number;
}

export interface Listening {
  readonly host: string;
  readonly port: number;
  /** For clients. */
  readonly url: string;
  /** For AMQP 0-9-1 clients, where `amqpPort` was given. */
  readonly amqpUrl: string | undefined;
}

export interface EmbeddedBroker extends AsyncDisposable {
  /** Opens the HTTP port, and tells where. */
  listen(options?: ListenOptions): Promise<Listening>;
  /** A client of this broker, in this process. */
  connect<T extends Topology = Topology>(options?: ConnectOptions<T>): Promise<Connection<T>>;
  /** The numbers of docs/protocol.md, "A sample". */
  stats(): Sample;
  /** Ends every connection, and then the broker; resolves when the data directory may be opened again. Messages in memory are gone. */
  close(): Promise<void>;
}

/**
 * A broker in this process.
 * ```ts
 * await using broker = createBroker();
 * const mq = await broker.connect();
 * await mq.declareQueue('jobs');
 * await mq.queue('jobs').publish({ id: 1 });
 * ```
 */
export function createBroker(options: BrokerOptions = {}): EmbeddedBroker {
  checkOptions(options);
  const { dataDir, origins, user, password, onFault } = options;
  const config = configOf({ origins, 'default-user': user, 'default-pass': password, 'data-dir': dataDir, memory: dataDir === undefined });
  const logs = logsTo(options.log);
  const clock = new SystemClock();
  const messageLog = dataDir === undefined ? new MemoryLog() : durableLog(dataDir, config, { clock, notices: logs.notices });
  return new Embedded(new Leveret(config, { logs, clock, messageLog, ...(onFault === undefined ? {} : { onFault }) }), config);
}

const OPTIONS: { readonly [Name in keyof Required<BrokerOptions>]: true } = {
  dataDir: true,
  onFault: true,
  origins: true,
  user: true,
  password: true,
  log: true,
};

/** A misspelt `dataDir` would keep nothing. Throws ConfigError. */
function checkOptions(options: unknown): void {
  if (typeof options !== 'object' || options === null) throw new ConfigError(['createBroker: its options are an object']);
  for (const name of Object.keys(options)) {
    if (name in OPTIONS) continue;
    const known = nearest(name, Object.keys(OPTIONS));
    const what = known === undefined ? `; there are ${Object.keys(OPTIONS).join(', ')}` : `: did you mean '${known}'?`;
    throw new ConfigError([`createBroker: no option '${name}'${what}`]);
  }
}

class Embedded implements EmbeddedBroker {
  readonly #leveret: Leveret;
  readonly #config: Config;
  readonly #transport: Transport;
  readonly #clients = new Set<{ close(): Promise<void> }>();

  constructor(leveret: Leveret, config: Config) {
    this.#leveret = leveret;
    this.#config = config;
    this.#transport = memoryTransport((socket) => leveret.accept(socket));
  }

  async listen(options: ListenOptions = {}): Promise<Listening> {
    const ports = { http: options.port ?? this.#config.httpPort, amqp: options.amqpPort };
    const { http, amqp } = await this.#leveret.listen(options.host ?? this.#config.host, ports);
    const { host, port } = http;
    const amqpUrl = amqp === undefined ? undefined : `amqp://${authority(amqp.host, amqp.port)}`;
    return { host, port, url: `ws://${authority(host, port)}/ws`, amqpUrl };
  }

  async connect<T extends Topology = Topology>(options: ConnectOptions<T> = {}): Promise<Connection<T>> {
    const { name: user, password } = this.#config.defaultUser;
    // There is nothing to reconnect to: the broker ends with its process.
    const connection = await connectOver(this.#transport, { user, password, ...options, reconnect: false });
    this.#clients.add(connection);
    connection.on('state', (state) => {
      if (state === 'closed') this.#clients.delete(connection);
    });
    return connection;
  }

  stats(): Sample {
    return this.#leveret.broker.sample(() => true);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#clients].map((client) => client.close()));
    await this.#leveret.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

function logsTo(log: BrokerOptions['log']): Logs {
  const silent = (): void => undefined;
  const to = log ?? { debug: silent, info: silent, warn: silent, error: silent };
  return {
    notices: { notice: ({ severity, fields, text }) => to[severity === 'info' ? 'debug' : severity](fields, text) },
    logFor: (fields) => ({
      debug: (more, text) => to.debug({ ...fields, ...more }, text),
      info: (more, text) => to.info({ ...fields, ...more }, text),
      warn: (more, text) => to.warn({ ...fields, ...more }, text),
      error: (more, text) => to.error({ ...fields, ...more }, text),
    }),
  };
}
