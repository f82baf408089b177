// Puts the parts together: broker, log, clock, WebSocket listener, HTTP port. Which log it is, its maker decides: so nobody loads the modules
// of a log that is not used.
// Always: (1) a Leveret serves in-memory connections from construction on, and sockets after `listen`; (2) after `close` it holds no socket, timer or
// other handle of the process; (3) the network's modules are loaded by `listen`, so an embedded broker does without.

import type { TlsOptions } from 'node:tls';
import { AmqpError, ReplyCode } from '../shared/error.ts';
import type { JsonObject } from '../shared/protocol/control.ts';
import type { Address, AmqpListener } from './amqp/listener.ts';
import { Admissions } from './broker/admissions.ts';
import { Audit, type AuditScope, type AuditSink } from './broker/audit.ts';
import { Broker } from './broker/broker.ts';
import { importDefinitions } from './broker/definitions-file/apply.ts';
import { type BrokerLimits, defaultLimits } from './broker/limits.ts';
import { TellingLogin } from './broker/login-events.ts';
import { NODE } from './broker/names.ts';
import { certificateEnd } from './certificate.ts';
import { SystemRandom, SystemTurns } from './clock.ts';
import type { Config, ConfigLimits, JwtConfig } from './config.ts';
import type { ServerListener } from './http/route.ts';
import type { ApiListener, HttpServer, Upgrade } from './http/server.ts';
import { Authenticator } from './identity/authenticator.ts';
import { type GeneratedUser, generateUser, installDefaultUser } from './identity/default-user.ts';
import { LateTokens } from './identity/late-tokens.ts';
import { Passwords } from './identity/passwords.ts';
import type { TokenOptions } from './identity/tokens.ts';
import type { Operations } from './operations.ts';
import { PlainGuard } from './plain-guard.ts';
import type { Clock, ConnectionLog, MessageLog, Notices, Timer } from './ports.ts';
import { proxyMatcher } from './proxies.ts';
import { VERSION } from './version.ts';
import { Connection, type ConnectionOwner, type ConnectionSettings } from './websocket/connection.ts';
import type { Listener } from './websocket/listener.ts';
import type { MessageSocket, SocketHandler } from './websocket/message-socket.ts';

/** The ports to open; 0 takes any that is free. */
export interface Ports {
  readonly http: number;
  readonly https?: { readonly port: number; readonly tls: TlsOptions } | undefined;
  readonly amqp?: number | undefined;
  readonly amqps?: { readonly port: number; readonly tls: TlsOptions } | undefined;
}
export interface Addresses {
  readonly http: Address;
  readonly https: Address | undefined;
  readonly amqp: Address | undefined;
  readonly amqps: Address | undefined;
}

/** Where lines about the broker and its connections go. */
export interface Logs {
  readonly notices: Notices;
  readonly logFor: (fields: { connection: number; peer: string }) => ConnectionLog;
}

export interface Parts {
  readonly logs: Logs;
  readonly clock: Clock;
  /** Not opened yet: the broker recovers from it. */
  readonly messageLog: MessageLog;
  /** Where there is nobody yet, nobody is made by the configuration: whoever starts the broker asks for `firstUser`, and tells its password. */
  readonly generatesUser?: boolean;
  /** The log cannot go on (its disk has failed): every connection has been closed with 541, and the broker does nothing more. */
  readonly onFault?: (cause: Error) => void;
  /** Where the audit log goes; without one nobody keeps it. */
  readonly audit?: { readonly sink: AuditSink; readonly scope: AuditScope } | undefined;
  /** In RabbitMQ's format: imported before anybody can come in. */
  readonly definitions?: JsonObject | undefined;
}

// What stands around a body at most: names, properties, a header table of 64 KiB. A client sends while its credit is above 0, so its last message
// may be of the largest size: a window below that would make a debt of more than a window out of correct use.
const CONTENT_OVERHEAD_BYTES = 131_072;
/** How often a drain looks whether all is settled. */
const DRAIN_LOOK_MS = 20;
// For the close frames' answers.
const CLOSE_MS_MAX = 1000;

export class Leveret implements ConnectionOwner {
  readonly broker: Broker;
  readonly #config: Config;
  readonly #logs: Logs;
  readonly #clock: Clock;
  readonly #turns = new SystemTurns();
  readonly #settings: ConnectionSettings;
  readonly #admissions: Admissions;
  /** Those in memory; the listener has its own. */
  readonly #connections = new Set<Connection>();
  /** From `listen` on. */
  #operations: Operations | undefined;
  #http: readonly HttpServer[] = [];
  #listener: Listener | undefined;
  #amqp: AmqpListener | undefined;
  #isClosed = false;
  #audit: Audit | undefined;
  readonly #passwords = new Passwords();
  readonly #authenticator: Authenticator;
  readonly #tokens: LateTokens | undefined;
  readonly #defaultUser: Promise<void>;
  #listening: readonly ServerListener[] = [];

  /** Recovers what the log has kept; throws the log's error when it cannot, and AmqpError where the definitions are refused: then nothing of them was done. */
  constructor(config: Config, { logs, clock, messageLog, onFault, audit, definitions, generatesUser = false }: Parts) {
    this.#config = config;
    this.#logs = logs;
    this.#clock = clock;
    this.broker = new Broker({
      log: messageLog,
      clock: this.#clock,
      random: new SystemRandom(),
      turns: this.#turns,
      notices: logs.notices,
      stopwatch: () => performance.now(),
      onFault: (cause) => {
        if (this.#operations !== undefined) this.#operations.phase = 'failed';
        onFault?.(cause);
      },
      limits: brokerLimits(config.limits),
    });
    if (audit !== undefined) {
      this.#audit = new Audit(audit.sink, clock, audit.scope);
      this.#audit.listen(this.broker.events);
    }
    if (definitions !== undefined) this.#import(definitions); // before the first user: where it brings any, nobody needs guest
    const { connections, connectionsPerIp, connectionsUnauthenticated, authFailuresPerMinute } = config.limits;
    this.#admissions = new Admissions({
      connectionsMax: connections,
      connectionsPerIpMax: connectionsPerIp,
      unauthenticatedMax: connectionsUnauthenticated,
    });
    this.#tokens = config.jwt && new LateTokens(tokenOptions(config.jwt), clock, logs.notices);
    this.#authenticator = new Authenticator(this.broker.users, this.#passwords, clock, {
      failuresMax: authFailuresPerMinute,
      tokens: this.#tokens,
    });
    this.#defaultUser = generatesUser && this.broker.users.size === 0 ? Promise.resolve() : this.#installDefaultUser();
    this.#settings = {
      broker: this.broker,
      clock: this.#clock,
      login: new TellingLogin(new PlainGuard(this.#authenticator, config.plainWithoutTls, logs.notices), this.broker.events),
      product: { product: 'Leveret', version: VERSION },
      messageBytesMax: config.limits.messageBytes,
      handlesMax: config.limits.handles,
      heartbeatMs: config.limits.heartbeatMs,
      limits: config.limits,
    };
  }

  #import(definitions: JsonObject): void {
    try {
      importDefinitions(this.broker, definitions);
    } catch (error) {
      this.#isClosed = true;
      this.broker.close().catch((cause: unknown) => {
        const text = 'the data directory could not be closed in good order';
        this.#logs.notices.notice({ kind: 'log.unclosed', severity: 'warn', text, fields: { cause: String(cause) } });
      });
      throw error;
    }
  }

  #installDefaultUser(): Promise<void> {
    const user = { ...this.#config.defaultUser, isKept: this.#config.dataDir !== undefined };
    return installDefaultUser(this.broker, this.#authenticator, this.#passwords, user).catch((error: unknown) => {
      const text = "the first user's password could not be kept: the next start tries again";
      this.#logs.notices.notice({ kind: 'user.default', severity: 'warn', text, fields: { cause: String(error) } });
    });
  }

  /** Makes an administrator where there is no user at all: what it answers is nowhere else, and has to be told. undefined: there are users. */
  async firstUser(): Promise<GeneratedUser | undefined> {
    return await generateUser(this.broker, this.#authenticator, this.#passwords, this.#config.defaultUser.vhost);
  }

  /** Opens the ports. Rejects with Node's error for the first that it cannot open, and then has opened none. */
  async listen(host: string, ports: Ports): Promise<Addresses> {
    if (this.#isClosed || this.#http.length > 0) throw new AmqpError(ReplyCode.NotAllowed, 'a broker listens once, and not after close');
    const [{ HttpServer }, { Listener, isLoopback }, { AmqpListener }, { MessageByteSocket }, { Operations }] = await Promise.all([
      import('./http/server.ts'),
      import('./websocket/listener.ts'),
      import('./amqp/listener.ts'),
      import('./amqp-over-websocket.ts'),
      import('./operations.ts'),
    ]);
    const { broker, clock, login, product, messageBytesMax } = this.#settings;
    const { limits } = this.#config;
    await new Promise<void>((resolve) => broker.whenDurable(broker.definedLsn, resolve)); // whoever comes in finds what will be there after a kill, too
    const shared = { admissions: this.#admissions, logFor: this.#logs.logFor };
    const amqp = new AmqpListener({
      ...shared,
      settings: { broker, clock, login, product, limits: { ...limits, heartbeatSeconds: limits.amqpHeartbeatSeconds } },
      tlsHandshakeMsMax: limits.tlsHandshakeMs,
      turns: this.#turns,
      isLoopback,
      isProxy: proxyMatcher(this.#config.proxies),
    });
    const listener = new Listener({
      ...shared,
      settings: this.#settings,
      origins: this.#config.origins,
      amqp: (socket, peer) => {
        const bytes = new MessageByteSocket(socket, this.#turns);
        const handler = amqp.accept(bytes, peer, () => socket.admit(messageBytesMax));
        if (handler === undefined) return false;
        bytes.attach(handler);
        socket.attach(bytes);
        return true;
      },
    });
    const { notices } = this.#logs;
    const operations = new Operations({ broker, clock, notices, ...product, node: NODE }, this.#config);
    const pages = { answer: (path: string, query: URLSearchParams) => operations.answer(path, query), turns: this.#turns };
    const api = this.#lazyApi(operations, isLoopback);
    const upgrade: Upgrade = (request, socket, head) => listener.upgrade(request, socket, head);
    const times = { requestMsMax: limits.handshakeMs, tlsHandshakeMsMax: limits.tlsHandshakeMs };
    const http = { upgrade, clock, api, pages, ...times, admissions: this.#admissions, isLoopback };
    const plainHttp = new HttpServer(http);
    const secureHttp = ports.https && new HttpServer({ ...http, tls: ports.https.tls });
    const servers = secureHttp === undefined ? [plainHttp] : [plainHttp, secureHttp];
    try {
      const plainAddress = await plainHttp.listen(host, ports.http);
      const https = ports.https && (await secureHttp?.listen(host, ports.https.port));
      const plain = ports.amqp === undefined ? undefined : await amqp.listen(host, ports.amqp);
      const secure = ports.amqps === undefined ? undefined : await amqp.listen(host, ports.amqps.port, ports.amqps.tls);
      this.#http = servers;
      this.#listener = listener;
      this.#amqp = amqp;
      const addresses = { http: plainAddress, https, amqp: plain, amqps: secure };
      this.#listening = listenersOf(addresses, ports);
      void this.#tokens?.prepare();
      this.#operations = operations;
      operations.start();
      return addresses;
    } catch (error) {
      listener.close('');
      for (const server of servers) server.stopListening();
      await amqp.close('', 0);
      throw error;
    }
  }

  /** Makes the management API when somebody asks: a broker that nobody manages starts without it. Both ports have the same. */
  #lazyApi(operations: Operations, isLoopback: (address: string) => boolean): () => Promise<ApiListener> {
    const { broker, clock, login, product } = this.#settings;
    const { webhookUrl, dlqDepth: depth, dlqOldestMs: oldestMs, dlqGrowthPerMin: growthPerMin } = this.#config.alerts;
    const deadLetterAlerts = { depth, oldestMs, growthPerMin, isSent: webhookUrl !== undefined };
    const options = {
      broker,
      login,
      clock,
      log: this.#logs.logFor({ connection: 0, peer: 'api' }),
      hashPassword: (password: string) => this.#passwords.hash(password),
      facts: { ...product, startedAt: clock.now(), listeners: () => this.#listening, memory: () => operations.memory(), deadLetterAlerts },
      limits: this.#config.limits,
      turns: this.#turns,
      rates: operations.sampler,
      audit: this.#audit,
    };
    const load = async (): Promise<ApiListener> => (await import('./http/api-listener.ts')).apiListener(options, isLoopback);
    let loaded: Promise<ApiListener> | undefined;
    return () => (loaded ??= load());
  }

  /** New certificates, for connections from now on. */
  setTls(tls: TlsOptions): void {
    for (const server of this.#http) server.setTls(tls);
    this.#amqp?.setTls(tls);
    const certificateEnds = certificateEnd(tls);
    this.#listening = this.#listening.map((each) => (each.certificateEnds === undefined ? each : { ...each, certificateEnds }));
  }

  /** A connection that needs no network; undefined once closed. */
  accept(socket: MessageSocket): SocketHandler | undefined {
    if (this.#isClosed) return undefined;
    const log = this.#logs.logFor({ connection: 0, peer: 'memory' });
    const connection = new Connection(this.#settings, socket, { name: 'memory', address: '', isLoopback: true }, log, this);
    this.#connections.add(connection);
    return connection;
  }

  opened(): void {
    // counted from the start: memory has no peers that do not log in
  }
  closed(connection: Connection): void {
    this.#connections.delete(connection);
  }

  /** Stops taking connections and messages out, and waits until every delivery is settled or `drainMs` are over. */
  async drain(reason: string, drainMs: number): Promise<void> {
    if (this.#operations !== undefined) this.#operations.phase = 'draining';
    for (const server of this.#http) server.stopListening();
    this.#listener?.drain(reason);
    this.#amqp?.drain();
    for (const connection of [...this.#connections]) connection.drain(reason);
    const until = this.#clock.now() + drainMs;
    while (this.#unackedCount() > 0 && this.#clock.now() < until) await this.#pause();
  }

  async close(reason = 'broker shut down'): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#operations?.close();
    this.#listener?.close(reason);
    for (const connection of [...this.#connections]) connection.shutDown(reason);
    const tokensClosed = this.#tokens?.close();
    const amqpClosed = this.#amqp?.close(reason, CLOSE_MS_MAX);
    await this.#defaultUser;
    await this.broker.close();
    await Promise.all([...this.#http.map((server) => server.close(CLOSE_MS_MAX)), amqpClosed, tokensClosed]);
  }

  #unackedCount(): number {
    let count = 0;
    for (const connection of this.#connections) count += connection.unackedCount;
    for (const connection of this.#listener?.connections ?? []) count += connection.unackedCount;
    for (const connection of this.#amqp?.connections ?? []) count += connection.unackedCount;
    return count;
  }

  #pause(): Promise<Timer> {
    return new Promise((resolve) => {
      const timer: Timer = this.#clock.setTimer(this.#clock.now() + DRAIN_LOOK_MS, () => resolve(timer));
    });
  }
}

/** By RabbitMQ's names of protocols. */
function listenersOf({ http, https, amqp, amqps }: Addresses, ports: Ports): ServerListener[] {
  const all = [
    ['http', http, undefined],
    ['https', https, ports.https?.tls],
    ['amqp', amqp, undefined],
    ['amqp/ssl', amqps, ports.amqps?.tls],
  ] as const;
  return all.flatMap(([protocol, address, tls]) =>
    address === undefined ? [] : [{ protocol, ...address, certificateEnds: tls && certificateEnd(tls) }],
  );
}

function brokerLimits(limits: ConfigLimits): BrokerLimits {
  return {
    ...defaultLimits,
    ...limits,
    consumersPerSession: limits.consumersPerChannel,
    unackedBytesPerSession: limits.unackedBytes,
    publisherWindowBytes: Math.max(defaultLimits.publisherWindowBytes, limits.messageBytes + CONTENT_OVERHEAD_BYTES),
  };
}

function tokenOptions({ audience, ...others }: JwtConfig): TokenOptions {
  return { ...others, audience: audience ?? others.resourceServerId ?? '' };
}

/** Host and port as they stand in a URL. */
export function authority(host: string, port: number): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}
