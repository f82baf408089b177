// The publishes that wait for their confirm: every one counts once, in whatever order confirms come.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ConfirmWindow } from '../../../server/cli/amqp-bench/confirm-window.ts';
import { Latency } from '../../../server/cli/amqp-bench/latency.ts';

function filled(size: number): { window: ConfirmWindow; latency: Latency } {
  const latency = new Latency();
  const window = new ConfirmWindow(size, latency);
  for (let i = 0; i < size; i++) window.sent(1_000);
  return { window, latency };
}

test('a multiple confirm settles all up to its tag, a single one its own', () => {
  const { window, latency } = filled(10);
  expect(window.room).toBe(0);
  window.settled(4, true, false, 1_500);
  window.settled(6, false, false, 1_500);
  window.settled(7, true, false, 1_500);
  expect(window).toMatchObject({ confirmed: 7, open: 3, room: 7 });
  expect(latency.count).toBe(7);
  expect(latency.figures()['p50']).toBe(500);
});

test('a multiple confirm with tag 0 settles everything', () => {
  const { window } = filled(5);
  window.settled(0, true, false, 2_000);
  expect(window).toMatchObject({ confirmed: 5, open: 0 });
});

test('a nack makes room too, and is counted apart', () => {
  const { window } = filled(3);
  window.settled(2, true, true, 2_000);
  expect(window).toMatchObject({ confirmed: 0, nacked: 2, open: 1 });
});

test.each([
  ['a publish that was not made', (window: ConfirmWindow) => window.settled(6, false, false, 1)],
  ['the same publish twice', (window: ConfirmWindow) => [1, 2].forEach(() => window.settled(3, false, false, 1))],
  ['one that a multiple confirm has settled', (window: ConfirmWindow) => [4, 2].forEach((tag) => window.settled(tag, tag === 4, false, 1))],
])('a confirm of %s is an error', (_, settle) => {
  expect(() => settle(filled(5).window)).toThrow(/^confirm \d/);
});

test('single confirms in any order leave nothing open, and no more room than the window', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(1_000), { minLength: 40, maxLength: 200 }), (picks) => {
      const window = new ConfirmWindow(8, new Latency());
      const open: number[] = [];
      let next = 1;
      for (const pick of picks) {
        for (let room = window.room; room > 0; room--) {
          window.sent(1);
          open.push(next++);
        }
        expect(open.length).toBeLessThanOrEqual(8);
        const [tag = 0] = open.splice(pick % open.length, 1);
        window.settled(tag, false, false, 2);
        expect(window.open).toBe(open.length);
      }
      for (const tag of open) window.settled(tag, false, false, 2);
      expect(window).toMatchObject({ open: 0, confirmed: next - 1, room: 8 });
    }),
  );
});
