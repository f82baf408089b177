// The check of small histories is fed such as a queue may have, and such as none has.

import { describe, expect, test } from 'vitest';
import { isLinearizable, type QueueOperation } from './linearizability.ts';

const publish = (body: string, calledAt: number, returnedAt?: number): QueueOperation => ({ kind: 'publish', body, calledAt, returnedAt });
const get = (got: string | undefined, calledAt: number, returnedAt?: number): QueueOperation => ({
  kind: 'get',
  got,
  calledAt,
  returnedAt,
});

describe('a queue may', () => {
  test.each<[string, QueueOperation[]]>([
    ['do nothing', []],
    ['give in the order of publishing', [publish('a', 1, 2), publish('b', 3, 4), get('a', 5, 6), get('b', 7, 8), get(undefined, 9, 10)]],
    ['take two that overlap in either order', [publish('a', 1, 4), publish('b', 2, 3), get('b', 5, 6), get('a', 7, 8)]],
    ['give what is not confirmed yet', [publish('a', 1, 4), get('a', 2, 3)]],
    ['be empty while a publish is under way', [publish('a', 1, 4), get(undefined, 2, 3), get('a', 5, 6)]],
    ['answer two gets that overlap in either order', [publish('a', 1, 2), publish('b', 3, 4), get('b', 5, 8), get('a', 6, 7)]],
    ['have a publish that was never confirmed', [publish('a', 1), get('a', 2, 3)]],
    ['lose a publish that was never confirmed', [publish('a', 1), get(undefined, 2, 3)]],
    ['take with a get that never returned', [publish('a', 1, 2), get(undefined, 3), get(undefined, 4, 5)]],
  ])('%s', (_name, history) => {
    expect(isLinearizable(history)).toBe(true);
  });
});

describe('no queue', () => {
  test.each<[string, QueueOperation[]]>([
    ['gives what nobody published', [get('a', 1, 2)]],
    ['gives before it is given', [get('a', 1, 2), publish('a', 3, 4)]],
    ['gives twice', [publish('a', 1, 2), get('a', 3, 4), get('a', 5, 6)]],
    ['gives twice at once', [publish('a', 1, 2), get('a', 3, 6), get('a', 4, 5)]],
    ['is empty after a confirm', [publish('a', 1, 2), get(undefined, 3, 4)]],
    ['gives the later of two first', [publish('a', 1, 2), publish('b', 3, 4), get('b', 5, 6), get('a', 7, 8)]],
    ['leaves one out', [publish('a', 1, 2), publish('b', 3, 4), get('b', 5, 6), get(undefined, 7, 8)]],
    ['is empty between two that it holds', [publish('a', 1, 2), publish('b', 3, 4), get('a', 5, 6), get(undefined, 7, 8), get('b', 9, 10)]],
  ])('%s', (_name, history) => {
    expect(isLinearizable(history)).toBe(false);
  });
});

test('what is drained is empty', () => {
  expect(isLinearizable([publish('a', 1, 2)])).toBe(true);
  expect(isLinearizable([publish('a', 1, 2)], true)).toBe(false);
  expect(isLinearizable([publish('a', 1, 2), get('a', 3, 4)], true)).toBe(true);
});

test('a history that is too long is refused', () => {
  expect(() => isLinearizable(Array.from({ length: 31 }, (_, at) => publish(`m${at}`, 2 * at, 2 * at + 1)))).toThrow('31 operations');
});
