// Lets WebSockets in: the upgrade of an HTTP request to `/ws`, who may ask for it, and how many at once.
// Always: (1) a foreign Origin gets 403 and a subprotocol other than leveret.v1, amqp or none gets 400, before anything becomes a WebSocket; (2) the limits on
// connections hold before hello is read; (3) the peer's own address counts, never a header's.
// Refuses: cookies and any other ambient credentials: hello has the only ones. An Origin is a browser's; without one it is another client.

import type { IncomingMessage } from 'node:http';
import { BlockList, isIPv4, type Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { WebSocketServer } from 'ws';
import { CloseCode, SUBPROTOCOL } from '../../shared/protocol/control.ts';
import type { Admission, Admissions } from '../broker/admissions.ts';
import type { RemoteEnds } from '../broker/login.ts';
import type { ConnectionLog } from '../ports.ts';
import { BATCH_OVERHEAD_BYTES, Connection, type ConnectionOwner, type ConnectionSettings } from './connection.ts';
import type { MessageSocket } from './message-socket.ts';
import { WsSocket } from './web-socket.ts';

// ws's defaults let a megabyte of tiny fragments pin fourteen (security.md, 2).
const FRAGMENTS_MAX = 1024;
const BUFFERED_CHUNKS_MAX = 4096;
// A peer that does not answer a close frame is cut after this.
const CLOSE_MS_MAX = 2000;

export interface ListenerOptions {
  readonly settings: ConnectionSettings;
  /** Origins that may connect beside the server's own; "*" for any. */
  readonly origins: readonly string[];
  readonly admissions: Admissions;
  /** Takes a WebSocket that speaks AMQP; undefined where nobody does. False: there may be no more connections. */
  readonly amqp?: (socket: AmqpWebSocket, peer: AmqpPeer) => boolean;
  /** A log of one connection. */
  readonly logFor: (fields: { connection: number; peer: string }) => ConnectionLog;
}

/** Where it comes from, and which way it came. */
export type AmqpPeer = RemoteEnds & { readonly address: string; readonly port: number };

/** What whoever speaks AMQP gets: the socket, not yet attached to anybody. */
export type AmqpWebSocket = Pick<WsSocket, 'attach'> & MessageSocket;

const AMQP_SUBPROTOCOL = 'amqp';

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');
loopback.addSubnet('::ffff:127.0.0.0', 104, 'ipv6');

export function isLoopback(address: string): boolean {
  return address !== '' && loopback.check(address, isIPv4(address) ? 'ipv4' : 'ipv6');
}

/** Of a URL: IPv6 addresses come in brackets. */
function isLoopbackName(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || (isIPv4(hostname) && isLoopback(hostname));
}

export class Listener implements ConnectionOwner {
  readonly #options: ListenerOptions;
  readonly #server: WebSocketServer;
  readonly #connections = new Map<Connection, Admission>();
  #nextNumber = 1;
  #isDraining = false;

  constructor(options: ListenerOptions) {
    this.#options = options;
    this.#server = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      allowSynchronousEvents: true,
      // without it ws answers with whatever was asked for first
      handleProtocols: (asked) => (asked.has(SUBPROTOCOL) ? SUBPROTOCOL : AMQP_SUBPROTOCOL),
      maxPayload: options.settings.messageBytesMax + BATCH_OVERHEAD_BYTES,
      maxFragments: FRAGMENTS_MAX,
      maxBufferedChunks: BUFFERED_CHUNKS_MAX,
      ...{ closeTimeout: CLOSE_MS_MAX }, // documented, and missing from the types
    });
  }

  get connections(): ReadonlySet<Connection> {
    return new Set(this.#connections.keys());
  }

  /** An HTTP request that asks to become a WebSocket. `socket` is the server's net.Socket. */
  upgrade(request: IncomingMessage, socket: Socket, head: Buffer): void {
    const refusal = this.#refusal(request, socket.localAddress ?? '');
    if (refusal !== undefined) {
      refuse(socket, refusal.status, refusal.text);
      return;
    }
    this.#server.handleUpgrade(request, socket, head, (ws) => {
      const address = socket.remoteAddress ?? '';
      const number = this.#nextNumber++;
      const peer = `${address}:${socket.remotePort ?? 0}`;
      const ends = {
        peerPort: socket.remotePort ?? 0,
        localAddress: socket.localAddress ?? '',
        localPort: socket.localPort ?? 0,
        isTls: socket instanceof TLSSocket,
      };
      const { settings, logFor } = this.#options;
      const wsSocket = new WsSocket(ws, socket, settings.clock, settings.heartbeatMs);
      if (ws.protocol !== SUBPROTOCOL) {
        const isTaken = this.#options.amqp?.(wsSocket, { address, port: ends.peerPort, ...ends });
        if (isTaken !== true) wsSocket.close(CloseCode.TooManyConnections, 'too many connections');
        return;
      }
      const remote = { name: peer, address, isLoopback: isLoopback(address), ends };
      const overLimit = this.#options.admissions.refusal(address, remote.isLoopback);
      if (overLimit !== undefined) {
        wsSocket.close(CloseCode.TooManyConnections, overLimit);
        return;
      }
      const connection = new Connection(settings, wsSocket, remote, logFor({ connection: number, peer }), this);
      this.#connections.set(connection, this.#options.admissions.admit(address));
      wsSocket.attach(connection);
    });
  }

  opened(connection: Connection): void {
    this.#connections.get(connection)?.opened();
  }

  closed(connection: Connection): void {
    this.#connections.get(connection)?.left();
    this.#connections.delete(connection);
  }

  /** No more connections; those that are there finish what they hold. */
  drain(reason: string): void {
    this.#isDraining = true;
    for (const connection of [...this.#connections.keys()]) connection.drain(reason);
  }

  /** Ends every connection with 1001. */
  close(reason: string): void {
    this.#isDraining = true;
    for (const connection of [...this.#connections.keys()]) connection.shutDown(reason);
    this.#server.close();
  }

  #refusal(request: IncomingMessage, localAddress: string): { status: 400 | 403 | 503; text: string } | undefined {
    if (this.#isDraining) return { status: 503, text: 'the server shuts down' };
    const { origin, host } = request.headers;
    if (origin !== undefined && !this.#isOwnOrigin(origin, host, localAddress)) {
      return { status: 403, text: `pages from ${origin} may not connect; the setting "origins" lists those that may` };
    }
    const asked = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim());
    if (asked.includes(SUBPROTOCOL)) return undefined;
    // A widely used browser client asks for none.
    const isAmqp = asked.includes(AMQP_SUBPROTOCOL) || asked.join('') === '';
    if (isAmqp && this.#options.amqp !== undefined) return undefined;
    const text = `unknown subprotocol; ask for ${SUBPROTOCOL} (docs/protocol.md), or for ${AMQP_SUBPROTOCOL} or none to speak AMQP 0-9-1`;
    return { status: 400, text };
  }

  /**
   * The page came from this server, or from an origin that the operator listed. A page of this machine may talk to a server that it reached by a
   * loopback name, on whatever port it was served. Any other name for a loopback address is how DNS rebinding looks: it has to be listed.
   */
  #isOwnOrigin(origin: string, host: string | undefined, localAddress: string): boolean {
    const { origins } = this.#options;
    if (origins.includes('*') || origins.includes(origin)) return true;
    if (host === undefined || !URL.canParse(origin) || !URL.canParse(`http://${host}`)) return false;
    const page = new URL(origin);
    const server = new URL(`http://${host}`);
    if (page.protocol !== 'http:' && page.protocol !== 'https:') return false;
    if (isLoopbackName(server.hostname)) return isLoopbackName(page.hostname);
    return !isLoopback(localAddress) && page.host === host.toLowerCase();
  }
}

function refuse(socket: Socket, status: 400 | 403 | 503, text: string): void {
  const names = { 400: 'Bad Request', 403: 'Forbidden', 503: 'Service Unavailable' };
  const body = `${text}\n`;
  socket.on('error', () => socket.destroy());
  // nobody waits for the peer to hang up
  socket.once('finish', () => socket.destroy());
  socket.end(
    `HTTP/1.1 ${status} ${names[status]}\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}
