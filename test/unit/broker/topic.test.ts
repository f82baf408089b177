// The topic trie by example, against glob patterns, and under a load of wildcards.

import fc from 'fast-check';
import picomatch from 'picomatch';
import { expect, test } from 'vitest';
import { Destinations } from '../../../server/broker/matchers/matcher.ts';
import { TopicMatcher } from '../../../server/broker/matchers/topic.ts';
import { contentOf, table } from '../../support/routing.ts';

function topicMatches(bindingKey: string, key: string): boolean {
  const matcher = new TopicMatcher<string>();
  matcher.bind({ key: bindingKey, arguments: table(), destination: 'd' });
  const into = new Destinations<string>();
  matcher.match(key, contentOf(key), into);
  return into.count > 0;
}

test.each([
  ['audit.#', 'audit', true],
  ['audit.#', 'audit.a.b', true],
  ['#', '', true],
  ['#', '.', true],
  ['*', '', false],
  ['', '', true],
  ['', '.', false],
  ['*.*', '.', true],
  ['a..b', 'a..b', true],
  ['a.*.b', 'a..b', true],
  ['a.*.b', 'a.b', false],
  ['#.b', 'b', true],
  ['a.#.b', 'a.b', true],
  ['a.#.#.b', 'a.x.y.b', true],
  ['#.a.#', 'x.a', true],
  ['*.#', '', false],
  ['#.*', 'a', true],
  ['a', 'a.', false],
  ['a.*', 'a.', true],
  ['constructor', 'constructor', true],
  ['__proto__.*', '__proto__.a', true],
])('binding key %j and routing key %j: %s', (bindingKey, key, matches) => {
  expect(topicMatches(bindingKey, key)).toBe(matches);
});

test('agrees with glob patterns, of which `*` and `**` between slashes are the same', () => {
  const literal = fc.constantFrom('a', 'b', 'a*', '[ab]', '{a,b}', '!a', '?', 'a+', '(a)', '@a', '\\', '^', '$', 'ü');
  const word = fc.oneof({ weight: 2, arbitrary: literal }, { weight: 1, arbitrary: fc.constantFrom('*', '#') });
  const literally = (text: string): string => text.replace(/[^A-Za-z0-9ü]/g, '\\$&');
  fc.assert(
    fc.property(fc.array(word, { minLength: 1, maxLength: 5 }), fc.array(literal, { minLength: 1, maxLength: 6 }), (pattern, key) => {
      // picomatch does not let */** match one word, so of neighbouring wildcards the # goes first: the order between them means nothing.
      const ordered = pattern.join('.').replace(/(?<=^|\.)[*#](\.[*#])+(?=\.|$)/g, (run) => run.split('.').sort().join('.'));
      const glob = ordered
        .split('.')
        .map((each) => (each === '*' ? '*' : each === '#' ? '**' : literally(each)))
        .join('/');
      expect(topicMatches(pattern.join('.'), key.join('.'))).toBe(picomatch(glob, { dot: true })(key.join('/')));
    }),
    { numRuns: 1000 },
  );
});

test('many # in many bindings cost words times nodes, not every way to spread the words over them', () => {
  const matcher = new TopicMatcher<number>();
  // Tried one way after the other, the first of these alone would take longer than the age of the universe.
  for (let i = 0; i < 50; i++) matcher.bind({ key: `${'#.a.'.repeat(40)}#.b${i}`, arguments: table(), destination: i });
  const into = new Destinations<number>();
  matcher.match(`${'a.'.repeat(120)}b7`, contentOf('a'), into);
  expect(into.found).toEqual([7]);
});

test('a binding key of more than 128 words is refused', () => {
  const matcher = new TopicMatcher<string>();
  expect(() => matcher.check('.'.repeat(128))).toThrow('PRECONDITION_FAILED - a topic binding key has at most 128 words, this one 129');
  expect(() => matcher.check('.'.repeat(127))).not.toThrow();
});
