// Topology as the log keeps it: any sequence of changes, defined and restored, gives the durable part back.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { canonicalTable } from '../../../server/broker/field-values.ts';
import type { Vhost } from '../../../server/broker/vhost.ts';
import { AmqpError } from '../../../shared/error.ts';
import { bindingArguments, fakeQueue, table, testVhost } from '../../support/routing.ts';

const owner = {};
const exchangeNames = fc.constantFrom('x', 'y', 'z', 'amq.topic', 'amq.headers');
const queueNames = fc.constantFrom('p', 'q', 'r');
const types = fc.constantFrom('direct', 'topic', 'fanout', 'headers');

type Step = (vhost: Vhost) => void;
const flags = { passive: false, arguments: table() };

const steps: fc.Arbitrary<Step> = fc.oneof(
  fc.tuple(exchangeNames, types, fc.boolean(), fc.boolean(), fc.boolean()).map(
    ([exchange, type, durable, autoDelete, internal]): Step =>
      (vhost) =>
        void vhost.declareExchange({ ...flags, exchange, type, durable, autoDelete, internal }),
  ),
  fc
    .tuple(queueNames, fc.boolean(), fc.boolean(), fc.boolean(), fc.constantFrom(table(), table({ 'x-max-length': 3, mine: [1, null] })))
    .map(
      ([queue, durable, exclusive, autoDelete, args]): Step =>
        (vhost) =>
          void vhost.declareQueue({ queue, durable, exclusive, autoDelete, passive: false, arguments: args }, owner),
    ),
  fc.tuple(queueNames, exchangeNames, fc.constantFrom('', 'k'), bindingArguments, fc.boolean()).map(
    ([queue, exchange, key, args, isBound]): Step =>
      (vhost) =>
        isBound ? vhost.bindQueue(queue, exchange, key, args, owner) : vhost.unbindQueue(queue, exchange, key, args, owner),
  ),
  fc.tuple(queueNames, exchangeNames).map(
    ([queue, exchange]): Step =>
      (vhost) =>
        vhost.bindQueue(queue, exchange, 'k', table(), owner),
  ),
  fc.tuple(queueNames, exchangeNames).map(
    ([queue, exchange]): Step =>
      (vhost) =>
        vhost.unbindQueue(queue, exchange, 'k', table(), owner),
  ),
  fc.tuple(exchangeNames, exchangeNames, fc.boolean()).map(
    ([to, from, isBound]): Step =>
      (vhost) =>
        isBound ? vhost.bindExchange(to, from, '', table()) : vhost.unbindExchange(to, from, '', table()),
  ),
  exchangeNames.map(
    (exchange): Step =>
      (vhost) =>
        vhost.deleteExchange(exchange, false),
  ),
  queueNames.map(
    (queue): Step =>
      (vhost) =>
        void vhost.deleteQueue(queue, false, false, owner),
  ),
  fc.constant<Step>((vhost) => vhost.releaseOwner(owner)),
  exchangeNames.map(
    (exchange): Step =>
      (vhost) =>
        vhost.bindTap(fakeQueue('tap', { isTap: true, durable: true }), exchange, 'k', table()),
  ),
);

/** What has to survive a restart, in words. */
function durableParts(vhost: Vhost): string[] {
  const parts: string[] = [];
  for (const { name, type, durable, autoDelete, internal, arguments: args, outgoing } of vhost.exchanges.values()) {
    if (durable) parts.push(`exchange ${name} ${type} ${autoDelete} ${internal} ${canonicalTable(args)}`);
    for (const { destination, key, arguments: terms, isDurable } of outgoing.values()) {
      if (isDurable) parts.push(`binding ${name} ${destination.kind} ${destination.name} ${key} ${canonicalTable(terms)}`);
    }
  }
  for (const { name, number, durable, autoDelete, arguments: args } of vhost.queues.values()) {
    if (durable) parts.push(`queue ${name} ${number} ${autoDelete} ${canonicalTable(args)}`);
  }
  return parts.sort();
}

test('what was defined restores exactly the durable topology, through JSON, and once more makes no difference', () => {
  fc.assert(
    fc.property(fc.array(steps, { maxLength: 40 }), (taken) => {
      const { vhost, definitions } = testVhost('v');
      for (const step of taken) {
        try {
          step(vhost);
        } catch (error) {
          if (!(error instanceof AmqpError)) throw error;
        }
      }
      const restored = testVhost('v');
      for (const definition of definitions) restored.vhost.restore(JSON.parse(JSON.stringify(definition)));
      expect(durableParts(restored.vhost)).toEqual(durableParts(vhost));
      expect(restored.definitions).toEqual([]);
      for (const definition of definitions) expect([definition['vhost'], definition['destination'] === 'tap']).toEqual(['v', false]);
    }),
    { numRuns: 500 },
  );
});

test('a queue that was deleted and declared again is restored with its own number', () => {
  const { vhost, definitions } = testVhost();
  const declare = (): number =>
    vhost.declareQueue({ queue: 'q', durable: true, exclusive: false, autoDelete: false, passive: false, arguments: table() }, owner)
      .number;
  const first = declare();
  vhost.deleteQueue('q', false, false, owner);
  const second = declare();
  expect(definitions).toEqual([
    { kind: 'queue', vhost: '/', name: 'q', number: first, autoDelete: false, arguments: {} },
    { kind: 'queue.delete', vhost: '/', name: 'q', number: first },
    { kind: 'queue', vhost: '/', name: 'q', number: second, autoDelete: false, arguments: {} },
  ]);
  const restored = testVhost().vhost;
  for (const definition of definitions) restored.restore(definition);
  expect(restored.queues.get('q')?.number).toBe(second);
});

test('a definition that cannot be read is damage, not a request', () => {
  const { vhost } = testVhost();
  expect(() => vhost.restore({ kind: 'queue', vhost: '/', name: 'q' })).toThrow(
    "invariant broken: a logged queue has an object 'arguments'",
  );
  expect(() => vhost.restore({ kind: 'galaxy', vhost: '/' })).toThrow("invariant broken: a definition of kind 'galaxy' is known");
});
