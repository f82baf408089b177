// Consuming: qos, consume, cancel, get, recover. Publishing and settling, which every message pays for, are in incoming.ts.
// Always: (1) consume-ok is in the outbox before the first delivery can be; (2) qos with global=false holds for consumers that are started later,
// with global=true for the channel (RabbitMQ's reading, "Consumer Prefetch"). Refuses: prefetch by size, recover without requeue (540, as RabbitMQ).

import type { MethodFields } from '../../../shared/amqp/methods.ts';
import { AmqpError, ReplyCode } from '../../../shared/error.ts';
import type { Channel } from '../channel.ts';
import type { Handlers } from './handlers.ts';

export const basicHandlers = {
  'basic.qos': (channel, { prefetchSize, prefetchCount, global }) => {
    if (prefetchSize !== 0) throw new AmqpError(ReplyCode.NotImplemented, `prefetch_size!=0 (${prefetchSize})`);
    if (global) channel.session.qos(prefetchCount);
    else channel.prefetch = prefetchCount;
    channel.reply('basic.qos-ok', {});
  },
  'basic.consume': (channel, { nowait, ...asked }) => {
    const consumer = channel.session.consume({
      handle: channel.newHandle(),
      queue: asked.queue,
      consumerTag: asked.consumerTag,
      noAck: asked.noAck,
      exclusive: asked.exclusive,
      prefetch: channel.prefetch,
      credit: undefined,
      priority: 0,
      arguments: asked.arguments,
    });
    channel.added(consumer);
    if (!nowait) channel.reply('basic.consume-ok', { consumerTag: consumer.tag });
  },
  'basic.cancel': (channel, { consumerTag, nowait }) => {
    const consumer = channel.consumers.get(consumerTag);
    if (consumer !== undefined) {
      channel.session.cancel(consumer);
      channel.removed(consumer);
    }
    if (!nowait) channel.reply('basic.cancel-ok', { consumerTag });
  },
  'basic.get': (channel, { queue, noAck }) => get(channel, queue, noAck),
  'basic.recover': (channel, fields) => {
    recover(channel, fields);
    channel.reply('basic.recover-ok', {});
  },
  'basic.recover-async': recover,
} satisfies Handlers;

function get(channel: Channel, queue: string, noAck: boolean): void {
  channel.begin();
  try {
    channel.session.get(queue, noAck, (got) => {
      if (got === undefined) channel.reply('basic.get-empty', {});
      else channel.got(got.tag, got.redelivered, got.deliveryCount, got.messageCount, got.bytes, got.start, got.end);
      channel.done();
    });
  } catch (error) {
    channel.done();
    throw error;
  }
}

function recover(channel: Channel, { requeue }: MethodFields<'basic.recover'>): void {
  if (!requeue) throw new AmqpError(ReplyCode.NotImplemented, 'requeue=false');
  channel.session.recover();
}
