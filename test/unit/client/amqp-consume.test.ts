// Reading over AMQP: a channel for each consumer, settling, what the server cancels and closes, gets, requests. On the test's own time.
import { describe, expect, test } from 'vitest';
import type { LeveretError, Message } from '../../../client/src/amqp/index.ts';
import { type FieldValue, Typed } from '../../../shared/amqp/table.ts';
import { FakeAmqp, turns } from './fake-amqp.ts';

async function connected() {
  const server = new FakeAmqp();
  const mq = await server.connect();
  const faults: LeveretError[] = [];
  mq.on('fault', (error) => faults.push(error));
  return { server, mq, faults };
}
const failure = (promise: Promise<unknown>): Promise<LeveretError> =>
  promise.then(
    (value) => Promise.reject(new Error(`resolved with ${JSON.stringify(value)}`)),
    (error: LeveretError) => error,
  );

describe('a message', () => {
  test('has its headers as plain values, whatever their types on the wire', async () => {
    const { server, mq } = await connected();
    const loop = mq.queue('q').consume();
    await turns();
    const headers = new Map<string, FieldValue>([
      ['text', 'ä'],
      ['huge', new Typed('l', 2n ** 60n)],
      ['long', new Typed('L', 5)],
      ['octet', new Typed('B', 200)],
      ['float', new Typed('f', 1.5)],
      ['decimal', new Typed('D', { scale: 2, value: 150 })],
      ['at', new Typed('T', 5)],
      ['raw', new Typed('x', Uint8Array.of(0, 255))],
      ['none', null],
      ['yes', true],
      ['list', [1, new Map([['deep', 2]])]],
    ]);
    server.link.deliver(server.link.consumerOf('q'), 1, 'x', { headers, messageId: 'm', priority: 4, timestamp: 7 });
    const msg = (await loop.next()).value as Message;
    const deep = Object.assign(Object.create(null), { deep: 2 });
    expect({ ...msg.headers }).toEqual({
      text: 'ä',
      huge: 2n ** 60n,
      long: 5,
      octet: 200,
      float: 1.5,
      decimal: 1.5,
      at: new Date(5_000),
      raw: Uint8Array.of(0, 255),
      none: null,
      yes: true,
      list: [1, deep],
    });
    expect([msg.messageId, msg.properties.priority, msg.properties.timestamp, msg.key, msg.exchange]).toEqual(['m', 4, 7, 'q', '']);
    await loop.cancel();
    await mq.close();
  });

  test('counts its attempts by x-delivery-count, and without it says 2 of all that were redelivered', async () => {
    const { server, mq } = await connected();
    const loop = mq.queue('q').consume();
    await turns();
    const channel = server.link.consumerOf('q');
    const counted = (count: FieldValue) => ({ contentType: 'text/plain', headers: new Map([['x-delivery-count', count]]) });
    server.link.deliver(channel, 1, 'a');
    server.link.deliver(channel, 2, 'b', {}, true);
    server.link.deliver(channel, 3, 'c', counted(new Typed('l', 4)), true);
    server.link.deliver(channel, 4, 'd', counted(1), true);
    server.link.deliver(channel, 5, 'e', counted('odd'), true);
    const attempts: [number, boolean][] = [];
    for (let n = 0; n < 5; n++) {
      const msg = (await loop.next()).value as Message;
      attempts.push([msg.attempt, msg.redelivered]);
    }
    expect(attempts).toEqual([
      [1, false],
      [2, true],
      [5, true],
      [2, true],
      [2, true],
    ]);
    await loop.cancel();
    await mq.close();
  });

  test('is put together from its frames, which those of another channel may come between', async () => {
    const { server, mq } = await connected();
    const [a, b] = [mq.queue('a').consume(), mq.queue('b').consume()];
    await turns();
    const { link } = server;
    const frames: Uint8Array[] = [];
    const { bytes } = link;
    link.bytes = (chunk) => frames.push(chunk);
    link.deliver(link.consumerOf('a'), 1, 'x'.repeat(9_000), {}, false, 4_000);
    link.deliver(link.consumerOf('b'), 1, 'y'.repeat(9_000), {}, false, 4_000);
    link.bytes = bytes;
    const cut = frames.map((whole) => Buffer.from(whole));
    const pieces = cut.map((whole) => {
      const ends: Buffer[] = [];
      for (let at = 0; at < whole.length; ) {
        const end = at + whole.readUInt32BE(at + 3) + 8;
        ends.push(whole.subarray(at, end));
        at = end;
      }
      return ends;
    });
    for (let n = 0; n < (pieces[0]?.length ?? 0); n++)
      link.bytes(Buffer.concat([pieces[0]?.[n] ?? Buffer.of(), pieces[1]?.[n] ?? Buffer.of()]));
    expect((await a.next()).value?.body).toBe('x'.repeat(9_000));
    expect((await b.next()).value?.body).toBe('y'.repeat(9_000));
    await Promise.all([a.cancel(), b.cancel()]);
    await mq.close();
  });

  test('above maxMessageBytes is refused, and the connection with it', async () => {
    const server = new FakeAmqp();
    const mq = await server.connect({ maxMessageBytes: 1_000 });
    const loop = mq.queue('q').consume();
    await turns();
    const first = server.link;
    first.deliver(first.consumerOf('q'), 1, 'x'.repeat(2_000), {}, false, 500);
    await turns();
    await server.advance(1_000);
    expect(server.link).not.toBe(first);
    await loop.cancel();
    await mq.close();
  });
});

describe('a consumer', () => {
  test('has a channel and a prefetch of its own; settles of a turn leave in one write', async () => {
    const { server, mq } = await connected();
    const loop = mq.queue('q').consume({ prefetch: 7, priority: 3, exclusive: true, arguments: { 'x-own': 'yes' } });
    const other = mq.queue('r').consume({ noAck: true });
    await turns();
    const { link } = server;
    const [channel, others] = [link.consumerOf('q'), link.consumerOf('r')];
    expect(new Set([channel, others, link.publishChannel]).size).toBe(3);
    expect(link.of('basic.qos').map((said) => [said.channel, said.fields['prefetchCount'], said.fields['global']])).toEqual([
      [channel, 7, false],
    ]);
    expect(link.of('basic.consume')[0]?.fields).toMatchObject({ exclusive: true, noAck: false });
    expect(link.of('basic.consume')[0]?.fields['arguments']).toEqual(
      new Map<string, unknown>([
        ['x-own', 'yes'],
        ['x-priority', 3],
      ]),
    );
    for (let tag = 1; tag <= 5; tag++) link.deliver(channel, tag, tag);
    link.deliver(others, 1, 'auto');
    const messages: Message[] = [];
    for (let n = 0; n < 5; n++) messages.push((await loop.next()).value as Message);
    expect([messages[0]?.ack(), messages[1]?.nack(), messages[2]?.reject(), messages[3]?.nack({ requeue: false })]).not.toContain(false);
    messages[4]?.reject({ requeue: true });
    expect((await other.next()).value?.ack()).toBe(false);
    await turns();
    expect(link.settles()).toEqual([1, 2, 3, 4, 5].map((n) => `${channel} ${['', 'ack', 'nack+', 'reject', 'nack', 'reject+'][n]} ${n}`));
    expect(new Set(link.said.filter(({ name }) => name.endsWith('ack') || name === 'basic.reject').map(({ write }) => write)).size).toBe(1);
    await Promise.all([loop.cancel(), other.cancel()]);
    await mq.close();
  });

  test('that is cancelled gives back what is not settled; its channel closes when all is', async () => {
    const { server, mq } = await connected();
    let finish = (): void => undefined;
    const worker = mq.queue('q').work({ concurrency: 1 }, () => new Promise<void>((resolve) => (finish = resolve)));
    await turns();
    const { link } = server;
    const channel = link.consumerOf('q');
    for (let tag = 1; tag <= 3; tag++) link.deliver(channel, tag, tag);
    await turns();
    const drained = worker.drain();
    await turns();
    expect(link.of('basic.cancel').map(({ channel: on, fields }) => [on, fields['consumerTag']])).toEqual([[channel, 'leveret.2']]);
    expect(link.settles()).toEqual([`${channel} nack+ 2`, `${channel} nack+ 3`]);
    expect(link.of('channel.close')).toEqual([]);
    finish();
    await drained;
    await turns();
    expect(link.settles().at(-1)).toBe(`${channel} ack 1`);
    expect(link.of('channel.close').map(({ channel: on }) => on)).toEqual([channel]);
    const again = mq.queue('q').consume();
    await turns();
    expect(link.consumerOf('q')).toBe(channel); // the number is free again
    await again.cancel();
    await mq.close();
  });

  test('what arrives after the cancel goes back', async () => {
    const { server, mq } = await connected();
    const { link } = server;
    server.answers['basic.cancel'] = ({ consumerTag }, _link, channel) => {
      link.deliver(channel, 5, 'late');
      link.say(channel, 'basic.cancel-ok', { consumerTag: String(consumerTag) });
    };
    const loop = mq.queue('q').consume();
    await turns();
    await loop.cancel();
    await turns();
    expect(link.settles()).toEqual([`${link.consumerOf('q')} nack+ 5`]);
    expect(link.of('channel.close')).toHaveLength(1);
    await mq.close();
  });

  test('that the server refuses, or cancels, ends and says why; what it delivered may still be settled', async () => {
    const { server, mq } = await connected();
    const { link } = server;
    const consume = server.answers['basic.consume'];
    server.answers['basic.consume'] = (_fields, _link, channel) => link.closeChannel(channel, 404, "NOT_FOUND - no queue 'q' in vhost '/'");
    expect(await failure(mq.queue('q').consume().next())).toMatchObject({ code: 'NOT_FOUND', replyCode: 404 });
    server.answers['basic.consume'] = consume ?? (() => undefined);
    const loop = mq.queue('q').consume();
    await turns();
    const channel = link.consumerOf('q');
    link.deliver(channel, 1, 'a');
    const { value } = await loop.next();
    link.say(channel, 'basic.cancel', { consumerTag: 'leveret.2', nowait: true });
    expect(await failure(loop.next())).toMatchObject({ code: 'NOT_FOUND', reason: expect.stringContaining('cancelled by the broker') });
    expect(value?.ack()).toBe(true);
    await turns();
    expect(link.settles()).toEqual([`${channel} ack 1`]);
    expect(link.of('channel.close').at(-1)?.channel).toBe(channel);
    expect(link.of('basic.cancel')).toEqual([]);
    await mq.close();
  });

  test('whose channel the server closes asks again on another, and that is a fault; what it had delivered cannot be settled there', async () => {
    const { server, mq, faults } = await connected();
    const { link } = server;
    const loop = mq.queue('q').consume();
    await turns();
    const channel = link.consumerOf('q');
    link.deliver(channel, 1, 'a');
    const { value } = await loop.next();
    link.closeChannel(channel, 406, 'PRECONDITION_FAILED - delivery acknowledgement on channel 2 timed out');
    await turns();
    expect(faults).toMatchObject([{ code: 'PRECONDITION_FAILED' }]);
    expect(link.of('basic.consume')).toHaveLength(2);
    link.deliver(link.consumerOf('q'), 1, 'a', {}, true);
    value?.ack();
    await turns();
    expect(link.settles()).toEqual([]);
    const again = (await loop.next()).value as Message;
    expect([again.body, again.ack()]).toEqual(['a', true]);
    await turns();
    expect(link.settles()).toEqual([`${link.consumerOf('q')} ack 1`]);
    server.answers['basic.consume'] = (_fields, _link, on) => link.closeChannel(on, 403, "ACCESS_REFUSED - access to queue 'q' refused");
    link.closeChannel(link.consumerOf('q'), 406, 'PRECONDITION_FAILED - timed out');
    expect(await failure(loop.next())).toMatchObject({ reason: expect.stringContaining('ACCESS_REFUSED') });
    await mq.close();
  });

  test('comes back after a reconnect; a message of the lost connection cannot be settled', async () => {
    const { server, mq } = await connected();
    const loop = mq.queue('q').consume({ prefetch: 3 });
    await turns();
    server.link.deliver(server.link.consumerOf('q'), 1, 'a');
    const { value } = await loop.next();
    server.link.tear();
    expect(value?.ack()).toBe(false);
    await server.advance(1_000);
    expect(server.link.of('basic.qos')[0]?.fields).toMatchObject({ prefetchCount: 3 });
    server.link.deliver(server.link.consumerOf('q'), 1, 'a', {}, true);
    expect((await loop.next()).value?.attempt).toBe(2);
    await loop.cancel();
    await mq.close();
  });
});

describe('gets', () => {
  test('have a channel each while unsettled, so that a soft error takes none of them back', async () => {
    const { server, mq } = await connected();
    const { link } = server;
    let tags = 0;
    server.answers['basic.get'] = ({ queue }, _link, channel) => {
      if (queue === 'nowhere') link.closeChannel(channel, 404, "NOT_FOUND - no queue 'nowhere' in vhost '/'");
      else if (queue === 'empty') link.say(channel, 'basic.get-empty', {});
      else link.get(channel, ++tags, `${queue}`);
    };
    const [first, second] = await Promise.all([mq.queue('a').get(), mq.queue('b').get()]);
    expect([first?.body, second?.body, first?.id === second?.id]).toEqual(['a', 'b', false]);
    expect(await failure(mq.queue('nowhere').get())).toMatchObject({ code: 'NOT_FOUND' });
    expect(await mq.queue('empty').get()).toBeUndefined();
    expect([first?.ack(), second?.nack()]).toEqual([true, true]);
    await turns();
    const opened = link.of('channel.open').length;
    const noAck = await mq.queue('c').get({ noAck: true });
    expect([noAck?.body, noAck?.ack()]).toEqual(['c', false]);
    expect(link.of('channel.open')).toHaveLength(opened);
    expect(link.settles()).toHaveLength(2);
    await mq.close();
  });

  test('share channels when many are unsettled; then a soft error is that of its own get, and those behind it are asked again', async () => {
    const { server, mq } = await connected();
    const { link } = server;
    let tags = 0;
    server.answers['basic.get'] = ({ queue }, _link, channel) => {
      if (queue === 'nowhere') link.closeChannel(channel, 404, "NOT_FOUND - no queue 'nowhere' in vhost '/'");
      else link.get(channel, ++tags, 'x');
    };
    const held = await Promise.all(Array.from({ length: 40 }, () => mq.queue('q').get()));
    expect(new Set(link.of('basic.get').map(({ channel }) => channel)).size).toBe(32);
    const refused = failure(mq.queue('nowhere').get());
    const more = Promise.all(Array.from({ length: 40 }, () => mq.queue('q').get()));
    expect(await refused).toMatchObject({ code: 'NOT_FOUND' });
    expect((await more).every((msg) => msg?.body === 'x')).toBe(true);
    expect(held).toHaveLength(40);
    await mq.close();
  });
});

describe('requests', () => {
  test('go on the channel of their reply consumer, and are answered by their correlation id', async () => {
    const { server, mq } = await connected();
    const { link } = server;
    const answers = Promise.all([mq.request('price', 1), mq.request('price', 2)]);
    await turns();
    const channel = link.consumerOf('amq.rabbitmq.reply-to');
    expect(channel).not.toBe(link.publishChannel);
    link.ack(1, false, channel);
    await turns();
    link.ack(2, false, channel);
    await turns();
    const asked = link.of('basic.publish');
    expect(asked.map((said) => [said.channel, said.properties.replyTo])).toEqual([1, 2].map(() => [channel, 'amq.rabbitmq.reply-to']));
    link.deliver(channel, 1, 'two', { correlationId: asked[1]?.properties.correlationId });
    link.deliver(channel, 2, 'one', { correlationId: asked[0]?.properties.correlationId });
    expect(await answers).toEqual(['one', 'two']);
    await mq.close();
  });

  test('that nobody serves are told so, though the server has changed the returned header', async () => {
    const { server, mq } = await connected();
    const { link } = server;
    const nobody = failure(mq.request('nothing', 1));
    await turns();
    const [asked] = link.of('basic.publish');
    if (asked) link.giveBack(asked, 312, 'NO_ROUTE', { ...asked.properties, replyTo: 'amq.rabbitmq.reply-to.g1h2' });
    link.ack(1, false, link.consumerOf('amq.rabbitmq.reply-to'));
    expect(await nobody).toMatchObject({ code: 'NOBODY_ANSWERS' });
    await mq.close();
  });

  test('are all refused when their channel closes, and other publishes are not; the next has a new one', async () => {
    const { server, mq } = await connected();
    const { link } = server;
    const taken = failure(mq.request('price', 1));
    await turns();
    const channel = link.consumerOf('amq.rabbitmq.reply-to');
    link.ack(1, false, channel);
    await turns();
    const sent = failure(mq.request('price', 2));
    const other = mq.queue('q').publish('x');
    await turns();
    link.closeChannel(channel, 403, "ACCESS_REFUSED - access to queue 'price' refused");
    expect(await taken).toMatchObject({ code: 'NOT_FOUND', reason: expect.stringContaining('ACCESS_REFUSED') });
    expect((await sent).reason).toContain('ACCESS_REFUSED');
    link.ack(1);
    await other;
    const next = mq.request('price', 3);
    await turns();
    const opened = link.consumerOf('amq.rabbitmq.reply-to');
    link.ack(1, false, opened);
    link.deliver(opened, 1, 'three', { correlationId: link.of('basic.publish').at(-1)?.properties.correlationId });
    expect(await next).toBe('three');
    await mq.close();
  });

  test('whose reply consumer is refused fail; taken ones fail with a lost connection', async () => {
    const { server, mq } = await connected();
    const consume = server.answers['basic.consume'];
    server.answers['basic.consume'] = (_fields, link, channel) => link.closeChannel(channel, 403, 'ACCESS_REFUSED - no');
    expect((await failure(mq.request('price', 1))).reason).toContain('ACCESS_REFUSED');
    server.answers['basic.consume'] = consume ?? (() => undefined);
    const taken = failure(mq.request('price', 2));
    await turns();
    server.link.ack(1, false, server.link.consumerOf('amq.rabbitmq.reply-to'));
    await turns();
    server.link.tear();
    expect(await taken).toMatchObject({ code: 'DISCONNECTED' });
    await server.advance(1_000);
    await mq.close();
  });
});
