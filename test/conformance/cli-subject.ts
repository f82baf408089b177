// The brokers that the command line's verbs over the HTTP API are run against.
// Always: a subject is a fresh broker with its well-known guest. Refuses: to know any verb.

import { RabbitMq } from '../../scripts/rabbitmq.ts';
import { startBuiltBroker } from '../support/built-broker.ts';

export interface Running {
  /** For --url. */
  readonly url: string;
  /** With guest. */
  readonly amqpUrl: string;
  stop(): Promise<void>;
}
export interface CliSubject {
  readonly name: string;
  start(): Promise<Running>;
}

const rabbitMq: CliSubject = {
  name: 'RabbitMQ',
  async start() {
    const broker = await RabbitMq.start({ plugins: ['rabbitmq_management'] });
    return { url: `http://guest:guest@127.0.0.1:${broker.managementPort}`, amqpUrl: broker.url, stop: () => broker.stop() };
  },
};

const leveret: CliSubject = {
  name: 'Leveret',
  async start() {
    const { url, amqpUrl, stop } = await startBuiltBroker();
    return { url, amqpUrl, stop };
  },
};

export const SUBJECTS: readonly CliSubject[] = [rabbitMq, leveret];
