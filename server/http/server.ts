// One HTTP port, plain or TLS: `/ws` becomes a WebSocket, `/` says what this is; health and metrics are pages that compose gives.
// Always: (1) a malformed or slow request ends that socket alone; (2) `close` leaves no socket open; (3) over TLS every answer carries HSTS.
// (4) how many may connect, sockets.ts knows: one too many sees no more than the pages. Refuses: everything else with 404. What is under /api and /v1 is the API's (api.ts).

import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import { type AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TlsOptions } from 'node:tls';
import type { Admissions } from '../broker/admissions.ts';
import type { Clock, Turns } from '../ports.ts';
import { Sockets } from './sockets.ts';

const CHECK_MS = 1000; // Node looks every 30 s for what is too slow, which makes 40 s of 10
const HEADER_BYTES_MAX = 16_384;
const HSTS = 'max-age=31536000'; // a year: browsers come back with TLS alone
const ABOUT =
  'Leveret, a message broker. Clients connect at /ws with the WebSocket subprotocol leveret.v1; /health tells whether it runs; /metrics measures it; /api manages it.\n';

export interface HttpOptions {
  readonly upgrade: Upgrade;
  readonly clock: Clock;
  /** Makes what answers under /api and /v1, and answers the same again; where there is none, /api is not there. */
  readonly api?: () => Promise<ApiListener>;
  /** What else there is to see. */
  readonly pages?: Pages;
  /** For a whole request, the headers of one, and before the first. */
  readonly requestMsMax: number;
  /** Who may connect; undefined: any number. */
  readonly admissions?: Admissions;
  readonly isLoopback?: (address: string) => boolean;
  readonly tlsHandshakeMsMax: number;
  /** Certificate and key; with them it speaks HTTPS. */
  readonly tls?: TlsOptions;
}

/** Answers a request under /api and /v1, and tells when whoever asks has logged in. */
export type ApiListener = (request: IncomingMessage, response: ServerResponse, loggedIn: () => void) => void;
/** What a path shows to whoever asks. */
export interface Page {
  readonly status: number;
  readonly contentType: string;
  /** Others have their turn between two of them. A piece stands until the next is asked for. */
  readonly pieces: Iterable<string | Uint8Array>;
}
export interface Pages {
  /** Undefined: there is no such page. */
  answer(path: string, query: URLSearchParams): Page | undefined;
  readonly turns: Turns;
}
export type Upgrade = (request: IncomingMessage, socket: Socket, head: Buffer) => void;

export class HttpServer {
  readonly #server: Server;
  readonly #tlsServer: TlsServer | undefined;
  readonly #clock: Clock;
  readonly #sockets: Sockets;
  #hasEnded = false;

  constructor({ upgrade, clock, api, pages, requestMsMax, tlsHandshakeMsMax, tls, admissions, isLoopback }: HttpOptions) {
    this.#clock = clock;
    this.#sockets = new Sockets({ clock, silentMsMax: requestMsMax, admissions, isLoopback });
    const options = {
      maxHeaderSize: HEADER_BYTES_MAX,
      headersTimeout: requestMsMax,
      requestTimeout: requestMsMax,
      connectionsCheckingInterval: CHECK_MS,
      noDelay: true,
    };
    const serve: RequestListener = (request, response) => {
      const place = this.#sockets.of(request.socket);
      place?.heard();
      if (place?.refusal !== undefined) response.setHeader('connection', 'close');
      if (api === undefined || !/^\/(api|v1)\//.test(pathOf(request))) answer(request, response, pages);
      else if (place?.refusal !== undefined) send(response, 503, `${place.refusal}\n`, { 'retry-after': '1' });
      else void api().then((listener) => listener(request, response, () => place?.opened()));
    };
    this.#tlsServer = tls && createTlsServer({ ...options, ...tls, handshakeTimeout: tlsHandshakeMsMax }, overTls(serve));
    this.#server = this.#tlsServer ?? createServer(options, serve);
    this.#server.on('tlsClientError', (_error: Error, socket: Duplex) => socket.destroy());
    this.#server.once('close', () => {
      this.#hasEnded = true;
    });
    this.#server.on('connection', (socket) => this.#sockets.add(socket));
    this.#server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      if (socket instanceof Socket) this.#sockets.of(socket)?.left();
      if (!(socket instanceof Socket)) socket.destroy();
      else if (pathOf(request) === '/ws') upgrade(request, socket, head);
      else refuseUpgrade(socket);
    });
    // An accept that fails (no file descriptors left) costs that connection alone.
    this.#server.on('error', () => undefined);
  }

  /** Answers where it listens. Rejects with Node's error: EADDRINUSE, EACCES, EADDRNOTAVAIL. */
  listen(host: string, port: number): Promise<{ host: string; port: number }> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host, port }, () => {
        this.#server.off('error', reject);
        const address: AddressInfo | string | null = this.#server.address();
        resolve(typeof address === 'object' && address !== null ? { host: address.address, port: address.port } : { host, port });
      });
    });
  }

  /** For connections from now on; who is asked for a certificate stays as it is. */
  setTls(tls: TlsOptions): void {
    this.#tlsServer?.setSecureContext(tls);
  }

  /** Takes no more connections. */
  stopListening(): void {
    if (this.#server.listening) this.#server.close();
  }

  /** Ends what is still open, after `graceMs` at the latest. */
  async close(graceMs: number): Promise<void> {
    const gone = [...this.#sockets.open].map((socket) => new Promise<void>((resolve) => socket.once('close', () => resolve())));
    if (!this.#hasEnded) gone.push(new Promise((resolve) => this.#server.once('close', () => resolve())));
    this.stopListening();
    this.#server.closeIdleConnections();
    const cut = this.#clock.setTimer(this.#clock.now() + graceMs, () => {
      for (const socket of this.#sockets.open) socket.destroy();
    });
    await Promise.all(gone);
    cut.cancel();
  }
}

function overTls(listener: RequestListener): RequestListener {
  return (request, response) => {
    response.setHeader('strict-transport-security', HSTS);
    listener(request, response);
  };
}

/** Node has let go of a socket that asks for an upgrade: its errors are ours, and nobody waits for the peer to hang up. */
function refuseUpgrade(socket: Socket): void {
  socket.on('error', () => socket.destroy());
  socket.once('finish', () => socket.destroy());
  socket.end('HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
}

function pathOf(request: IncomingMessage): string {
  return (request.url ?? '/').replace(/[?#].*$/, '');
}

function answer(request: IncomingMessage, response: ServerResponse, pages: Pages | undefined): void {
  const path = pathOf(request);
  const isRead = request.method === 'GET' || request.method === 'HEAD';
  const page = isRead ? pages?.answer(path, new URLSearchParams((request.url ?? '').split('?')[1])) : undefined;
  if (page !== undefined && pages !== undefined) show(response, page, request.method === 'HEAD', pages.turns);
  else if (path === '/' && isRead) send(response, 200, ABOUT);
  else if (path === '/ws')
    send(response, 426, 'this is a WebSocket: ask for an upgrade, with the subprotocol leveret.v1\n', { upgrade: 'websocket' });
  else send(response, isRead ? 404 : 405, isRead ? 'not found\n' : 'method not allowed\n');
}

/** Piece by piece: a page of thousands of queues must not hold up their messages. */
function show(response: ServerResponse, { status, contentType, pieces }: Page, isHead: boolean, turns: Turns): void {
  response.writeHead(status, { 'content-type': contentType, 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' });
  const rest = isHead ? [][Symbol.iterator]() : pieces[Symbol.iterator]();
  const written = (): void => turns.defer(next);
  const next = (): void => {
    if (response.destroyed) return;
    const { done, value } = rest.next();
    if (done === true) response.end();
    else if (value.length === 0) written();
    else response.write(value, written);
  };
  next();
}

function send(response: ServerResponse, status: number, text: string, headers: Record<string, string> = {}): void {
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', 'content-length': Buffer.byteLength(text), ...headers });
  response.end(text);
}
