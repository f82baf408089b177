// Queue arguments: what is refused, with which words, and what a second declare compares. Texts as RabbitMQ 3.10.8 wrote them.

import { describe, expect } from 'vitest';
import type { JsonObject } from '../../shared/protocol/control.ts';
import { test } from '../support/broker.ts';

describe('validation', () => {
  const invalid = (arg: string, why: string): string => `PRECONDITION_FAILED - invalid arg '${arg}' for queue 'q' in vhost '/': ${why}`;
  const REFUSED: [args: JsonObject, text: string][] = [
    [{ 'x-message-ttl': 'a' }, invalid('x-message-ttl', '"expected integer, got longstr"')],
    [{ 'x-message-ttl': true }, invalid('x-message-ttl', '"expected integer, got bool"')],
    [{ 'x-message-ttl': -1 }, invalid('x-message-ttl', '{value_negative,-1}')],
    [{ 'x-message-ttl': 315_360_000_001 }, invalid('x-message-ttl', '{value_too_large,315360000001}')],
    [{ 'x-expires': 0 }, invalid('x-expires', '{value_zero,0}')],
    [{ 'x-expires': -1 }, invalid('x-expires', '{value_negative,-1}')],
    [{ 'x-expires': 315_360_000_001 }, invalid('x-expires', '{value_too_large,315360000001}')],
    [{ 'x-max-length': -1 }, invalid('x-max-length', '{value_negative,-1}')],
    [{ 'x-max-length': 'a' }, invalid('x-max-length', '"expected integer, got longstr"')],
    [{ 'x-max-length-bytes': -1 }, invalid('x-max-length-bytes', '{value_negative,-1}')],
    [{ 'x-max-priority': -1 }, invalid('x-max-priority', '{value_negative,-1}')],
    [{ 'x-max-priority': 256 }, invalid('x-max-priority', '{max_value_exceeded,256}')],
    [{ 'x-max-priority': 'a' }, invalid('x-max-priority', '"expected integer, got longstr"')],
    [{ 'x-overflow': 'bad' }, invalid('x-overflow', 'invalid_overflow')],
    [{ 'x-overflow': 5 }, invalid('x-overflow', '{unacceptable_type,signedint}')],
    [{ 'x-queue-type': 'bad' }, invalid('x-queue-type', `"unsupported queue type 'bad'"`)],
    [{ 'x-queue-type': 5 }, invalid('x-queue-type', '{unacceptable_type,signedint}')],
    [{ 'x-dead-letter-routing-key': 'k' }, invalid('x-dead-letter-routing-key', 'routing_key_but_no_dlx_defined')],
    [
      { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 5 },
      invalid('x-dead-letter-routing-key', '{unacceptable_type,signedint}'),
    ],
    [
      { 'x-dead-letter-exchange': 5 },
      "PRECONDITION_FAILED - invalid type 'signedint' for arg 'x-dead-letter-exchange' in queue 'q' in vhost '/'",
    ],
    [{ 'x-single-active-consumer': 'yes' }, invalid('x-single-active-consumer', '{unacceptable_type,longstr}')],
  ];

  test('each known argument is checked, refused with 406, and no queue is made', async ({ broker }) => {
    const s = await broker.connect();
    const got: [JsonObject, string][] = [];
    for (const [args] of REFUSED) {
      const error = await s.fails('queue.declare', { queue: 'q', arguments: args });
      expect(error.code).toBe(406);
      got.push([args, error.reason]);
    }
    expect(got).toEqual(REFUSED);
    expect((await s.fails('queue.declare', { queue: 'q', passive: true })).code).toBe(404);
  });

  test('values at the edge of what is allowed are accepted', async ({ broker }) => {
    const s = await broker.connect();
    const accepted: JsonObject[] = [
      { 'x-message-ttl': 0 },
      { 'x-message-ttl': 315_360_000_000 },
      { 'x-expires': 1_000 },
      { 'x-expires': 315_360_000_000 },
      { 'x-max-length': 0 },
      { 'x-max-length-bytes': 0 },
      { 'x-max-priority': 0 },
      { 'x-max-priority': 1 },
      { 'x-max-priority': 255 },
      { 'x-max-priority': { $amqp: 'b', value: 5 } },
      { 'x-overflow': 'drop-head' },
      { 'x-overflow': 'reject-publish' },
      { 'x-overflow': 'reject-publish-dlx' },
      { 'x-dead-letter-exchange': 'does not exist' },
      { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': '' },
      { 'x-single-active-consumer': false },
      { 'x-queue-mode': 'lazy', 'x-queue-version': 2 },
      { 'x-queue-master-locator': 'min-masters', 'x-ha-policy': 'all' },
      { 'x-unheard-of': { deep: [1, 2] } },
    ];
    for (const [i, args] of accepted.entries()) expect(await s.declare(`q${i}`, args)).toBe(`q${i}`);
  });

  // RabbitMQ differs: it refuses an argument of another queue type.
  test('an argument of one queue type is no error on another', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('a', { 'x-delivery-limit': 3, 'x-dead-letter-strategy': 'at-most-once' });
    await s.declare('b', { 'x-queue-type': 'quorum', 'x-max-priority': 5, 'x-overflow': 'reject-publish-dlx' });
  });

  test('a quorum queue is durable and shared', async ({ broker }) => {
    const s = await broker.connect();
    const args = { 'x-queue-type': 'quorum' };
    const transient = await s.fails('queue.declare', { queue: 'q', durable: false, arguments: args });
    expect([transient.code, transient.reason]).toEqual([
      406,
      "PRECONDITION_FAILED - invalid property 'non-durable' for queue 'q' in vhost '/'",
    ]);
    const exclusive = await s.fails('queue.declare', { queue: 'q', exclusive: true, arguments: args });
    expect([exclusive.code, exclusive.reason]).toEqual([
      406,
      "PRECONDITION_FAILED - invalid property 'exclusive-owner' for queue 'q' in vhost '/'",
    ]);
  });
});

describe('equivalence', () => {
  const text = (arg: string, tail: string): string => `PRECONDITION_FAILED - inequivalent arg '${arg}' for queue 'q' in vhost '/': ${tail}`;

  test('durable and auto-delete are compared', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q', {}, { durable: false });
    const durable = await s.fails('queue.declare', { queue: 'q', durable: true });
    expect([durable.code, durable.reason]).toEqual([406, text('durable', "received 'true' but current is 'false'")]);
    const autoDelete = await s.fails('queue.declare', { queue: 'q', durable: false, autoDelete: true });
    expect(autoDelete.reason).toBe(text('auto_delete', "received 'true' but current is 'false'"));
  });

  test('each known argument is compared, present or not', async ({ broker }) => {
    const s = await broker.connect();
    const TABLE: [current: JsonObject, received: JsonObject, tail: string][] = [
      [{ 'x-message-ttl': 1 }, {}, "received none but current is the value '1' of type 'signedint'"],
      [{}, { 'x-message-ttl': 5 }, "received the value '5' of type 'signedint' but current is none"],
      [{ 'x-max-length': 1 }, { 'x-max-length': 2 }, "received '2' but current is '1'"],
      [{ 'x-max-length-bytes': 1 }, { 'x-max-length-bytes': 2 }, "received '2' but current is '1'"],
      [{ 'x-dead-letter-exchange': 'a' }, { 'x-dead-letter-exchange': 'b' }, "received 'b' but current is 'a'"],
      [{ 'x-max-priority': 3 }, { 'x-max-priority': 4 }, "received '4' but current is '3'"],
      [{ 'x-overflow': 'drop-head' }, { 'x-overflow': 'reject-publish' }, "received 'reject-publish' but current is 'drop-head'"],
      [{ 'x-overflow': 'drop-head' }, {}, "received none but current is the value 'drop-head' of type 'longstr'"],
      [{ 'x-single-active-consumer': true }, {}, "received none but current is the value 'true' of type 'bool'"],
      [{}, { 'x-single-active-consumer': false }, "received the value 'false' of type 'bool' but current is none"],
      [{ 'x-expires': 60_000 }, { 'x-expires': 70_000 }, "received '70000' but current is '60000'"],
    ];
    const got: typeof TABLE = [];
    for (const [current, received] of TABLE) {
      await s.declare('q', current);
      const error = await s.fails('queue.declare', { queue: 'q', arguments: received });
      expect(error.code).toBe(406);
      got.push([current, received, error.reason.replace(/^.*in vhost '\/': /, '')]);
      await s.do('queue.delete', { queue: 'q' });
    }
    expect(got).toEqual(TABLE);
  });

  test('the width of an integer does not matter', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q', { 'x-max-length': 5 });
    for (const type of ['b', 's', 'l']) await s.declare('q', { 'x-max-length': { $amqp: type, value: 5 } });
  });

  test('x-queue-type classic is the same as none', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('a', { 'x-queue-type': 'classic' });
    await s.declare('a');
    await s.declare('b');
    await s.declare('b', { 'x-queue-type': 'classic' });
  });

  test('what RabbitMQ ignores is not compared', async ({ broker }) => {
    const s = await broker.connect();
    await s.declare('q', { 'x-custom': 1, 'x-consumer-timeout': 1_000 });
    await s.declare('q', { 'x-custom': 2, 'x-consumer-timeout': 2_000 });
    await s.declare('q');
  });
});
