// Direct reply-to: to whom a reply goes, and what it may not carry.
// Always: an engine that the test owns.

import { expect, test } from 'vitest';
import { REPLY_TO } from '../../../server/broker/reply-to.ts';
import { Engine, type Peer } from '../../support/engine.ts';
import { bodies } from '../../support/engine-queues.ts';

function asked(): { engine: Engine; requester: Peer; replier: Peer; replyTo: string } {
  const engine = new Engine();
  const [requester, replier] = [engine.connect(), engine.connect()];
  engine.declare(replier, 'work');
  engine.consume(replier, 'work');
  engine.consume(requester, REPLY_TO, { noAck: true });
  engine.publish(requester, '', 'work', 'ask', { replyTo: REPLY_TO });
  engine.time.settle();
  return { engine, requester, replier, replyTo: replier.sink.delivered[0]?.content.replyTo ?? '' };
}

test('a reply reaches the requester alone, from any connection, and counts as routed', () => {
  const { engine, requester, replier, replyTo } = asked();
  expect(replyTo).toMatch(/^amq\.rabbitmq\.reply-to\.[0-9a-f]{32}$/);
  engine.publish(engine.connect(), '', replyTo, 'other');
  engine.publish(replier, '', replyTo, 'answer', {}, true);
  engine.time.settle();
  expect(bodies(requester)).toEqual(['other', 'answer']);
  expect(replier.sink.confirmed.at(-1)?.routed).toBe(1);
  expect(replier.sink.returns).toEqual([]);
});

test('a reply names its own user or none', () => {
  const { engine, requester, replier, replyTo } = asked();
  engine.publish(replier, '', replyTo, 'forged', { userId: 'somebody' });
  engine.publish(replier, '', replyTo, 'honest', { userId: 'guest' });
  engine.time.settle();
  expect(bodies(requester)).toEqual(['honest']);
  expect(replier.sink.refused.map((each) => each.error.code)).toEqual([406]);
});

test('a reply to a requester that is gone, or does not read, is dropped and confirmed', () => {
  const { engine, requester, replier, replyTo } = asked();
  requester.sink.isWritable = false;
  engine.publish(replier, '', replyTo, 'slow');
  requester.session.close();
  engine.publish(replier, '', replyTo, 'gone');
  engine.time.settle();
  expect(bodies(requester)).toEqual([]);
  expect(replier.sink.confirmed.reduce((sum, each) => sum + each.count, 0)).toBe(2);
});

test('a reply consumer does not acknowledge, is one a connection, and is needed for a request', () => {
  const engine = new Engine();
  const peer = engine.connect();
  engine.declare(peer, 'work');
  expect(() => engine.consume(peer, REPLY_TO)).toThrow('reply consumer cannot acknowledge');
  const first = engine.consume(peer, REPLY_TO, { noAck: true });
  expect(() => engine.consume(peer, REPLY_TO, { noAck: true })).toThrow('reply consumer already set');
  peer.session.cancel(first);
  engine.publish(peer, '', 'work', 'ask', { replyTo: REPLY_TO });
  engine.time.settle();
  expect(peer.sink.refused.map((each) => each.error.message)).toEqual(['PRECONDITION_FAILED - fast reply consumer does not exist']);
  engine.consume(peer, REPLY_TO, { noAck: true });
});
