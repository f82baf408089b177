// What every vhost has from the start: the default exchange and those of RabbitMQ under amq.
// The default exchange matches taps only: queues are found by their name.

import { Exchange } from './exchange.ts';

const PREDECLARED: readonly (readonly [name: string, type: string])[] = [
  ['', 'topic'],
  ['amq.direct', 'direct'],
  ['amq.fanout', 'fanout'],
  ['amq.topic', 'topic'],
  ['amq.headers', 'headers'],
  ['amq.match', 'headers'],
  ['amq.rabbitmq.trace', 'topic'],
];

export function predeclaredExchanges(vhost: string): Exchange[] {
  return PREDECLARED.map(([name, type]) => {
    const options = { type, durable: true, autoDelete: false, internal: name === 'amq.rabbitmq.trace', arguments: new Map() };
    return new Exchange(name, options, vhost);
  });
}
