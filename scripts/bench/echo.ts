// The yardstick: a bare ws server that sends every message back as it came. Prints its address, lives until it is killed.
// Always: the settings that cost time are those of the broker's listener (no compression, no text decoding).

import { type WebSocket, WebSocketServer } from 'ws';

const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false, skipUTF8Validation: true });
server.on('connection', (socket: WebSocket) => {
  socket.on('message', (bytes: Buffer) => socket.send(bytes, { binary: true }));
});
server.on('listening', () => {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the echo server has no port');
  process.stdout.write(`ws://127.0.0.1:${address.port}\n`);
});
process.on('SIGTERM', () => process.exit(0));
