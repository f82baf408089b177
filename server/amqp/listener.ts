// Lets AMQP connections in over TCP and TLS, and ends them together.
// Always: (1) the limits on connections hold before a byte is read: who is one too many is hung up on; (2) the peer's own address counts, or what a proxy that is trusted says
// of the client it stands for; (3) a TLS
// handshake has 5 s, and costs nothing but its socket when it fails; (4) a client certificate names a user only where it was verified.
// Refuses: to decide limits (broker/admissions.ts) or to read configuration.

import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket, type TlsOptions } from 'node:tls';
import type { Admission, Admissions } from '../broker/admissions.ts';
import type { ConnectionLog, Turns } from '../ports.ts';
import type { ByteHandler, ByteSocket } from './byte-socket.ts';
import { AmqpConnection, type AmqpConnectionOwner } from './connection.ts';
import type { AmqpRemote, AmqpSettings } from './handshake.ts';
import { NetSocket } from './net-socket.ts';
import { awaitProxyHeader, type Peer } from './proxy-header.ts';

const TLS_HANDSHAKE_MS_MAX = 5_000; // security.md, 3

export interface AmqpListenerOptions {
  readonly settings: AmqpSettings;
  readonly turns: Turns;
  readonly admissions: Admissions;
  /** A log of one connection. */
  readonly logFor: (fields: { connection: number; peer: string }) => ConnectionLog;
  readonly isLoopback: (address: string) => boolean;
  /** Whether who connects from here is a proxy, which begins with a PROXY header. */
  readonly isProxy: (address: string) => boolean;
}

export interface Address {
  readonly host: string;
  readonly port: number;
}

interface Entry {
  readonly admission: Admission;
  /** What its transport wants to know. */
  readonly opened: () => void;
}

export class AmqpListener implements AmqpConnectionOwner {
  readonly #options: AmqpListenerOptions;
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #connections = new Map<AmqpConnection, Entry>();
  #nextNumber = 1;
  #isDraining = false;

  constructor(options: AmqpListenerOptions) {
    this.#options = options;
  }

  get connections(): readonly AmqpConnection[] {
    return [...this.#connections.keys()];
  }

  /** Answers where it listens. Rejects with Node's error: EADDRINUSE, EACCES, EADDRNOTAVAIL. `tls`: certificates and keys. */
  listen(host: string, port: number, tls?: TlsOptions): Promise<Address> {
    const enter = tls === undefined ? (socket: Socket, peer: Peer) => this.#accept(socket, peer, undefined) : this.#tlsDoor(tls);
    const server = createServer({ allowHalfOpen: tls === undefined }, (socket) => {
      this.#watch(socket);
      const peer = peerOf(socket);
      if (!this.#options.isProxy(peer.address)) enter(socket, peer);
      else awaitProxyHeader(socket, this.#options.settings.clock, (source) => enter(socket, source ?? peer));
    });
    this.#servers.push(server);
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host, port }, () => {
        server.off('error', reject);
        // An accept that fails (no file descriptors left) costs that connection alone.
        server.on('error', () => undefined);
        const address: AddressInfo | string | null = server.address();
        resolve(typeof address === 'object' && address !== null ? { host: address.address, port: address.port } : { host, port });
      });
    });
  }

  /** Makes TLS of a socket, and a connection of that. The server that does it listens to nothing itself: a PROXY header comes before TLS. */
  #tlsDoor(tls: TlsOptions): (socket: Socket, peer: Peer) => void {
    const peers = new Map<string, Peer>();
    const server = createTlsServer({ ...tls, handshakeTimeout: TLS_HANDSHAKE_MS_MAX });
    server.on('tlsClientError', () => undefined); // its socket is closed already
    server.on('secureConnection', (socket: TLSSocket) => {
      const own = peerOf(socket);
      this.#accept(socket, peers.get(nameOf(own)) ?? own, certifiedName(socket));
    });
    return (socket, peer) => {
      const name = nameOf(peerOf(socket));
      peers.set(name, peer);
      socket.once('close', () => peers.delete(name));
      server.emit('connection', socket);
    };
  }

  /** A connection whose bytes come over something else; `opened` is called when it has logged in. undefined: there may be no more. */
  accept(socket: ByteSocket, peer: Peer, opened: () => void): ByteHandler | undefined {
    return this.#connect(socket, peer, undefined, opened);
  }

  opened(connection: AmqpConnection): void {
    const entry = this.#connections.get(connection);
    entry?.admission.opened();
    entry?.opened();
  }
  closed(connection: AmqpConnection): void {
    this.#connections.get(connection)?.admission.left();
    this.#connections.delete(connection);
  }

  /** No more connections; those that are there get nothing new, and finish what they hold. */
  drain(): void {
    this.#isDraining = true;
    for (const server of this.#servers) server.close();
    for (const connection of this.connections) connection.drain();
  }

  /** Ends every connection with 320, and resolves when all sockets are gone: after `graceMs` they are cut. */
  async close(reason: string, graceMs: number): Promise<void> {
    this.#isDraining = true;
    const { clock } = this.#options.settings;
    for (const connection of this.connections) connection.shutDown(reason);
    const gone = [...this.#sockets].map((socket) => new Promise<void>((resolve) => socket.once('close', () => resolve())));
    for (const server of this.#servers) server.close();
    const cut = clock.setTimer(clock.now() + graceMs, () => {
      for (const socket of this.#sockets) socket.destroy();
    });
    await Promise.all(gone);
    cut.cancel();
  }

  #watch(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    socket.on('error', () => undefined);
  }

  #accept(socket: Socket, peer: Peer, certified: string | undefined): void {
    const netSocket = new NetSocket(socket, this.#options.settings.clock, this.#options.turns);
    const connection = this.#connect(netSocket, peer, certified, () => undefined);
    if (connection === undefined) socket.destroy();
    else {
      netSocket.attach(connection);
      socket.resume(); // reading a PROXY header has stopped it
    }
  }

  #connect(socket: ByteSocket, { address, port }: Peer, certifiedName: string | undefined, opened: () => void): AmqpConnection | undefined {
    const { settings, admissions, logFor, isLoopback } = this.#options;
    const peer = nameOf({ address, port });
    const remote: AmqpRemote = { name: peer, address, isLoopback: isLoopback(address), certifiedName };
    const refusal = this.#isDraining ? 'the server shuts down' : admissions.refusal(address, remote.isLoopback);
    const log = logFor({ connection: this.#nextNumber++, peer });
    if (refusal !== undefined) {
      log.warn({ reason: refusal }, 'an AMQP connection was refused');
      return undefined;
    }
    const admission = admissions.admit(address);
    const connection = new AmqpConnection(settings, socket, remote, log, this);
    this.#connections.set(connection, { admission, opened });
    return connection;
  }
}

function peerOf(socket: Socket): Peer {
  return { address: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 };
}
function nameOf({ address, port }: Peer): string {
  return `${address}:${port}`;
}

/** Whom a verified client certificate names. */
function certifiedName(socket: TLSSocket): string | undefined {
  if (!socket.authorized) return undefined;
  const name: unknown = socket.getPeerCertificate()?.subject?.CN;
  return typeof name === 'string' ? name : undefined;
}
