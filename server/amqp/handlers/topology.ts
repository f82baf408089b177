// Exchanges and queues: declare, delete, bind, unbind, purge.
// Always: each is answered when what it changed is durable, in the order in which they came. Refuses: rules of its own; the vhost has them.

import type { Handlers } from './handlers.ts';

export const topologyHandlers = {
  'exchange.declare': (channel, { nowait, ...declaration }) => {
    channel.session.declareExchange(declaration);
    channel.confirmed(nowait, 'exchange.declare-ok', {});
  },
  'exchange.delete': (channel, { exchange, ifUnused, nowait }) => {
    channel.session.deleteExchange(exchange, ifUnused);
    channel.confirmed(nowait, 'exchange.delete-ok', {});
  },
  'exchange.bind': (channel, { destination, source, routingKey, nowait, arguments: args }) => {
    channel.session.bindExchange(destination, source, routingKey, args);
    channel.confirmed(nowait, 'exchange.bind-ok', {});
  },
  'exchange.unbind': (channel, { destination, source, routingKey, nowait, arguments: args }) => {
    channel.session.unbindExchange(destination, source, routingKey, args);
    channel.confirmed(nowait, 'exchange.unbind-ok', {});
  },

  'queue.declare': (channel, { nowait, ...declaration }) => {
    const declared = channel.session.declareQueue(declaration);
    channel.confirmed(nowait, 'queue.declare-ok', declared);
  },
  'queue.bind': (channel, { queue, exchange, routingKey, nowait, arguments: args }) => {
    channel.session.bindQueue(queue, exchange, routingKey, args);
    channel.confirmed(nowait, 'queue.bind-ok', {});
  },
  'queue.unbind': (channel, { queue, exchange, routingKey, arguments: args }) => {
    channel.session.unbindQueue(queue, exchange, routingKey, args);
    channel.confirmed(false, 'queue.unbind-ok', {});
  },
  'queue.purge': (channel, { queue, nowait }) => {
    const messageCount = channel.session.purgeQueue(queue);
    channel.confirmed(nowait, 'queue.purge-ok', { messageCount });
  },
  'queue.delete': (channel, { queue, ifUnused, ifEmpty, nowait }) => {
    const messageCount = channel.session.deleteQueue(queue, ifUnused, ifEmpty);
    channel.confirmed(nowait, 'queue.delete-ok', { messageCount });
  },
} satisfies Handlers;
