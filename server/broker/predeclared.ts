// What every vhost has from the start: the default exchange and those of RabbitMQ under amq.
// The default exchange matches taps only: queues are found by their name.
// Always: they are durable, and those named amq.rabbitmq.* internal: nobody publishes to them but the broker. Refuses: to be deleted (vhost.ts).

import { Exchange } from './exchange.ts';

/** Where RabbitMQ's plugin of that name tells of events: in vhost '/' alone. */
export const EVENT_EXCHANGE = 'amq.rabbitmq.event';
export const TRACE_EXCHANGE = 'amq.rabbitmq.trace';

const PREDECLARED: ReadonlyMap<string, string> = new Map([
  ['', 'topic'],
  ['amq.direct', 'direct'],
  ['amq.fanout', 'fanout'],
  ['amq.topic', 'topic'],
  ['amq.headers', 'headers'],
  ['amq.match', 'headers'],
  [TRACE_EXCHANGE, 'topic'],
  [EVENT_EXCHANGE, 'topic'],
]);

/** undefined: there is none of this name in this vhost. */
export function predeclaredType(vhost: string, name: string): string | undefined {
  return name === EVENT_EXCHANGE && vhost !== '/' ? undefined : PREDECLARED.get(name);
}

export function predeclaredExchanges(vhost: string): Exchange[] {
  return [...PREDECLARED.keys()].flatMap((name) => {
    const type = predeclaredType(vhost, name);
    if (type === undefined) return [];
    const options = { type, durable: true, autoDelete: false, internal: name.startsWith('amq.rabbitmq.'), arguments: new Map() };
    return [new Exchange(name, options, vhost)];
  });
}
