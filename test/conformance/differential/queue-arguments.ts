// Situations: each x-argument of a queue with each wrong value, and each kind of disagreement.

import { type FieldValue, Typed } from '../../../shared/amqp/table.ts';
import { type Play, type Situation, situations, table } from './stage.ts';

type Args = Readonly<Record<string, FieldValue>>;
const FAR: Args = { 'x-dead-letter-exchange': 'dlx' };

/** A declaration that is refused, or taken. */
function declared(args: Args, fields: { durable?: boolean; exclusive?: boolean; autoDelete?: boolean } = {}): Play {
  return (s) => s.probe('queue.declare', { queue: s.name('q'), arguments: table(args), ...fields });
}

/** Two declarations of one queue. */
function redeclared(first: Args, second: Args): Play {
  return async (s) => {
    const ch = await s.channel();
    await ch.declare(s.name('q'), first);
    await ch.declare(s.name('q'), second);
  };
}

const int = (type: Typed['type'], value: number | bigint): Typed => new Typed(type, value);
const INTEGERS = ['x-message-ttl', 'x-expires', 'x-max-length', 'x-max-length-bytes', 'x-max-priority'];
const STRINGS: Readonly<Record<string, Args>> = {
  'x-dead-letter-exchange': {},
  'x-dead-letter-routing-key': FAR,
  'x-overflow': {},
  'x-queue-type': {},
  'x-queue-mode': {},
};
const WRONG_FOR_INTEGER: Readonly<Record<string, FieldValue>> = {
  'a string': '5',
  'a double': 1.5,
  'a whole double': int('d', 5),
  'a float': int('f', 5),
  'a boolean': true,
  'a list': [5],
  'a table': table({ a: 1 }),
  void: null,
  'a timestamp': int('T', 5),
  bytes: new Typed('x', Buffer.from('5')),
  'a negative number': -1,
  zero: 0,
};
const WRONG_FOR_STRING: Readonly<Record<string, FieldValue>> = {
  'a number': 5,
  'a boolean': true,
  void: null,
  bytes: new Typed('x', Buffer.from('classic')),
  'an empty string': '',
  'an unknown word': 'nosuch',
};
const WRONG_FOR_BOOLEAN: Readonly<Record<string, FieldValue>> = { 'a number': 1, 'a string': 'true', void: null };

/** Every argument of a list with every value of another, each a situation. */
function each(args: Readonly<Record<string, Args>>, values: Readonly<Record<string, FieldValue>>): Situation[] {
  return Object.entries(args).flatMap(([argument, more]) =>
    situations(
      Object.fromEntries(
        Object.entries(values).map(([what, value]) => [`${argument} with ${what}`, declared({ ...more, [argument]: value })]),
      ),
    ),
  );
}
const integers = each(Object.fromEntries(INTEGERS.map((argument) => [argument, {}])), WRONG_FOR_INTEGER);

/** Values of which no two agree, and those of other widths that do. */
const PAIRS: Readonly<Record<string, readonly [Args, Args]>> = {
  'x-message-ttl': [{ 'x-message-ttl': 1000 }, { 'x-message-ttl': 2000 }],
  'x-expires': [{ 'x-expires': 100_000 }, { 'x-expires': 200_000 }],
  'x-max-length': [{ 'x-max-length': 1 }, { 'x-max-length': 2 }],
  'x-max-length-bytes': [{ 'x-max-length-bytes': 1 }, { 'x-max-length-bytes': 2 }],
  'x-max-priority': [{ 'x-max-priority': 1 }, { 'x-max-priority': 2 }],
  'x-dead-letter-exchange': [{ 'x-dead-letter-exchange': 'a' }, { 'x-dead-letter-exchange': 'b' }],
  'x-dead-letter-routing-key': [
    { ...FAR, 'x-dead-letter-routing-key': 'a' },
    { ...FAR, 'x-dead-letter-routing-key': 'b' },
  ],
  'x-overflow': [{ 'x-overflow': 'drop-head' }, { 'x-overflow': 'reject-publish' }],
  'x-single-active-consumer': [{ 'x-single-active-consumer': true }, { 'x-single-active-consumer': false }],
};
const disagreeing = Object.entries(PAIRS).flatMap(([argument, [first, second]]) => {
  const without = Object.fromEntries(Object.entries(first).filter(([name]) => name !== argument));
  return situations({
    [`${argument} of another value`]: redeclared(first, second),
    [`${argument} that was not there`]: redeclared(without, first),
    [`${argument} that is not there any more`]: redeclared(first, without),
  });
});

export const queueArguments: readonly Situation[] = [
  ...integers,
  ...each(STRINGS, WRONG_FOR_STRING),
  ...each({ 'x-single-active-consumer': {} }, WRONG_FOR_BOOLEAN),
  ...disagreeing,
  ...situations({
    'x-message-ttl of ten years': declared({ 'x-message-ttl': 315_360_000_000 }),
    'x-message-ttl of more than ten years': declared({ 'x-message-ttl': 315_360_000_001 }),
    'x-expires of more than ten years': declared({ 'x-expires': 315_360_000_001 }),
    'x-max-length of 2^40': declared({ 'x-max-length': 2 ** 40 }),
    'x-max-priority of 255': declared({ 'x-max-priority': 255 }),
    'x-max-priority of 256': declared({ 'x-max-priority': 256 }),
    'an x-argument of each width of integer': async (s) => {
      for (const type of ['b', 'B', 's', 'u', 'I', 'i', 'l', 'L'] as const) {
        await s.probe('queue.declare', { queue: s.name(`q-${type}`), arguments: table({ 'x-max-length': int(type, 5) }) });
      }
    },
    'an x-argument of another width of integer is the same': async (s) => {
      const ch = await s.channel();
      await ch.declare(s.name('q'), { 'x-max-length': 5 });
      for (const type of ['b', 's', 'l', 'i'] as const) await ch.declare(s.name('q'), { 'x-max-length': int(type, 5) });
    },
    'an x-argument of another type that says the same': redeclared(
      { 'x-overflow': 'drop-head' },
      { 'x-overflow': new Typed('x', Buffer.from('drop-head')) },
    ),
    'x-dead-letter-routing-key without x-dead-letter-exchange': declared({ 'x-dead-letter-routing-key': 'k' }),
    'x-overflow of each known value': async (s) => {
      for (const overflow of ['drop-head', 'reject-publish', 'reject-publish-dlx']) {
        await s.probe('queue.declare', { queue: s.name(overflow), arguments: table({ 'x-overflow': overflow }) });
      }
    },
    'x-queue-mode of each known value': async (s) => {
      for (const mode of ['default', 'lazy'])
        await s.probe('queue.declare', { queue: s.name(mode), arguments: table({ 'x-queue-mode': mode }) });
    },
    'x-queue-mode of another value than before': redeclared({ 'x-queue-mode': 'lazy' }, { 'x-queue-mode': 'default' }),
    'x-queue-version of each known value': async (s) => {
      for (const version of [1, 2])
        await s.probe('queue.declare', { queue: s.name(`v${version}`), arguments: table({ 'x-queue-version': version }) });
    },
    'x-queue-type classic is what an absent one means': redeclared({ 'x-queue-type': 'classic' }, {}),
    'x-queue-type classic where there was none': redeclared({}, { 'x-queue-type': 'classic' }),
    'x-queue-type quorum where there was none': async (s) => {
      const ch = await s.channel();
      await ch.declare(s.name('q'), {}, { durable: true });
      await ch.declare(s.name('q'), { 'x-queue-type': 'quorum' }, { durable: true });
    },
    'x-queue-type quorum of a queue that is not durable': declared({ 'x-queue-type': 'quorum' }),
    'x-queue-type quorum of an exclusive queue': declared({ 'x-queue-type': 'quorum' }, { durable: true, exclusive: true }),
    'x-queue-type quorum of an auto-delete queue': declared({ 'x-queue-type': 'quorum' }, { durable: true, autoDelete: true }),
    'x-queue-type quorum with x-max-priority': declared({ 'x-queue-type': 'quorum', 'x-max-priority': 5 }, { durable: true }),
    'x-queue-type quorum with x-overflow reject-publish-dlx': declared(
      { 'x-queue-type': 'quorum', 'x-overflow': 'reject-publish-dlx' },
      { durable: true },
    ),
    'x-queue-type quorum, published and got': async (s) => {
      const ch = await s.channel();
      await ch.declare(s.name('q'), { 'x-queue-type': 'quorum' }, { durable: true });
      await ch.call('confirm.select');
      ch.put(s.name('q'), '1', '2');
      await ch.confirmed();
      await ch.get(s.name('q'), false);
      ch.send('basic.nack', { deliveryTag: 1, requeue: true });
      await ch.counts(s.name('q'), 2);
      await ch.call('queue.delete', { queue: s.name('q') });
    },
    'x-delivery-limit on a classic queue': declared({ 'x-delivery-limit': 3 }),
    'x-quorum-initial-group-size on a classic queue': declared({ 'x-quorum-initial-group-size': 3 }),
    'x-max-age on a classic queue': declared({ 'x-max-age': '1D' }),
    'x-consumer-timeout': declared({ 'x-consumer-timeout': 60_000 }),
    'arguments that nobody knows': declared({ 'x-mine': 1, yours: table({ a: [1, null] }) }),
    'arguments that nobody knows do not have to agree': redeclared({ 'x-mine': 1 }, { 'x-mine': 2, 'x-more': true }),
    'x-queue-master-locator with an unknown word': declared({ 'x-queue-master-locator': 'nosuch' }),
    'x-queue-master-locator': declared({ 'x-queue-master-locator': 'client-local' }),
    'x-ha-policy': declared({ 'x-ha-policy': 'all' }),
    'two arguments that are wrong': declared({ 'x-max-length': -1, 'x-expires': 0, 'x-message-ttl': 'x' }),
    'x-dead-letter-exchange that does not exist': declared({ 'x-dead-letter-exchange': 'nosuch' }),
  }),
];
