// The two transports that @cloudamqp/amqp-client has in Node. Node 20 has no WebSocket of its own: its users give it the one of ws.

import { AMQPClient, AMQPSession, AMQPWebSocketClient } from '@cloudamqp/amqp-client';
import { WebSocket } from 'ws';
import type { Transport } from './amqp-client.ts';

const RECOVERY = { reconnectInterval: 50, maxReconnectInterval: 200 };

export const TCP: Transport = {
  client: ({ amqpUrl }) => new AMQPClient(amqpUrl),
  session: ({ amqpUrl }, onconnect) => AMQPSession.connect(amqpUrl, { ...RECOVERY, onconnect }),
};

export const WEB_SOCKET: Transport = {
  client({ webSocketUrl }) {
    haveWebSocket();
    return new AMQPWebSocketClient(webSocketUrl);
  },
  session({ webSocketUrl }, onconnect) {
    haveWebSocket();
    return AMQPSession.connect(webSocketUrl, { ...RECOVERY, onconnect });
  },
};

function haveWebSocket(): void {
  if (!('WebSocket' in globalThis)) Object.assign(globalThis, { WebSocket });
}
