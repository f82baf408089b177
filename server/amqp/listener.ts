// Lets AMQP connections in over TCP and TLS, and ends them together.
// Always: (1) a socket counts from when it is accepted until it is closed, whatever it says in between: who is one too many is hung up on before a byte is
// read; (2) the peer's own address counts, or what a proxy that is trusted says of the client it stands for; (3) a TLS handshake has its time, and costs
// nothing but its socket when it fails; (4) a client certificate names a user only where it was verified.
// Refuses: to decide limits (broker/admissions.ts) or to read configuration.

import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, TLSSocket, type TlsOptions, type Server as TlsServer } from 'node:tls';
import type { Admission, Admissions } from '../broker/admissions.ts';
import type { ConnectionLog, Turns } from '../ports.ts';
import type { ByteHandler, ByteSocket } from './byte-socket.ts';
import { AmqpConnection, type AmqpConnectionOwner } from './connection.ts';
import type { AmqpRemote, AmqpSettings } from './handshake.ts';
import { NetSocket } from './net-socket.ts';
import { awaitProxyHeader, type Peer } from './proxy-header.ts';

const SHUTTING_DOWN = 'the server shuts down';

export interface AmqpListenerOptions {
  readonly settings: AmqpSettings;
  readonly tlsHandshakeMsMax: number;
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

/** What the transport of a connection wants to know. */
interface Entry {
  readonly opened: () => void;
  readonly closed: () => void;
}

/** The other side, and both ends of the way there. */
export interface Far extends Peer {
  readonly localAddress?: string | undefined;
  readonly localPort?: number | undefined;
  readonly isTls: boolean;
}

/** A socket that was let in, and for whom it counts. */
interface Guest {
  readonly socket: Socket;
  peer: Peer;
  admission: Admission;
}

export class AmqpListener implements AmqpConnectionOwner {
  readonly #options: AmqpListenerOptions;
  readonly #servers: Server[] = [];
  readonly #tlsServers: TlsServer[] = [];
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
    const enter = tls === undefined ? (guest: Guest) => this.#accept(guest, guest.socket, undefined) : this.#tlsDoor(tls);
    const server = createServer({ allowHalfOpen: tls === undefined }, (socket) => {
      const guest = this.#letIn(socket);
      if (guest === undefined) return;
      if (!this.#options.isProxy(guest.peer.address)) enter(guest);
      else
        awaitProxyHeader(socket, this.#options.settings.clock, (source) => {
          if (source === undefined || this.#standsFor(guest, source)) enter(guest);
        });
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
  #tlsDoor(tls: TlsOptions): (guest: Guest) => void {
    const guests = new Map<string, Guest>();
    const server = createTlsServer({ ...tls, handshakeTimeout: this.#options.tlsHandshakeMsMax });
    this.#tlsServers.push(server);
    // Node leaves a socket open whose handshake takes too long.
    server.on('tlsClientError', (_error: Error, socket: TLSSocket) => {
      guests.get(endsOf(socket))?.socket.destroy();
      socket.destroy();
    });
    server.on('secureConnection', (socket: TLSSocket) => {
      const guest = guests.get(endsOf(socket));
      if (guest === undefined)
        socket.destroy(); // it was cut meanwhile
      else this.#accept(guest, socket, certifiedName(socket));
    });
    return (guest) => {
      const ends = endsOf(guest.socket);
      guests.set(ends, guest);
      guest.socket.once('close', () => guests.delete(ends));
      server.emit('connection', guest.socket);
    };
  }

  /** For connections from now on; who is asked for a certificate stays as it is. */
  setTls(tls: TlsOptions): void {
    for (const server of this.#tlsServers) server.setSecureContext(tls);
  }

  /** A connection whose bytes come over something else; `opened` is called when it has logged in. undefined: there may be no more. */
  accept(socket: ByteSocket, peer: Far, opened: () => void): ByteHandler | undefined {
    const admission = this.#admit(peer);
    if (admission === undefined) return undefined;
    return this.#connect(socket, peer, undefined, {
      opened: () => {
        admission.opened();
        opened();
      },
      closed: () => admission.left(),
    });
  }

  opened(connection: AmqpConnection): void {
    this.#connections.get(connection)?.opened();
  }
  closed(connection: AmqpConnection): void {
    this.#connections.get(connection)?.closed();
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

  /** Counts a socket until it is closed; one too many is closed at once. */
  #letIn(socket: Socket): Guest | undefined {
    socket.on('error', () => undefined);
    const peer = peerOf(socket);
    const admission = this.#admit(peer);
    if (admission === undefined) {
      socket.destroy();
      return undefined;
    }
    const guest: Guest = { socket, peer, admission };
    this.#sockets.add(socket);
    socket.once('close', () => {
      this.#sockets.delete(socket);
      guest.admission.left();
    });
    return guest;
  }

  /** From now on the socket counts for `source`. False: that has too many, and the socket is closed. */
  #standsFor(guest: Guest, source: Peer): boolean {
    guest.admission.left();
    const admission = this.#admit(source);
    if (admission === undefined) {
      guest.socket.destroy();
      return false;
    }
    guest.admission = admission;
    guest.peer = source;
    return true;
  }

  /** `socket` is that of the guest, or TLS over it. */
  #accept({ peer, admission }: Guest, socket: Socket, certified: string | undefined): void {
    if (this.#isDraining) {
      this.#refuse(peer, SHUTTING_DOWN);
      socket.destroy();
      return;
    }
    const netSocket = new NetSocket(socket, this.#options.settings.clock, this.#options.turns);
    const entry = { opened: () => admission.opened(), closed: () => undefined }; // it counts until its socket is closed
    const far: Far = { ...peer, localAddress: socket.localAddress, localPort: socket.localPort, isTls: socket instanceof TLSSocket };
    netSocket.attach(this.#connect(netSocket, far, certified, entry));
    socket.resume(); // reading a PROXY header has stopped it
  }

  #admit(peer: Peer): Admission | undefined {
    const { admissions, isLoopback } = this.#options;
    const refusal = this.#isDraining ? SHUTTING_DOWN : admissions.refusal(peer.address, isLoopback(peer.address));
    if (refusal === undefined) return admissions.admit(peer.address);
    this.#refuse(peer, refusal);
    return undefined;
  }

  #refuse(peer: Peer, reason: string): void {
    this.#logFor(nameOf(peer)).warn({ reason }, 'an AMQP connection was refused');
  }

  #logFor(peer: string): ConnectionLog {
    return this.#options.logFor({ connection: this.#nextNumber++, peer });
  }

  #connect(socket: ByteSocket, peer: Far, certifiedName: string | undefined, entry: Entry): AmqpConnection {
    const { settings, isLoopback } = this.#options;
    const name = nameOf(peer);
    const { address, port, localAddress = '', localPort = 0, isTls } = peer;
    const ends = { peerPort: port, localAddress, localPort, isTls };
    const remote: AmqpRemote = { name, address, isLoopback: isLoopback(address), certifiedName, ends };
    const connection = new AmqpConnection(settings, socket, remote, this.#logFor(name), this);
    this.#connections.set(connection, entry);
    return connection;
  }
}

function peerOf(socket: Socket): Peer {
  return { address: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 };
}
function nameOf({ address, port }: Peer): string {
  return `${address}:${port}`;
}

/** Both ends: no two sockets that are open have the same. */
function endsOf(socket: Socket): string {
  return `${nameOf(peerOf(socket))} ${socket.localAddress}:${socket.localPort}`;
}

/** Whom a verified client certificate names. */
function certifiedName(socket: TLSSocket): string | undefined {
  if (!socket.authorized) return undefined;
  const name: unknown = socket.getPeerCertificate()?.subject?.CN;
  return typeof name === 'string' ? name : undefined;
}
