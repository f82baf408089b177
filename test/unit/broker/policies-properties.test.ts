// Which policy holds, and what comes of it, against a plain reference: whatever is put, deleted and declared, in whatever order.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { QueueSettings } from '../../../server/broker/queue-arguments.ts';
import type { FieldValue } from '../../../shared/amqp/table.ts';
import type { JsonObject } from '../../../shared/protocol/control.ts';
import { Engine } from '../../support/engine.ts';
import { queueOf } from '../../support/engine-queues.ts';

type Definition = Record<string, number | string>;
interface Step {
  readonly kind: 'policy' | 'operator-policy';
  readonly name: string;
  /** undefined: it is deleted. */
  readonly body: { pattern: string; priority: number; 'apply-to': string; definition: Definition } | undefined;
}

const NUMBERS = ['max-length', 'max-length-bytes', 'message-ttl', 'expires', 'delivery-limit'] as const;
const caps = fc.record(Object.fromEntries(NUMBERS.map((name) => [name, fc.integer({ min: 1, max: 9 })])), { requiredKeys: [] });
const choices = fc.record(
  {
    overflow: fc.constantFrom('drop-head', 'reject-publish', 'block'),
    'dead-letter-exchange': fc.constantFrom('a', 'b'),
    'dead-letter-routing-key': fc.constantFrom('j', 'k'),
    'alternate-exchange': fc.constantFrom('a', 'b'),
  },
  { requiredKeys: [] },
);
const queueArgs = fc
  .tuple(caps, choices)
  .map(([numbers, texts]): Definition => ({ ...numbers, ...texts }))
  .map(({ 'alternate-exchange': _, 'dead-letter-routing-key': key, ...args }): Definition => {
    return key === undefined || args['dead-letter-exchange'] === undefined ? args : { ...args, 'dead-letter-routing-key': key };
  });
const steps = fc.array(
  fc
    .record({
      isOperators: fc.boolean(),
      name: fc.constantFrom('one', 'two', 'three', 'four'),
      isDeleted: fc.nat({ max: 3 }).map((at) => at === 0),
      pattern: fc.constantFrom('', 'a', '^a', 'b$', '^(a|b)$', 'direct'),
      priority: fc.integer({ min: -1, max: 2 }),
      applyTo: fc.constantFrom('all', 'queues', 'exchanges', 'classic_queues', 'quorum_queues'),
      caps,
      choices,
    })
    .map(({ isOperators, name, isDeleted, pattern, priority, applyTo, caps: numbers, choices: texts }): Step => {
      const definition = isOperators ? { expires: 9, ...numbers } : { expires: 9, ...numbers, ...texts };
      return {
        kind: isOperators ? 'operator-policy' : 'policy',
        name,
        body: isDeleted ? undefined : { pattern, priority, 'apply-to': applyTo, definition },
      };
    }),
  { maxLength: 12 },
);

/** As one would say it: what holds after these steps for a queue or an exchange. */
function holds(done: readonly Step[], kind: Step['kind'], name: string, type: string): Step | undefined {
  const left = new Map<string, Step>();
  for (const step of done) if (step.kind === kind) left.set(step.name, step);
  const matching = [...left.values()].filter(({ body }) => {
    if (body === undefined || !new RegExp(body.pattern).test(name)) return false;
    if (body['apply-to'] === 'all') return true;
    return type === 'exchange' ? body['apply-to'] === 'exchanges' : ['queues', `${type}_queues`].includes(body['apply-to']);
  });
  return matching.sort((a, b) => (b.body?.priority ?? 0) - (a.body?.priority ?? 0) || (a.name < b.name ? -1 : 1))[0];
}

function expected(args: Definition, policy: Definition, operators: Definition, byDefault: number): Partial<QueueSettings> {
  const number = (name: string): number | undefined => {
    const said = [args, policy, operators].map((each) => each[name]).filter((each) => typeof each === 'number');
    return said.length === 0 ? undefined : Math.min(...said);
  };
  const word = (name: string): string | undefined => [args, policy].map((each) => each[name]).find((each) => typeof each === 'string');
  const deadLetterExchange = word('dead-letter-exchange');
  return {
    maxLength: number('max-length') ?? Number.POSITIVE_INFINITY,
    maxLengthBytes: number('max-length-bytes') ?? Number.POSITIVE_INFINITY,
    messageTtlMs: number('message-ttl') ?? Number.POSITIVE_INFINITY,
    expiresMs: number('expires') ?? Number.POSITIVE_INFINITY,
    deliveryLimit: number('delivery-limit') ?? byDefault,
    overflow: (word('overflow') ?? 'drop-head') as QueueSettings['overflow'],
    deadLetterExchange,
    deadLetterRoutingKey: deadLetterExchange === undefined ? undefined : word('dead-letter-routing-key'),
  };
}

test('the highest priority holds, of numbers the lower, of the rest the argument; for what was there before and for what comes after', () => {
  const queues = fc.array(fc.tuple(fc.constantFrom('a', 'b', 'ab', 'c'), fc.constantFrom('classic', 'quorum'), queueArgs), {
    maxLength: 4,
  });
  fc.assert(
    fc.property(queues, steps, fc.nat(), (declared, all, at) => {
      const engine = new Engine();
      const peer = engine.connect();
      const named = new Map(declared.map((each) => [each[0], each]));
      const split = all.length === 0 ? 0 : at % (all.length + 1);
      all.forEach((step, index) => {
        if (index === split) declareAll();
        apply(engine, step);
        if (index >= split) check(all.slice(0, index + 1));
      });
      if (split === all.length) declareAll();
      check(all);

      function declareAll(): void {
        for (const [name, type, args] of named.values()) {
          const fields = Object.entries(args).map(([key, value]): [string, FieldValue] => [`x-${key}`, value]);
          engine.declare(peer, name, [['x-queue-type', type], ...fields]);
        }
      }
      function check(done: readonly Step[]): void {
        for (const [name, type, args] of named.values()) {
          const [policy, operators] = (['policy', 'operator-policy'] as const).map((kind) => holds(done, kind, name, type));
          const queue = queueOf(engine, name);
          const wanted = expected(
            args,
            policy?.body?.definition ?? {},
            operators?.body?.definition ?? {},
            type === 'quorum' ? 20 : Number.POSITIVE_INFINITY,
          );
          expect(queue.settings).toMatchObject(wanted);
          expect([queue.policy.policy, queue.policy.operatorPolicy]).toEqual([policy?.name, operators?.name]);
        }
        const direct = peer.session.vhost.exchanges.get('amq.direct');
        expect(direct?.alternate).toBe(holds(done, 'policy', 'amq.direct', 'exchange')?.body?.definition['alternate-exchange']);
      }
    }),
  );
});

function apply(engine: Engine, { kind, name, body }: Step): void {
  if (body === undefined) engine.broker.policies.delete(kind, '/', name);
  else engine.broker.policies.put(kind, '/', name, body satisfies JsonObject);
}
