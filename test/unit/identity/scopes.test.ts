// Scopes as rights: what `*` stands for, what everything else stands for, and what routing keys they leave open.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { escapeExpression } from '../../../server/broker/perl-pattern.ts';
import { LiveScopes, parseScopes, Wildcard } from '../../../server/identity/scopes.ts';

const of = (scope: unknown, vhost = 'v', prefix = '') => new LiveScopes(parseScopes(scope, prefix)).rightsIn(vhost);

test.each([
  // As RabbitMQ 3.10.8's wildcard:match answers, but for the last line
  ['a+b', 'a b', true],
  ['a+b', 'a+b', false],
  ['%2F', '/', true],
  ['a%2Ab', 'a*b', true],
  ['a%2Ab', 'axxb', false],
  ['*', '', true],
  ['', '', true],
  ['a*a', 'aa', true],
  ['a*a', 'a', false],
  ['a%zz', 'a%zz', false],
  ['%ff', '\u00ff', false],
  ['a*bc', 'abcbc', true],
])('pattern %j and name %j: %s', (pattern, name, expected) => {
  expect(new Wildcard(pattern).matches(name)).toBe(expected);
});

// Names of what tempts: characters of regular expressions, dashes, unicode, escapes.
const tempting = fc.string({
  unit: fc.oneof(
    fc.constantFrom(...'.*+?^$(){}[]|\\/-,:;<>=!#&%@~`\'" \n_'.split('')),
    fc.constantFrom('a', 'b', '0', '9', 'ä', 'ß', '漢', '😀', '\u2028', '\u00a0'),
    fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
  ),
  maxLength: 12,
});
const encode = (text: string): string => encodeURIComponent(text).replaceAll('*', '%2A');

test('a name that is encoded matches itself and no other name', () => {
  fc.assert(
    fc.property(tempting, tempting, (name, other) => {
      const pattern = new Wildcard(encode(name));
      expect(pattern.matches(name)).toBe(true);
      expect(pattern.matches(other)).toBe(name === other);
    }),
  );
});

test('stars between encoded parts match what a regular expression with escaped parts does', () => {
  fc.assert(
    fc.property(
      fc.array(tempting, { minLength: 1, maxLength: 4 }),
      fc.array(tempting, { maxLength: 4 }),
      fc.boolean(),
      (parts, fill, isMade) => {
        const text = isMade ? parts.map((part, index) => (index === 0 ? part : (fill[index - 1] ?? '') + part)).join('') : fill.join('');
        const oracle = new RegExp(`^${parts.map(escapeExpression).join('[^]*')}$`);
        expect(new Wildcard(parts.map(encode).join('*')).matches(text)).toBe(oracle.test(text));
      },
    ),
  );
});

test('a text escaped for a regular expression matches itself alone, in a character class too', () => {
  fc.assert(
    fc.property(tempting, tempting, (name, other) => {
      const expression = new RegExp(`^${escapeExpression(name)}$`);
      expect([expression.test(name), expression.test(other)]).toEqual([true, name === other]);
    }),
  );
  expect(new RegExp(`^[${escapeExpression('a-z')}]$`).test('m')).toBe(false);
});

test('a scope gives one right on what it names, in the vhosts it names', () => {
  const rights = of('configure:v/orders-* write:v/amq.default read:*/log%2Fall');
  expect(['configure', 'write', 'read'].map((right) => rights?.may(right as 'read', 'orders-1'))).toEqual([true, false, false]);
  expect([rights?.may('write', ''), rights?.may('write', 'orders-1')]).toEqual([true, false]);
  expect(of('read:*/log%2Fall', 'elsewhere')?.may('read', 'log/all')).toBe(true);
  expect(of('configure:v/x', 'elsewhere')).toBeUndefined();
  expect(of('read:%2F/x', '/')?.may('read', 'x')).toBe(true);
});

test('routing keys are open where no scope for the exchange names any, and else those that are named', () => {
  const rights = of(['write:v/events/orders.*', 'write:v/events/audit', 'write:v/plain', 'read:v/events']);
  expect([rights?.limitsKeys('events'), rights?.limitsKeys('plain')]).toEqual([true, false]);
  expect(['orders.new', 'audit', 'audit.x', 'ordersXnew'].map((key) => rights?.mayRoute('write', 'events', key))).toEqual([
    true,
    true,
    false,
    false,
  ]);
  expect(rights?.mayRoute('read', 'events', 'anything')).toBe(true);
  expect(rights?.mayRoute('write', 'plain', 'anything')).toBe(true);
  const queues = of('write:v/amq.default/mine-*');
  expect([queues?.limitsKeys(''), queues?.mayRoute('write', '', 'mine-1'), queues?.mayRoute('write', '', 'yours')]).toEqual([
    true,
    true,
    false,
  ]);
});

test('with a prefix, scopes without it are somebody else’s, and tags are scopes too', () => {
  const { tags, grants } = parseScopes('leveret.tag:monitoring tag:administrator leveret.read:v/x read:v/y openid', 'leveret.');
  expect([[...tags], grants.length]).toEqual([['monitoring'], 1]);
});

test.each([undefined, 7, {}, [7, null], '', 'read:', 'read:v', 'read:v/x/k/more', 'admin:v/x', 'read', 'Read:v/x', 'tag:'])(
  '%j gives nothing',
  (scope) => {
    const { tags, grants } = parseScopes(scope, '');
    expect([tags.size, grants.length]).toEqual([0, 0]);
  },
);
