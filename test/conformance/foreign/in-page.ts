// What runs in Chromium: the scripts of amqp-client.ts over the browser's WebSocket, called by name from chromium.ts.

import { AMQPSession, AMQPWebSocketClient } from '@cloudamqp/amqp-client/amqp-websocket-client';
import { amqpClient } from './amqp-client.ts';
import type { Scenario, Target } from './scenarios.ts';

type Where = Pick<Target, 'webSocketUrl' | 'patienceMs'>;

declare global {
  interface Window {
    /** chromium.ts does it. */
    askTarget(what: 'restart' | 'kill' | 'relieve'): Promise<void>;
    squeezeTarget(): ReturnType<Target['squeeze']>;
    runScenario(scenario: Scenario, where: Where): Promise<{ note: string; error?: string }>;
  }
}

const scripts = amqpClient({
  client: ({ webSocketUrl }) => new AMQPWebSocketClient(webSocketUrl),
  session: ({ webSocketUrl }, onconnect) =>
    AMQPSession.connect(webSocketUrl, { reconnectInterval: 50, maxReconnectInterval: 200, onconnect }),
});

window.runScenario = async (scenario, where) => {
  const target: Target = {
    ...where,
    amqpUrl: '',
    restart: () => window.askTarget('restart'),
    kill: () => window.askTarget('kill'),
    squeeze: () => window.squeezeTarget(),
    relieve: () => window.askTarget('relieve'),
  };
  try {
    return { note: await scripts[scenario](target) };
  } catch (error) {
    return { note: '', error: error instanceof Error ? error.message : String(error) };
  }
};
