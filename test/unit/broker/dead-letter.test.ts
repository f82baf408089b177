// Dead letters whose content is odd: whatever a publisher may store, its death is told without a throw, and what was not asked about stays as sent.
// Always: an engine and a clock that the test owns.

import { expect, test } from 'vitest';
import { type Content, PropertyFlag, spliceContent } from '../../../shared/content.ts';
import { encodeUtf8 } from '../../../shared/text.ts';
import { Engine, type Peer } from '../../support/engine.ts';
import { bodies, queueOf } from '../../support/engine-queues.ts';

function dying(key = 'dead'): { engine: Engine; peer: Peer } {
  const engine = new Engine();
  const peer = engine.connect();
  engine.declare(peer, 'dead');
  engine.declare(peer, 'q', [
    ['x-dead-letter-exchange', ''],
    ['x-dead-letter-routing-key', key],
  ]);
  engine.consume(peer, 'q');
  engine.consume(peer, 'dead', { handle: 3 });
  return { engine, peer };
}
/** A content header with these property flags and property bytes, and a body of 1. */
function header(flags: number, properties: number[]): Uint8Array {
  return Uint8Array.from([0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, flags >> 8, flags & 0xff, ...properties]);
}
function sendRun(peer: Peer, run: Uint8Array): void {
  peer.session.publish(peer.publisher, run, 0, run.length, false);
}
function reject({ engine, peer }: { engine: Engine; peer: Peer }): Content | undefined {
  engine.time.settle();
  peer.session.reject(1, false);
  engine.time.settle();
  return peer.sink.delivered[1]?.content;
}

test('a timestamp beyond 2^53 dies as any other, and stays as it was sent', () => {
  const run = spliceContent('', 'q', header(PropertyFlag.Timestamp, [255, 255, 255, 255, 255, 255, 255, 255]), encodeUtf8('x'));
  const it = dying();
  sendRun(it.peer, run);
  const dead = reject(it);
  expect(dead?.headers?.get('x-first-death-reason')).toBe('rejected');
  expect([...(dead?.bytes.subarray(dead.headersEnd, dead.bodyStart) ?? [])]).toEqual([255, 255, 255, 255, 255, 255, 255, 255]);
});

test('properties that are not UTF-8 stay as they were sent', () => {
  const text = [255, ...new Array<number>(255).fill(0xfe)];
  const run = spliceContent('', 'q', header(PropertyFlag.ContentType | PropertyFlag.AppId, [...text, ...text]), encodeUtf8('x'));
  const it = dying();
  sendRun(it.peer, run);
  const dead = reject(it);
  expect([...(dead?.bytes.subarray(dead.propertiesStart, dead.headersStart) ?? [])]).toEqual(text);
  expect([...(dead?.bytes.subarray(dead.headersEnd, dead.bodyStart) ?? [])]).toEqual(text);
});

test('headers so large that no history fits beside them are kept, and the message is not lost', () => {
  const headers = new Map([['big', 'x'.repeat(65_500)]]);
  const it = dying();
  it.engine.publish(it.peer, '', 'q', 'x', { headers });
  expect(reject(it)?.headers?.get('big')).toBe('x'.repeat(65_500));
  expect(queueOf(it.engine, 'q').counts.deadLettered).toBe(1);
});

test('a history that does not fit loses its oldest entries', () => {
  const headers = new Map([['big', 'x'.repeat(64_600)]]);
  const engine = new Engine();
  const peer = engine.connect();
  const names = ['q0', 'q1', 'q2', 'q3', 'q4', 'q5'];
  names.forEach((name, i) => {
    engine.declare(peer, name, [
      ['x-dead-letter-exchange', ''],
      ['x-dead-letter-routing-key', names[i + 1] ?? 'end'],
    ]);
    engine.consume(peer, name);
  });
  engine.declare(peer, 'end');
  engine.consume(peer, 'end');
  engine.publish(peer, '', 'q0', 'x', { headers });
  for (let tag = 1; tag <= names.length; tag++) {
    engine.time.settle();
    peer.session.reject(tag, false);
  }
  engine.time.settle();
  const last = peer.sink.delivered.at(-1)?.content.headers;
  expect(last?.get('big')).toBe(headers.get('big'));
  expect(last?.get('x-last-death-queue')).toBe('q5');
});

test('a dead-letter routing key above 255 bytes is refused when the queue is declared', () => {
  const engine = new Engine();
  const peer = engine.connect();
  const declare = (key: string) => () =>
    engine.declare(peer, 'q', [
      ['x-dead-letter-exchange', ''],
      ['x-dead-letter-routing-key', key],
    ]);
  expect(declare('k'.repeat(256))).toThrow('PRECONDITION_FAILED');
  expect(declare('k'.repeat(255))).not.toThrow();
});

test('everything but expiration stays byte for byte, and original-expiration tells that', () => {
  const it = dying();
  const properties = {
    contentType: 'text/plain',
    contentEncoding: 'gzip',
    headers: new Map([['a', 'b']]),
    deliveryMode: 2,
    priority: 3,
    correlationId: 'c',
    replyTo: 'r',
    expiration: '60000',
    messageId: 'm',
    timestamp: 7,
    type: 't',
    userId: 'guest',
    appId: 'a',
    clusterId: 'l',
  };
  it.engine.publish(it.peer, '', 'q', 'body', properties);
  const dead = reject(it);
  const { headers, expiration, ...others } = dead?.properties ?? {};
  const { headers: _headers, expiration: _expiration, ...sent } = properties;
  expect(others).toEqual(sent);
  expect(expiration).toBeUndefined();
  expect(headers?.get('a')).toBe('b');
  const deaths = headers?.get('x-death');
  expect(Array.isArray(deaths) && deaths[0] instanceof Map && deaths[0].get('original-expiration')).toBe('60000');
  expect(bodies(it.peer)).toEqual(['body', 'body']);
});

test('dead letters of a queue that is deleted while one is being read are gone with it', () => {
  const engine = new Engine({ deferReads: true });
  const peer = engine.connect();
  engine.declare(peer, 'dead');
  engine.declare(peer, 'q', [
    ['x-dead-letter-exchange', ''],
    ['x-dead-letter-routing-key', 'dead'],
  ]);
  for (const body of ['a', 'b']) engine.publish(peer, '', 'q', body, { expiration: '10' });
  engine.time.settle();
  const idle = engine.log.memoryBytes;
  engine.time.advance(9);
  peer.session.purgeQueue('dead');
  engine.time.advance(1);
  peer.session.deleteQueue('q', false, false);
  engine.time.settle();
  expect(engine.log.memoryBytes).toBeLessThanOrEqual(idle);
});
