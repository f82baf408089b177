// All foreign clients, by the name of their row.

import { amqpClient } from './amqp-client.ts';
import { AMQPLIB } from './amqplib.ts';
import { PythonDriver } from './python.ts';
import { RABBITMQ_CLIENT } from './rabbitmq-client.ts';
import { type Driver, driverOf, type Target } from './scenarios.ts';
import { TCP, WEB_SOCKET } from './transports.ts';

export const CLIENTS: Readonly<Record<string, (target: Target) => Promise<Driver>>> = {
  amqplib: async (target) => driverOf(AMQPLIB, target),
  'rabbitmq-client': async (target) => driverOf(RABBITMQ_CLIENT, target),
  'amqp-client, TCP': async (target) => driverOf(amqpClient(TCP), target),
  'amqp-client, WebSocket': async (target) => driverOf(amqpClient(WEB_SOCKET), target),
  pika: async (target) => new PythonDriver('pika_driver.py', target),
  kombu: async (target) => new PythonDriver('kombu_driver.py', target),
  celery: async (target) => new PythonDriver('celery_driver.py', target),
};
