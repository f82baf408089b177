// Values on the command line.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { collectPair, collectText, wholeNumber } from '../../../server/cli/arguments.ts';

const names = fc.string({ minLength: 1 }).filter((name) => !name.includes('=') && name !== '__proto__');

test('a JSON value on the command line is that value', () => {
  fc.assert(
    fc.property(names, fc.jsonValue(), (name, value) => {
      expect(collectPair(`${name}=${JSON.stringify(value)}`)).toEqual({ [name]: JSON.parse(JSON.stringify(value)) });
    }),
  );
});

test('a value that is no JSON is text, equals signs included', () => {
  expect(collectPair('x-match=all')).toEqual({ 'x-match': 'all' });
  expect(collectPair('filter=a=b=c')).toEqual({ filter: 'a=b=c' });
  expect(collectPair('empty=')).toEqual({ empty: '' });
  expect(collectPair('quoted="5"')).toEqual({ quoted: '5' });
});

test('an option that is given again adds a pair', () => {
  expect(collectPair('b=2', collectPair('a=1'))).toEqual({ a: 1, b: 2 });
  expect(collectText('b=2', collectText('a=1'))).toEqual({ a: '1', b: '2' });
});

test.each(['', 'name', '=value'])('%j is no pair', (text) => {
  expect(() => collectPair(text)).toThrow('write name=value');
  expect(() => collectText(text)).toThrow('write name=value');
});

test('a whole number is digits within its bounds, and nothing else', () => {
  const parse = wholeNumber(1, 255);
  expect(parse('1')).toBe(1);
  expect(parse('255')).toBe(255);
  for (const text of ['0', '256', '-1', '1.5', '1e2', '0x10', '', ' 1', 'ten', '9'.repeat(30)])
    expect(() => parse(text), text).toThrow('whole number');
});
