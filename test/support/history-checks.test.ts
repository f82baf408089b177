// Each check of a history is fed one that is whole, and some that are broken in one way, and must say so of those alone.

import { describe, expect, test } from 'vitest';
import { bodyOf, nameIn } from '../../scripts/kill-loop/bodies.ts';
import { type Happening, History } from '../../scripts/kill-loop/history.ts';
import { checkHistory, countersMatch, diskAtBaseline } from '../../scripts/kill-loop/history-checks.ts';

const attempt = (body: string, more: Partial<Extract<Happening, { kind: 'attempt' }>> = {}): Happening => ({
  kind: 'attempt',
  body,
  publisher: 'p',
  isPersistent: true,
  deadlineMs: Number.POSITIVE_INFINITY,
  level: 0,
  ...more,
});
const confirmed = (body: string): Happening => ({ kind: 'confirmed', body });
const refused = (body: string): Happening => ({ kind: 'refused', body });
const delivered = (body: string, more: Partial<Extract<Happening, { kind: 'delivered' }>> = {}): Happening => ({
  kind: 'delivered',
  body,
  consumer: 'c',
  redelivered: false,
  deliveryCount: 0,
  atMs: 0,
  ...more,
});
const again = (body: string, more: Partial<Extract<Happening, { kind: 'delivered' }>> = {}): Happening =>
  delivered(body, { redelivered: true, ...more });
const settled = (kind: 'acked' | 'returned' | 'discarded', body: string, consumer = 'c'): Happening => ({ kind, body, consumer });
const acked = (body: string, consumer = 'c'): Happening => settled('acked', body, consumer);
const synced = (body: string): Happening => ({ kind: 'synced', body });
const killed: Happening = { kind: 'killed' };
const stopped: Happening = { kind: 'stopped' };
const drain: Happening = { kind: 'drain' };

/** Of queue q, whose dead letters go to d. A pair is an event of the queue it names. */
function complaints(events: readonly (Happening | readonly ['d', Happening])[], seesAll = true): string[] {
  const history = new History();
  history.declare('q', 'd');
  history.declare('d');
  for (const event of events) {
    if ('kind' in event) event.kind === 'killed' || event.kind === 'stopped' ? history.tellAll(event) : history.tell('q', event);
    else history.tell('d', event[1]);
  }
  return checkHistory(history, { untilMs: 1_000, seesAll });
}

const sent = (body: string, more = {}): Happening[] => [attempt(body, more), confirmed(body)];
const taken = (body: string): Happening[] => [delivered(body), acked(body)];

describe('what was confirmed is acked in the end', () => {
  test('a whole history is fine, also across a kill', () => {
    expect(complaints([...sent('a'), ...taken('a')])).toEqual([]);
    expect(complaints([...sent('a'), delivered('a'), killed, again('a'), acked('a')])).toEqual([]);
    expect(complaints([attempt('a'), killed])).toEqual([]);
    expect(complaints([attempt('a'), refused('a')])).toEqual([]);
  });
  test('never delivered, or delivered and never again, is lost', () => {
    expect(complaints([...sent('a'), killed])).toEqual(['q: a was confirmed and never acked: lost']);
    expect(complaints([...sent('a'), delivered('a'), killed])).toEqual(['q: a was confirmed and never acked: lost']);
  });
  test('a transient message may be lost with its broker, and not before', () => {
    expect(complaints([...sent('a', { isPersistent: false }), killed])).toEqual([]);
    expect(complaints([killed, ...sent('a', { isPersistent: false })])).toEqual(['q: a was confirmed and never acked: lost']);
  });
  test('what may expire here goes on to the dead letters', () => {
    expect(complaints([...sent('a', { deadlineMs: 500 }), ['d', delivered('a')], ['d', acked('a')]])).toEqual([]);
    expect(complaints(sent('a', { deadlineMs: 500 }))).toEqual(['q: a was confirmed, expired and never dead-lettered: lost']);
  });
  test('what was discarded arrives there', () => {
    const discarded = [...sent('a'), delivered('a'), settled('discarded', 'a')];
    expect(complaints([...discarded, ['d', delivered('a')], ['d', acked('a')]])).toEqual([]);
    expect(complaints(discarded)).toEqual(['q: a was confirmed, discarded and never dead-lettered: lost']);
  });
  test('what was purged is done', () => {
    expect(complaints([...sent('a'), { kind: 'dropped', body: 'a' }])).toEqual([]);
  });
});

describe('what comes out was sent', () => {
  test('nobody sent it, or it was refused', () => {
    expect(complaints(taken('x'))).toEqual(['q: x was delivered and never accepted']);
    expect(complaints([attempt('a'), refused('a'), ...taken('a')])).toEqual(['q: a was delivered and never accepted']);
    expect(complaints([...sent('a'), ...taken('a'), ['d', delivered('x')]])).toEqual(['d: x was delivered and never accepted']);
  });
  test('a body that is not as it was made', () => {
    const body = bodyOf('name', 100);
    expect(nameIn(body)).toEqual({ name: 'name', fault: undefined });
    expect(nameIn(bodyOf('longer than that', 3)).fault).toBeUndefined();
    expect(nameIn(body.subarray(0, 99)).fault).toBe('has 99 bytes of 100');
    body[60] = (body[60] ?? 0) ^ 1;
    expect(nameIn(body).fault).toBe('has another byte at 60');
    expect(nameIn(new Uint8Array(10)).fault).toBe('has no heading');
  });
});

describe('what was settled stays away', () => {
  test('a kill may undo an ack, unless it was synced', () => {
    const before = [...sent('a'), ...taken('a')];
    expect(complaints([...before, killed, again('a'), acked('a')])).toEqual([]);
    expect(complaints([...before, synced('a'), killed, again('a'), acked('a')])).toEqual([
      'q: a was delivered after it was acked and that was synced',
    ]);
  });
  test('nothing undoes it while the broker runs, and an orderly stop does not either', () => {
    const before = [...sent('a'), ...taken('a')];
    expect(complaints([...before, again('a'), acked('a')])).toEqual(['q: a was delivered after it was acked']);
    expect(complaints([...before, stopped, again('a'), acked('a')])).toEqual(['q: a was delivered after it was acked and that was synced']);
    expect(complaints([...before, stopped, killed, again('a'), acked('a')])).toEqual([
      'q: a was delivered after it was acked and that was synced',
    ]);
  });
  test('what was on its way to the dead letters may stay where it was', () => {
    const before = [...sent('a'), delivered('a'), settled('discarded', 'a'), stopped];
    expect(complaints([...before, again('a'), acked('a')])).toEqual([]);
    expect(complaints([...sent('a'), delivered('a'), settled('discarded', 'a'), again('a'), acked('a')])).toEqual([
      'q: a was delivered after it was discarded',
    ]);
  });
  test('nor what was purged', () => {
    expect(complaints([...sent('a'), { kind: 'dropped', body: 'a' }, ...taken('a')])).toEqual(['q: a was delivered after it was dropped']);
  });
});

describe('one consumer at a time', () => {
  test('after a return, or when the holder went, another may have it', () => {
    const before = [...sent('a'), delivered('a')];
    expect(complaints([...before, settled('returned', 'a'), again('a', { consumer: 'e' }), acked('a', 'e')])).toEqual([]);
    expect(complaints([...before, { kind: 'gone', consumer: 'c' }, again('a', { consumer: 'e' }), acked('a', 'e')])).toEqual([]);
  });
  test('while it is held it may not', () => {
    expect(complaints([...sent('a'), delivered('a'), again('a', { consumer: 'e' }), acked('a', 'e')])).toEqual([
      'q: a was delivered to e while c held it',
    ]);
  });
});

describe('redelivered', () => {
  test('a repeat that does not say so', () => {
    expect(complaints([...sent('a'), delivered('a'), killed, delivered('a'), acked('a')])).toEqual([
      'q: a was delivered again without saying so',
    ]);
  });
  test('a false alarm is allowed after a kill, and where not everything is seen', () => {
    expect(complaints([...sent('a'), killed, again('a'), acked('a')])).toEqual([]);
    expect(complaints([...sent('a'), again('a'), acked('a')])).toEqual(['q: a says redelivered and was never delivered']);
    expect(complaints([...sent('a'), stopped, again('a'), acked('a')])).toEqual(['q: a says redelivered and was never delivered']);
    expect(complaints([...sent('a'), stopped, { kind: 'unmarked' }, again('a'), acked('a')]), 'there was no room to say so').toEqual([]);
    expect(complaints([...sent('a'), again('a'), acked('a')], false)).toEqual([]);
  });
  test('a count of failed deliveries that nobody made', () => {
    expect(complaints([...sent('a'), delivered('a', { deliveryCount: 1 }), acked('a')])).toEqual(['q: a counts 1 failed deliveries of 0']);
  });
});

describe('counts of failed deliveries survive', () => {
  const counted = (isSynced: boolean): Happening => ({ kind: 'counted', body: 'a', deliveryCount: 1, isSynced });
  const before = [...sent('a'), delivered('a'), settled('returned', 'a')];
  const comesAgain = (deliveryCount: number): Happening[] => [again('a', { deliveryCount }), acked('a')];
  const fault = ['q: a counts 0 failed deliveries and had 1'];
  test('while the broker runs, and an orderly stop', () => {
    expect(complaints([...before, counted(false), ...comesAgain(1)])).toEqual([]);
    expect(complaints([...before, counted(false), ...comesAgain(0)])).toEqual(fault);
    expect(complaints([...before, counted(false), stopped, ...comesAgain(0)])).toEqual(fault);
  });
  test('a kill where they were synced', () => {
    expect(complaints([...before, counted(false), killed, ...comesAgain(0)])).toEqual([]);
    expect(complaints([...before, counted(true), killed, ...comesAgain(0)])).toEqual(fault);
  });
});

describe('order', () => {
  const ab = [...sent('a'), ...sent('b')];
  test('first deliveries of one publisher', () => {
    expect(complaints([...ab, ...taken('b'), ...taken('a')])).toEqual(['q: a was first delivered after b, which was published later']);
    expect(complaints([...sent('a'), ...sent('b', { publisher: 'r' }), ...taken('b'), ...taken('a')])).toEqual([]);
    expect(complaints([...sent('a'), ...sent('b', { level: 1 }), ...taken('b'), ...taken('a')])).toEqual([]);
  });
  test('of each consumer alone where they are read at different times', () => {
    const split = [...ab, delivered('b', { consumer: 'e' }), acked('b', 'e'), ...taken('a')];
    expect(complaints(split, false)).toEqual([]);
    expect(complaints(split)).toHaveLength(1);
  });
  test('places survive: a drain is in order, and gives each message once', () => {
    const restart: Happening[] = [...ab, killed, drain];
    expect(complaints([...restart, again('a'), acked('a'), again('b'), acked('b')])).toEqual([]);
    expect(complaints([...restart, again('b'), acked('b'), again('a'), acked('a')])).toEqual([
      'q: a was drained after b, which was published later',
    ]);
    expect(complaints([...sent('a'), killed, drain, again('a'), settled('returned', 'a'), again('a'), acked('a')])).toEqual([
      'q: a came twice in one drain',
    ]);
  });
});

test('more unacked than the prefetch', () => {
  const opened: Happening = { kind: 'opened', consumer: 'c', prefetch: 1 };
  const two = [...sent('a'), ...sent('b')];
  expect(complaints([opened, ...two, ...taken('a'), ...taken('b')])).toEqual([]);
  expect(complaints([opened, ...two, delivered('a'), delivered('b'), acked('a'), acked('b')])).toEqual(['q: c holds 2 of 1']);
});

test('something delivered after it expired', () => {
  const late = [...sent('a', { deadlineMs: 100 }), delivered('a', { atMs: 151 }), acked('a')];
  expect(complaints(late)).toEqual(['q: a was delivered 51 ms after it expired']);
});

test('a dead letter that is in two places', () => {
  const moved: (Happening | readonly ['d', Happening])[] = [
    ...sent('a'),
    delivered('a'),
    settled('discarded', 'a'),
    synced('a'),
    ['d', delivered('a')],
    ['d', acked('a')],
  ];
  expect(complaints(moved)).toEqual([]);
  expect(complaints([...moved, again('a'), acked('a')])).toContain('q: a was delivered after d had it: in two places');
});

test('a queue that counts other than what was seen since it started', () => {
  const history = new History();
  history.declare('q');
  for (const event of [...sent('a'), ...sent('b'), ...taken('a'), delivered('b'), killed, again('b'), acked('b')]) history.tell('q', event);
  const counts = { delivered: 1, redelivered: 1, acked: 1 };
  expect(countersMatch(history.events('q'), counts)).toEqual([]);
  expect(countersMatch(history.events('q'), { ...counts, delivered: 2 })).toEqual(['delivered: 2 counted and 1 seen']);
  expect(countersMatch(history.events('q'), { ...counts, redelivered: 0 })).toEqual(['redelivered: 0 counted and 1 seen']);
  expect(countersMatch(history.events('q'), { ...counts, acked: 0 })).toEqual(['acked: 0 counted and 1 seen']);
});

test('a disk that keeps what nobody needs', () => {
  expect(diskAtBaseline({ walFiles: 4, segments: 0 }, 2)).toEqual([]);
  expect(diskAtBaseline({ walFiles: 4, segments: 1 }, 2)).toEqual(['1 segments are left of nothing']);
  expect(diskAtBaseline({ walFiles: 5, segments: 0 }, 2)).toEqual(['5 log files are left of 2']);
});
