// Routes that are kept: given again for the same names in the same topology, and never otherwise.
// Always: an engine that the test owns.

import { expect, test } from 'vitest';
import { RouteCache } from '../../../server/broker/route-cache.ts';
import { Content, encodeContent } from '../../../shared/content.ts';
import { Engine, type Peer } from '../../support/engine.ts';
import { queueOf } from '../../support/engine-queues.ts';

function contentOf(exchange: string, key: string): Content {
  const run = encodeContent(exchange, key, {}, new Uint8Array(0));
  return new Content().read(run, 0, run.length);
}
function bound(): { engine: Engine; peer: Peer; send: () => void; counts: () => number[] } {
  const engine = new Engine();
  const peer = engine.connect();
  for (const name of ['a', 'b']) engine.declare(peer, name);
  peer.session.bindQueue('a', 'amq.topic', 'k.*', new Map());
  const counts = (): number[] => ['a', 'b'].map((name) => queueOf(engine, name).counts.published);
  return { engine, peer, send: () => engine.publish(peer, 'amq.topic', 'k.1', 'x'), counts };
}

test('a route is given for the exchange, key and topology it was kept for alone', () => {
  const slot = new RouteCache().slotFor(contentOf('ab', 'c'));
  slot.version = 7;
  slot.keep(contentOf('ab', 'c'));
  expect(slot.isFor(contentOf('ab', 'c'), 7)).toBe(true);
  expect(slot.isFor(contentOf('ab', 'c'), 8)).toBe(false);
  expect(slot.isFor(contentOf('a', 'bc'), 7)).toBe(false);
  slot.forget();
  expect(slot.isFor(contentOf('ab', 'c'), 7)).toBe(false);
});

test('names longer than the slot has room for are kept too', () => {
  const slot = new RouteCache().slotFor(contentOf('e', 'k'.repeat(255)));
  slot.version = 1;
  slot.keep(contentOf('e', 'k'.repeat(255)));
  expect(slot.isFor(contentOf('e', 'k'.repeat(255)), 1)).toBe(true);
});

test('a binding made, or taken away, between two publishes counts for the second', () => {
  const { peer, send, counts } = bound();
  send();
  peer.session.bindQueue('b', 'amq.topic', '#', new Map());
  send();
  peer.session.unbindQueue('a', 'amq.topic', 'k.*', new Map());
  send();
  expect(counts()).toEqual([2, 2]);
});

test('a queue that was deleted and declared again gets nothing by its old binding', () => {
  const { engine, peer, send, counts } = bound();
  send();
  peer.session.deleteQueue('a', false, false);
  engine.declare(peer, 'a');
  send();
  expect(counts()).toEqual([0, 0]);
});

test('a publish with CC goes further than the route that was kept for its key, and the next one does not', () => {
  const { engine, peer, send, counts } = bound();
  peer.session.bindQueue('b', 'amq.topic', 'copy', new Map());
  send();
  engine.publish(peer, 'amq.topic', 'k.1', 'x', { headers: new Map([['CC', ['copy']]]) });
  send();
  expect(counts()).toEqual([3, 1]);
});

test('what headers decide is asked anew for each message', () => {
  const engine = new Engine();
  const peer = engine.connect();
  engine.declare(peer, 'a');
  peer.session.bindQueue('a', 'amq.headers', '', new Map([['kind', 'x']]));
  for (const kind of ['x', 'y', 'x']) engine.publish(peer, 'amq.headers', 'k', 'm', { headers: new Map([['kind', kind]]) });
  expect(queueOf(engine, 'a').counts.published).toBe(2);
});
