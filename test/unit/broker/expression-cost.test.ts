// Which regular expressions of users are tried on the event loop. One that passes and takes for ever fails here by never ending.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { excessOf } from '../../../server/broker/expression-cost.ts';

test.each([
  '',
  '.*',
  '^(?!amq\\.).*',
  '^(orders|billing|shipping)\\..*',
  '^orders$|^billing$',
  '.*(dlq|dead).*',
  '^[a-z]+\\.[a-z]+\\.[a-z]+\\.[a-z]+\\.[a-z]+$',
  '^\\w{1,20}-\\d+$',
  '^(?:ha|two)\\.(?<name>.+)$',
  '^a?b?c?d?e?f?$',
])('%j may be tried', (source) => expect(excessOf(source)).toBeUndefined());

test.each(['^mine(a|a)*!$', '^(\\w+\\.?)+$', '^(a+)+$', '(a*){5}b', '^((a|b)c?)*$', '^(a?){9}a'])(
  '%j repeats what has several ways',
  (source) => expect(excessOf(source)).toBe('it repeats a group that can be matched in several ways'),
);

test.each([
  '^.*.*.*.*!$',
  '.*.*.*!',
  `^${'(a|a)'.repeat(40)}!`,
  `^${'a?'.repeat(40)}!`,
  '(.*)\\1\\1!',
  '^a{0,255}a{0,255}a{0,255}a{0,255}a{0,255}!',
])('%j leaves too many ways', (source) => expect(excessOf(source)).toBe('it leaves too many ways to match a name'));

const atom = fc.constantFrom('a', '.', '[ab]', '\\w', 'b', '!', '\\.');
const expression = fc.letrec<{ any: string }>((tie) => ({
  any: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    atom,
    fc.tuple(tie('any'), tie('any')).map(([a, b]) => a + b),
    fc.tuple(tie('any'), tie('any')).map(([a, b]) => `(${a}|${b})`),
    fc.tuple(tie('any'), fc.constantFrom('*', '+', '?', '{2,3}', '{5}')).map(([a, quantifier]) => `(${a})${quantifier}`),
    fc.tuple(atom, fc.constantFrom('*', '+', '?', '{1,9}')).map(([a, quantifier]) => a + quantifier),
    tie('any').map((a) => `(?=${a})`),
  ),
})).any;

test('whatever passes comes to an end on the longest names', () => {
  let passed = 0;
  const property = fc.property(expression, fc.constantFrom('', '^'), (source, start) => {
    const whole = `${start}${source}$`;
    if (excessOf(whole) !== undefined) return;
    passed++;
    for (const name of [`${'a'.repeat(254)}!`, 'ab'.repeat(127), '.'.repeat(255), 'a'.repeat(255)]) new RegExp(whole).test(name);
  });
  fc.assert(property, { numRuns: 2_000 });
  expect(passed).toBeGreaterThan(500);
});
