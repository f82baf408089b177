// AMQP's bytes in Node: TCP, TLS, or WebSocket by `ws`, as the url says. Browsers get transport-browser.ts.
// Always: (1) small writes are not held back; (2) a host that does not answer is given up by the client's connectTimeout, which cuts.

import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { type RawData, WebSocket } from 'ws';
import { RECEIVE_BYTES_MAX } from '../transport.ts';
import { type ByteHandlers, type ByteLink, type ByteTransport, inPieces } from './bytes.ts';
import type { TlsOptions } from './connect.ts';

type NodeTls = Pick<ConnectionOptions, 'ca' | 'cert' | 'key' | 'passphrase' | 'servername' | 'rejectUnauthorized'>;

/** By the url: amqp is TCP, amqps is TLS, ws and wss are WebSocket. */
export function nodeBytes(options: TlsOptions = {}): ByteTransport {
  const tls = nodeTls(options);
  return {
    open(url: string, handlers: ByteHandlers): ByteLink {
      const { protocol, hostname, port } = new URL(url);
      if (protocol.startsWith('ws')) return openWebSocket(url, handlers, tls);
      const host = hostname.replace(/^\[|\]$/g, '') || 'localhost'; // an IPv6 address, which a url has in brackets
      if (protocol === 'amqp:') return linkOf(connectTcp({ host, port: Number(port || 5672) }), 'connect', handlers);
      const name = isIP(host) === 0 ? { servername: host } : {}; // an address is no name to ask for
      return linkOf(connectTls({ host, port: Number(port || 5671), ...name, ...tls }), 'secureConnect', handlers);
    },
  };
}

function linkOf(socket: Socket, ready: 'connect' | 'secureConnect', handlers: ByteHandlers): ByteLink {
  let reason = 'closed by the other side';
  socket.setNoDelay(true);
  socket.on(ready, () => handlers.opened());
  socket.on('data', (chunk: Buffer) => handlers.bytes(chunk));
  socket.on('error', (error) => {
    reason = error.message;
  });
  socket.on('close', () => handlers.closed(reason));
  return {
    send: (bytes) => {
      if (socket.writable) socket.write(bytes);
    },
    end: () => socket.end(),
    cut: () => socket.destroy(),
  };
}

function openWebSocket(url: string, handlers: ByteHandlers, tls: NodeTls): ByteLink {
  const socket = new WebSocket(url, 'amqp', { perMessageDeflate: false, maxPayload: RECEIVE_BYTES_MAX, ...tls });
  let reason = '';
  socket.on('open', () => handlers.opened());
  socket.on('message', (message: RawData, isBinary: boolean) => {
    // binaryType is nodebuffer: always one Buffer. Text means nothing here.
    if (isBinary && message instanceof Uint8Array) handlers.bytes(message);
  });
  socket.on('error', (error) => {
    reason = error.message;
  });
  socket.on('close', (code, bytes) => handlers.closed(`closed by ${code} ${bytes.toString() || reason}`));
  return {
    send: (bytes) => {
      if (socket.readyState === WebSocket.OPEN) inPieces(bytes, (piece) => socket.send(piece, { binary: true }));
    },
    end: () => socket.close(1000),
    cut: () => socket.terminate(),
  };
}

function nodeTls({ ca, cert, key, ...rest }: TlsOptions): NodeTls {
  const pem = (text: string | Uint8Array): string | Buffer => (typeof text === 'string' ? text : Buffer.from(text));
  return {
    ...rest,
    ...(ca === undefined ? {} : { ca: [ca].flat().map(pem) }),
    ...(cert === undefined ? {} : { cert: pem(cert) }),
    ...(key === undefined ? {} : { key: pem(key) }),
  };
}
