// What the routing tests share: contents, queues that only have a name, and matchers so plain that they are their own proof.
// Always: a reference matcher says what a binding means, in the words of the specification, and nothing about how to find it fast.

import fc from 'fast-check';
import { Events } from '../../server/broker/events.ts';
import { defaultLimits } from '../../server/broker/limits.ts';
import type { Queue } from '../../server/broker/queue.ts';
import { readQueueSettings } from '../../server/broker/queue-arguments.ts';
import { Vhost } from '../../server/broker/vhost.ts';
import type { QueueOptions } from '../../server/broker/vhost-ports.ts';
import type { Definition } from '../../server/ports.ts';
import { type FieldTable, type FieldValue, Typed } from '../../shared/amqp/table.ts';
import { Content, encodeContent } from '../../shared/content.ts';

export function contentOf(key: string, headers?: FieldTable): Content {
  const run = encodeContent('', key, headers === undefined ? {} : { headers }, new Uint8Array(0));
  return new Content().read(run, 0, run.length);
}

export const table = (fields: { readonly [name: string]: FieldValue } = {}): FieldTable => new Map(Object.entries(fields));

export interface FakeQueueState {
  readyCount: number;
  consumerCount: number;
  deletedBecause: string | undefined;
}

/** A queue as far as routing knows it. Its state can be set, and tells whether and why it was deleted. */
export function fakeQueue(
  name: string,
  options: Partial<QueueOptions> & { number?: number | undefined; isTap?: boolean } = {},
): Queue & FakeQueueState {
  const fake = {
    kind: 'queue',
    name,
    number: options.number ?? 0,
    durable: options.durable ?? false,
    autoDelete: options.autoDelete ?? false,
    exclusiveOwner: options.exclusiveOwner,
    arguments: options.arguments ?? new Map(),
    settings: options.settings ?? readQueueSettings(new Map(), { queue: name, vhost: '/' }),
    isTap: options.isTap ?? false,
    bindings: new Set(),
    routeMark: 0,
    readyCount: 0,
    consumerCount: 0,
    deletedBecause: undefined as string | undefined,
    delete(reason: string): number {
      this.deletedBecause = reason;
      return this.readyCount;
    },
  };
  // The one place that passes a fake for the class: routing touches only the fields above.
  return fake as unknown as Queue & FakeQueueState;
}

/** A vhost on fake queues, and everything it defined. */
export function testVhost(name = '/'): { vhost: Vhost; definitions: Definition[] } {
  const definitions: Definition[] = [];
  let lastNumber = 0;
  let lastByte = 0;
  const vhost = new Vhost(name, {
    random: { bytes: (count) => Uint8Array.from({ length: count }, () => lastByte++ & 0xff) },
    createQueue: (_vhost, queue, options) => {
      lastNumber = Math.max(lastNumber, options.number ?? lastNumber + 1);
      return fakeQueue(queue, { ...options, number: options.number ?? lastNumber });
    },
    limits: defaultLimits,
    admitQueue: () => undefined,
    events: new Events({ clock: { now: () => 0, setTimer: () => ({ cancel: () => undefined }) } }),
    defaultQueueType: () => undefined,
    declared: () => undefined,
    define: (definition) => void definitions.push(definition),
  });
  return { vhost, definitions };
}

// Reference matchers.

export type Reference = (bindingKey: string, args: FieldTable, key: string, headers: FieldTable | undefined) => boolean;

const words = (key: string): string[] => (key === '' ? [] : key.split('.'));

function wordsMatch(pattern: readonly string[], key: readonly string[]): boolean {
  const [first, ...rest] = pattern;
  if (first === undefined) return key.length === 0;
  if (first === '#') return wordsMatch(rest, key) || (key.length > 0 && wordsMatch(pattern, key.slice(1)));
  const [word, ...others] = key;
  return word !== undefined && (first === '*' || first === word) && wordsMatch(rest, others);
}

/** A value as the thing it stands for, so that deep equality is sameness. */
function meaning(value: FieldValue): unknown {
  if (Array.isArray(value)) return ['array', ...value.map(meaning)];
  if (value instanceof Map) return ['table', ...[...value].map(([name, field]) => [name, meaning(field)]).sort()];
  if (!(value instanceof Typed))
    return [typeof value === 'number' ? (Number.isSafeInteger(value) ? 'integer' : 'float') : typeof value, String(value)];
  if ('bBsuIilL'.includes(value.type)) return ['integer', String(value.value)];
  if (value.type === 'f' || value.type === 'd') return ['float', String(value.value)];
  return [
    value.type,
    value.value instanceof Uint8Array ? [...value.value] : typeof value.value === 'object' ? { ...value.value } : String(value.value),
  ];
}

/** What a header test compares: numbers by value whatever their type, strings and bytes by their octets. */
function comparable(value: FieldValue): unknown {
  if (typeof value === 'number') return ['number', String(value)];
  if (typeof value === 'string') return ['octets', ...Buffer.from(value)];
  if (!(value instanceof Typed)) return meaning(value);
  if (value.value instanceof Uint8Array) return ['octets', ...value.value];
  return typeof value.value === 'object' ? meaning(value) : ['number', String(value.value)];
}

function headersMatch(args: FieldTable, headers: FieldTable): boolean {
  const mode = String(args.get('x-match') ?? 'all');
  const tests = [...args].filter(([name]) => (mode.endsWith('-with-x') ? name !== 'x-match' : !name.startsWith('x-')));
  const holds = ([name, wanted]: [string, FieldValue]): boolean => {
    const value = headers.get(name);
    return value !== undefined && (wanted === null || JSON.stringify(comparable(value)) === JSON.stringify(comparable(wanted)));
  };
  return mode.startsWith('any') ? tests.some(holds) : tests.every(holds);
}

export const references: Readonly<Record<'direct' | 'topic' | 'fanout' | 'headers', Reference>> = {
  direct: (bindingKey, _args, key) => bindingKey === key,
  topic: (bindingKey, _args, key) => wordsMatch(words(bindingKey), words(key)),
  fanout: () => true,
  headers: (_bindingKey, args, _key, headers) => headersMatch(args, headers ?? new Map()),
};

export type ExchangeType = keyof typeof references;

// What keys, headers and arguments are drawn from: few values, so that they meet.

export const routingKeys = fc.array(fc.constantFrom('a', 'b', 'cc', '', '*', '#'), { maxLength: 6 }).map((each) => each.join('.'));
export const bindingKeys = fc.array(fc.constantFrom('a', 'b', 'cc', '', '*', '#', '#'), { maxLength: 6 }).map((each) => each.join('.'));

const fieldValues: fc.Arbitrary<FieldValue> = fc.constantFrom<FieldValue>(
  1,
  new Typed('l', 1),
  new Typed('B', 1),
  new Typed('d', 1),
  '1',
  true,
  0,
  null,
  1.5,
  new Typed('f', 1.5),
  new Typed('T', 1),
  new Typed('x', new Uint8Array([49])),
  new Typed('l', 2n ** 60n),
  new Typed('D', { scale: 0, value: 1 }),
  [1, '1'],
  [new Typed('s', 1), '1'],
  new Map<string, FieldValue>([
    ['a', 1],
    ['b', null],
  ]),
  new Map<string, FieldValue>([
    ['b', null],
    ['a', new Typed('u', 1)],
  ]),
); // prettier-ignore
const headerNames = fc.constantFrom('a', 'b', 'x-a', 'x-b', '__proto__');

export const headerTables: fc.Arbitrary<FieldTable> = fc
  .array(fc.tuple(headerNames, fieldValues), { maxLength: 5 })
  .map((fields) => new Map(fields));
export const bindingArguments: fc.Arbitrary<FieldTable> = fc
  .tuple(headerTables, fc.constantFrom(undefined, 'all', 'any', 'all-with-x', 'any-with-x'))
  .map(([fields, mode]) => new Map<string, FieldValue>([...fields, ...(mode === undefined ? [] : [['x-match', mode] as const])]));
