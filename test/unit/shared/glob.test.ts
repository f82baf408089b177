// Globs over queue names: what they match, against picomatch where both mean the same, and that no glob is slow.

import fc from 'fast-check';
import picomatch from 'picomatch';
import { expect, test } from 'vitest';
import { globMatcher } from '../../../shared/glob.ts';

test('a glob of letters, stars and question marks matches what picomatch says', () => {
  const letters = fc.array(fc.constantFrom('a', 'b', '.'), { maxLength: 8 }).map((units) => units.join(''));
  const globs = fc.array(fc.constantFrom('a', 'b', '.', '*', '?'), { minLength: 1, maxLength: 8 }).map((units) => units.join(''));
  fc.assert(
    fc.property(globs, letters, (glob, name) => {
      fc.pre(glob.split(/\*+/).length <= 5 && name !== '' && !/^\*+$/.test(glob));
      const regex = new RegExp(`^${glob.replaceAll('.', '\\.').replaceAll('?', '.').replace(/\*+/g, '.*')}$`);
      expect(globMatcher(glob)(name)).toBe(regex.test(name));
      if (!/^\.|\.\.|[*?]\./.test(glob) && !name.includes('..') && !name.startsWith('.') && !glob.includes('**'))
        expect(globMatcher(glob)(name)).toBe(picomatch(glob, { dot: true })(name));
    }),
  );
});

test('what is special elsewhere means itself', () => {
  expect(globMatcher('a/{b,c}[d]+(e)')('a/{b,c}[d]+(e)')).toBe(true);
  expect(globMatcher('{a,b}')('a')).toBe(false);
  expect(globMatcher('a*')('a/b/c')).toBe(true);
  expect(globMatcher('gr?n')('grün')).toBe(true);
  expect(globMatcher('?')('😀')).toBe(true);
});

test('a glob made to be slow is not', () => {
  const name = 'a'.repeat(255);
  // a regular expression would still be at it when the test is given up
  for (const glob of ['(a+)+b', '*a*a*a*b', '((a*)*)*b', '(a|a)+b']) expect(globMatcher(glob)(name)).toBe(false);
});

test('a glob has at most 128 characters and four stars', () => {
  expect(() => globMatcher('*a*b*c*d*')).toThrow('a glob has at most 128 characters and 4 stars');
  expect(() => globMatcher('a'.repeat(129))).toThrow('a glob has at most 128 characters');
  expect(globMatcher('***a')('xa')).toBe(true);
});
