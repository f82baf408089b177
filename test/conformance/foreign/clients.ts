// All foreign clients, by the name of their row; grouped, for those of a group share a broker and take turns, while groups run side by side.

import { findCommand } from '../../../scripts/system-packages.ts';
import { amqpClient } from './amqp-client.ts';
import { AMQPLIB } from './amqplib.ts';
import { C_TOOLS } from './c-tools.ts';
import { ChromiumDriver } from './chromium.ts';
import { PythonDriver } from './python.ts';
import { RABBITMQ_CLIENT } from './rabbitmq-client.ts';
import { type Driver, driverOf, type Scripts, type Target } from './scenarios.ts';
import { TCP, WEB_SOCKET } from './transports.ts';

export interface Client {
  readonly name: string;
  /** Any of these programs (or files) must be there; empty: npm has installed all of it. */
  readonly needs: readonly string[];
  /** `program` is the path of what it needs. */
  open(target: Target, program: string): Promise<Driver>;
}

const node = (name: string, scripts: Scripts): Client => ({ name, needs: [], open: async (target) => driverOf(scripts, target) });
const python = (name: string, needs: string, script: string): Client => ({
  name,
  needs: [needs],
  open: async (target) => new PythonDriver(script, target),
});
const PACKAGES = '/usr/lib/python3/dist-packages';

export const CLIENTS: Readonly<Record<string, readonly Client[]>> = {
  'of JavaScript': [
    node('amqplib', AMQPLIB),
    node('rabbitmq-client', RABBITMQ_CLIENT),
    node('amqp-client, TCP', amqpClient(TCP)),
    node('amqp-client, WebSocket', amqpClient(WEB_SOCKET)),
    {
      name: 'amqp-client, Chromium',
      needs: ['chromium', 'chromium-browser', 'google-chrome'],
      open: (target, program) => ChromiumDriver.open(program, target),
    },
  ],
  'of Python': [python('pika', `${PACKAGES}/pika`, 'pika_driver.py'), python('kombu', `${PACKAGES}/kombu`, 'kombu_driver.py')],
  'of Celery and C': [
    python('celery', `${PACKAGES}/celery`, 'celery_driver.py'),
    { name: 'amqp-tools (C)', needs: ['amqp-consume'], open: async (target) => driverOf(C_TOOLS, target) },
  ],
};

/** The path of what the client needs; empty where that is nothing, undefined where it is missing. */
export function programOf({ needs }: Client): string | undefined {
  return needs.length === 0 ? '' : findCommand(needs);
}
