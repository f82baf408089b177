// A WebSocket that closes: what is given to it then is never sent, and nobody is told that it was.
import { EventEmitter } from 'node:events';
import { Socket } from 'node:net';
import { expect, test } from 'vitest';
import type { WebSocket } from 'ws';
import { WsSocket } from '../../../server/websocket/web-socket.ts';
import { VirtualClock } from '../../support/clock.ts';

/** What WsSocket uses of ws: it answers for what it drops at once, ahead of what is still on its way. */
class Closable extends EventEmitter {
  readonly OPEN = 1;
  readyState = 1;
  readonly underWay: (() => void)[] = [];
  send(_bytes: unknown, sent: () => void): void {
    if (this.readyState === this.OPEN) this.underWay.push(sent);
    else sent();
  }
}

test('a chunk is not given back while an earlier one is on its way to a peer that closes', () => {
  const ws = new Closable();
  const socket = new WsSocket(ws as unknown as WebSocket, new Socket(), new VirtualClock(), 30_000);
  const sent: string[] = [];
  socket.sendBinary(new Uint8Array(1), () => sent.push('first'));
  ws.readyState = 2; // the peer's close frame has come
  socket.sendBinary(new Uint8Array(1), () => sent.push('second'));
  socket.sendText('third', () => sent.push('third'));
  expect(sent).toEqual([]);
  for (const each of ws.underWay) each();
  expect(sent).toEqual(['first']);
});
