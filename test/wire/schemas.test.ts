// The control operations' schemas, run through ajv as the server does, and held against the table in docs/protocol.md.

import { readFileSync } from 'node:fs';
import { Ajv } from 'ajv';
import { describe, expect, test } from 'vitest';
import { envelope, formats, schemas } from '../../shared/protocol/schemas.ts';

const ajv = new Ajv({ useDefaults: true, formats, strict: true, allowUnionTypes: false });
const validators = new Map(Object.entries(schemas).map(([op, schema]) => [op, ajv.compile({ ...schema })]));
const protocol = readFileSync(new URL('../../docs/protocol.md', import.meta.url), 'utf8');

/** The request after defaults, or the path of what is wrong with it. */
function check(op: string, request: object): unknown {
  const validate = validators.get(op);
  if (validate === undefined) throw new Error(`no schema for ${op}`);
  const copy: unknown = structuredClone(request);
  return validate(copy) ? copy : (validate.errors?.[0]?.instancePath ?? '');
}

/** The rows of the table of operations: op names, and the cell of fields. */
const rows = [...protocol.matchAll(/^\| (`[a-z.-]+`(?:, `[a-z.-]+`)*) \|(.*?)\| .* \|$/gm)]
  .map(([, ops = '', fields = '']) => ({ ops: [...ops.matchAll(/`([a-z.-]+)`/g)].map(([, op = '']) => op), fields }))
  .filter(({ ops }) => ops.every((op) => Object.hasOwn(schemas, op)));

describe('the schemas', () => {
  test('are of exactly the operations in docs/protocol.md', () => {
    expect([...rows.flatMap(({ ops }) => ops), 'hello'].sort()).toEqual(Object.keys(schemas).sort());
  });

  for (const { ops, fields } of rows) {
    test(`of ${ops.join(' and ')} know the fields and defaults that docs/protocol.md gives`, () => {
      for (const op of ops) {
        const known: unknown = schemas[op as keyof typeof schemas]['properties'];
        const properties = new Map(Object.entries(known as Record<string, { default?: unknown }>));
        const documented = [...fields.matchAll(/`([a-zA-Z0-9]+)`(?: \[([^\];]*))?/g)];
        expect(documented.map(([, field]) => field).sort()).toEqual([...properties.keys()].sort());
        for (const [, field = '', value] of documented) {
          const byDefault = properties.get(field)?.default;
          if (field === 'arguments') expect(byDefault).toEqual({});
          else if (value === undefined) expect(byDefault).toBeUndefined();
          else if (value.startsWith('glob, ')) expect(byDefault).toBe('*');
          else if (value.startsWith('none')) expect(byDefault).toBeUndefined();
          else expect(JSON.stringify(byDefault)).toBe(value.split(',')[0]);
        }
      }
    });
  }
});

describe('a request', () => {
  test('gets its defaults, each time afresh', () => {
    const first = check('queue.declare', {});
    const defaults = { queue: '', durable: true, exclusive: false, autoDelete: false, passive: false, arguments: {} };
    expect(first).toEqual(defaults);
    (first as typeof defaults).arguments = Object.assign((first as typeof defaults).arguments, { changed: 1 });
    expect(check('queue.declare', {})).toEqual(defaults);
    expect(check('consume', { handle: 1, queue: 'q' })).toEqual({
      handle: 1,
      queue: 'q',
      consumerTag: '',
      noAck: false,
      exclusive: false,
      priority: 0,
      arguments: {},
      encoding: 'binary',
    });
  });

  test('may have fields nobody knows', () => {
    expect(check('ping', { colour: 'red' })).toEqual({ colour: 'red' });
  });

  test.each([
    ['queue.declare', { durable: 'yes' }, '/durable'],
    ['queue.declare', { queue: 'x'.repeat(256) }, '/queue'],
    ['queue.declare', { queue: '€'.repeat(86) }, '/queue'],
    ['queue.declare', { queue: '\ud800' }, '/queue'],
    ['queue.declare', { arguments: [] }, '/arguments'],
    ['consume', { handle: 0, queue: 'q' }, '/handle'],
    ['consume', { handle: 65_536, queue: 'q' }, '/handle'],
    ['consume', { handle: 1, queue: 'q', prefetch: 65_536 }, '/prefetch'],
    ['consume', { handle: 1, queue: 'q', credit: -1 }, '/credit'],
    ['consume', { handle: 1, queue: 'q', encoding: 'xml' }, '/encoding'],
    ['ack', { tag: 1.5 }, '/tag'],
    ['ack', { tag: 2 ** 53 }, '/tag'],
    ['ack', {}, ''],
    ['publish', { key: 'q' }, ''],
    ['publish', { key: 'q', body: '', bodyBase64: '' }, ''],
    ['publish', { bodyBase64: 'a' }, '/bodyBase64'],
    ['publish', { body: '', properties: { priority: 256 } }, '/properties/priority'],
    ['publish', { body: '', properties: { headers: 1 } }, '/properties/headers'],
    ['stats.open', { handle: 1, everyMs: 99 }, '/everyMs'],
    ['hello', { version: 1, user: 'guest' }, ''],
    ['hello', { version: '1', user: 'guest', password: 'guest' }, '/version'],
  ])('%s %j is refused at %j', (op, request, path) => {
    expect(check(op, request)).toBe(path);
  });

  test.each([
    ['publish', { key: 'q', body: '' }],
    ['publish', { bodyBase64: 'AAA=', properties: { headers: { a: { $amqp: 'b', value: 1 } } } }],
    ['nack', { tag: 0, multiple: true }],
    ['tap.open', { handle: 2, exchange: '' }],
    ['hello', { version: 99, user: 'guest', password: 'x'.repeat(5000), client: { product: 'p', more: 1 }, capabilities: ['taps'] }],
  ])('%s %j passes', (op, request) => {
    expect(check(op, request)).toMatchObject(request);
  });

  test('without a positive integer id and an op is no request', () => {
    const validate = ajv.compile({ ...envelope });
    expect(
      [
        { id: 1, op: 'ping' },
        { id: 2 ** 53 - 1, op: 'no.such' },
      ].map((request) => validate(request)),
    ).toEqual([true, true]);
    for (const request of [{ op: 'ping' }, { id: 0, op: 'ping' }, { id: '1', op: 'ping' }, { id: 1 }, [], 'ping', null]) {
      expect(validate(request)).toBe(false);
    }
  });
});
