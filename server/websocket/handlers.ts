// The control operations: one handler for each, by name (docs/protocol.md, "Operations").
// Always: (1) a handler gets a request that was checked and completed, and answers exactly once through `reply`, or throws an AmqpError; (2) a
// change of topology is answered when it is durable; (3) a handle is checked before what it stands for is made.
// Refuses: to parse, and to translate errors (requests.ts).

import { encodeContent } from '../../shared/content.ts';
import { AmqpError, ReplyCode } from '../../shared/error.ts';
import { globMatcher } from '../../shared/glob.ts';
import type { Answer, Filled, OperationName } from '../../shared/protocol/control.ts';
import { bodyFromJson, propertiesFromJson, tableFromJson, tableToJson } from '../../shared/protocol/json.ts';
import { Discipline, type Publisher } from '../broker/publisher.ts';
import { sampleQueue } from '../broker/stats.ts';
import { ConsumerHandle, PublisherHandle, StatsHandle, wrongHandle } from './handles.ts';
import type { Peer, PeerContext } from './peer.ts';
import { StatsFeed } from './stats-feed.ts';

/** `hello` is the connection's own. */
export type HandledName = Exclude<OperationName, 'hello'>;

export interface Reply<Name extends OperationName> {
  readonly id: number;
  ok(answer: Answer<Name>): void;
  fail(error: AmqpError): void;
}

export type Handlers = { readonly [Name in HandledName]: (peer: Peer, request: Filled<Name>, reply: Reply<Name>) => void };

// The JSON `publish` has no credit: while memory is short, it is refused.
const blockedHint = 'wait for the `unblocked` event, or publish through a publisher handle, which has credit';

export const handlers: Handlers = {
  ping: (_peer, _request, reply) => reply.ok({}),
  'update-secret': ({ context }, { newSecret }, reply) => {
    context.renew(newSecret, (refusal) => {
      if (refusal === undefined) reply.ok({});
      else reply.fail(refusal);
    });
  },

  'exchange.declare': ({ session }, request, reply) => {
    session.declareExchange({ ...request, arguments: tableFromJson(request.arguments, '/arguments') });
    session.whenDurable(() => reply.ok({ exchange: request.exchange }));
  },
  'exchange.delete': ({ session }, request, reply) => {
    session.deleteExchange(request.exchange, request.ifUnused);
    session.whenDurable(() => reply.ok({}));
  },
  'exchange.bind': ({ session }, request, reply) => {
    session.bindExchange(request.destination, request.source, request.key, tableFromJson(request.arguments, '/arguments'));
    session.whenDurable(() => reply.ok({}));
  },
  'exchange.unbind': ({ session }, request, reply) => {
    session.unbindExchange(request.destination, request.source, request.key, tableFromJson(request.arguments, '/arguments'));
    session.whenDurable(() => reply.ok({}));
  },

  'queue.declare': ({ session }, request, reply) => {
    const declared = session.declareQueue({ ...request, arguments: tableFromJson(request.arguments, '/arguments') });
    session.whenDurable(() => reply.ok({ ...declared }));
  },
  'queue.inspect': ({ session }, request, reply) => {
    const queue = session.inspectQueue(request.queue);
    reply.ok({
      ...sampleQueue(queue),
      durable: queue.durable,
      exclusive: queue.exclusiveOwner !== undefined,
      autoDelete: queue.autoDelete,
      arguments: tableToJson(queue.arguments),
    });
  },
  'queue.bind': ({ session }, request, reply) => {
    session.bindQueue(request.queue, request.exchange, request.key, tableFromJson(request.arguments, '/arguments'));
    session.whenDurable(() => reply.ok({}));
  },
  'queue.unbind': ({ session }, request, reply) => {
    session.unbindQueue(request.queue, request.exchange, request.key, tableFromJson(request.arguments, '/arguments'));
    session.whenDurable(() => reply.ok({}));
  },
  'queue.purge': ({ session }, request, reply) => {
    const messageCount = session.purgeQueue(request.queue);
    session.whenDurable(() => reply.ok({ messageCount }));
  },
  'queue.delete': ({ session }, request, reply) => {
    const messageCount = session.deleteQueue(request.queue, request.ifUnused, request.ifEmpty);
    session.whenDurable(() => reply.ok({ messageCount }));
  },

  'publisher.open': ({ session, context: { handles } }, { handle, confirm }, reply) => {
    handles.checkFree(handle);
    const publisher = session.openPublisher(handle, confirm);
    handles.open(handle, new PublisherHandle(publisher));
    reply.ok({ handle, credit: publisher.credit });
  },
  'publisher.close': ({ session, context: { handles } }, { handle }, reply) => {
    const open = handles.get(handle);
    if (open?.kind !== 'publisher') throw wrongHandle(handle, 'publisher', open);
    session.closePublisher(open.publisher);
    handles.close(handle);
    reply.ok({});
  },
  publish: (peer, request, reply) => {
    if (peer.context.broker.isBlocked) throw new AmqpError(ReplyCode.ResourceError, 'the broker is low on memory', { hint: blockedHint });
    const publisher = jsonPublisher(peer);
    const properties = propertiesFromJson(request.properties);
    const run = encodeContent(request.exchange, request.key, properties, bodyFromJson(request));
    peer.outcomes.set(publisher.nextSeq, {
      requestId: reply.id,
      stored: (routed) => reply.ok({ routed }),
      refused: (error) => reply.fail(error),
    });
    peer.session.publish(publisher, run, 0, run.length, request.mandatory);
  },

  consume: (peer, request, reply) => {
    peer.context.handles.checkFree(request.handle);
    const consumer = peer.session.consume({
      ...request,
      prefetch: prefetchOf(request.prefetch, peer.context.prefetch),
      credit: request.credit,
      arguments: tableFromJson(request.arguments, '/arguments'),
    });
    peer.addConsumer(new ConsumerHandle('consumer', consumer, request.encoding === 'json'));
    // The session names what "" stands for; direct reply-to keeps its name.
    reply.ok({ handle: request.handle, queue: consumer.queueName, consumerTag: consumer.tag });
  },
  'consumer.cancel': (peer, { handle }, reply) => {
    const open = peer.context.handles.get(handle);
    if (open?.kind === 'gone') peer.context.handles.close(handle);
    else if (open?.kind === 'consumer') {
      peer.session.cancel(open.consumer);
      peer.removeConsumer(open.consumer);
    } else throw wrongHandle(handle, 'consumer', open);
    reply.ok({});
  },
  credit: (peer, { handle, messages }, reply) => {
    const open = peer.context.handles.get(handle);
    if (open?.kind === 'consumer') peer.session.grant(open.consumer, messages);
    else if (open?.kind !== 'gone') throw wrongHandle(handle, 'consumer', open);
    reply.ok({});
  },
  qos: ({ session, context }, { prefetch }, reply) => {
    session.qos(prefetch === 0 ? 0 : prefetchOf(prefetch, context.prefetch));
    reply.ok({});
  },
  ack: ({ session }, { tag, multiple }, reply) => {
    session.ack(tag, multiple);
    reply.ok({});
  },
  nack: ({ session }, { tag, multiple, requeue }, reply) => {
    session.nack(tag, multiple, requeue);
    reply.ok({});
  },
  reject: ({ session }, { tag, requeue }, reply) => {
    session.reject(tag, requeue);
    reply.ok({});
  },
  release: ({ session }, { tag, multiple }, reply) => {
    session.release(tag, multiple);
    reply.ok({});
  },
  recover: ({ session }, _request, reply) => {
    session.recover();
    reply.ok({});
  },
  get: (peer, { queue, noAck }, reply) => {
    peer.session.get(queue, noAck, (got) => {
      if (got === undefined) return reply.ok({ message: null });
      const { tag, redelivered, deliveryCount, queueNumber, seq, bytes, start, end, messageCount } = got;
      const message = peer.messageJson(bytes, start, end);
      reply.ok({ message: { tag: noAck ? 0 : tag, redelivered, deliveryCount, id: `${queueNumber}-${seq}`, ...message }, messageCount });
    });
  },

  'tap.open': (peer, request, reply) => {
    const { handle, exchange, key, buffer } = request;
    peer.context.handles.checkFree(handle);
    const tap = peer.session.openTap(handle, exchange, key, tableFromJson(request.arguments, '/arguments'), buffer);
    peer.addConsumer(new ConsumerHandle('tap', tap, request.encoding === 'json'));
    reply.ok({ handle });
  },
  'tap.close': (peer, { handle }, reply) => {
    const open = peer.context.handles.get(handle);
    if (open?.kind === 'gone') peer.context.handles.close(handle);
    else if (open?.kind === 'tap') {
      peer.session.cancel(open.consumer);
      peer.removeConsumer(open.consumer);
    } else throw wrongHandle(handle, 'tap', open);
    reply.ok({});
  },

  stats: ({ session }, { queues }, reply) => reply.ok(session.sample(globMatcher(queues))),
  'stats.open': (peer, { handle, queues, everyMs }, reply) => {
    const { handles, clock } = peer.context;
    handles.checkFree(handle);
    const match = globMatcher(queues);
    const feed = new StatsFeed({
      clock,
      everyMs,
      sample: () => peer.session.sample(match),
      writable: () => peer.writable(),
      send: (sample) => peer.event({ event: 'stats', handle, ...sample }),
    });
    handles.open(handle, new StatsHandle(feed));
    reply.ok({ handle });
  },
  'stats.close': ({ context: { handles } }, { handle }, reply) => {
    const open = handles.get(handle);
    if (open?.kind !== 'stats') throw wrongHandle(handle, 'stats', open);
    open.feed.close();
    handles.close(handle);
    reply.ok({});
  },
};

const jsonPublishers = new WeakMap<Peer, Publisher>();

/** Handle 0, opened when it is first used: a session without it is not told of memory alarms. */
function jsonPublisher(peer: Peer): Publisher {
  let publisher = jsonPublishers.get(peer);
  if (publisher === undefined) {
    publisher = peer.session.openPublisher(0, true, Discipline.Request);
    jsonPublishers.set(peer, publisher);
  }
  return publisher;
}

/** 0 asks for as much as there may be. */
function prefetchOf(asked: number | undefined, { unset, max }: PeerContext['prefetch']): number {
  if (asked === undefined) return unset;
  if (asked <= max) return asked === 0 ? max : asked;
  throw new AmqpError(ReplyCode.PreconditionFailed, `a prefetch of ${asked} is above ${max}`, {
    hint: 'ask for less; the setting limits.prefetch-max decides it',
    path: '/prefetch',
  });
}
