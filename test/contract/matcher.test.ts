// What every exchange type obeys (server/broker/matchers/matcher.ts), each against its reference.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DirectMatcher } from '../../server/broker/matchers/direct.ts';
import { FanoutMatcher } from '../../server/broker/matchers/fanout.ts';
import { HeadersMatcher } from '../../server/broker/matchers/headers.ts';
import { type Bound, Destinations, type Matcher } from '../../server/broker/matchers/matcher.ts';
import { TopicMatcher } from '../../server/broker/matchers/topic.ts';
import type { FieldTable } from '../../shared/amqp/table.ts';
import { bindingArguments, bindingKeys, contentOf, headerTables, references, routingKeys, table } from '../support/routing.ts';

const types = [
  { type: 'direct', create: () => new DirectMatcher<string>() },
  { type: 'topic', create: () => new TopicMatcher<string>() },
  { type: 'fanout', create: () => new FanoutMatcher<string>() },
  { type: 'headers', create: () => new HeadersMatcher<string>() },
] as const;

const headersOrNone = fc.option(headerTables, { nil: undefined });
const bounds = fc.array(fc.record({ key: bindingKeys, arguments: bindingArguments }), { maxLength: 40 });
const messages = fc.array(fc.tuple(routingKeys, headersOrNone), { minLength: 1, maxLength: 8 });

function matched(matcher: Matcher<string>, key: string, headers: FieldTable | undefined): string[] {
  const into = new Destinations<string>();
  matcher.match(key, contentOf(key, headers), into);
  return [...new Set(into.found.slice(0, into.count))].sort();
}

describe.each(types)('the $type matcher', ({ type, create }) => {
  const reference = references[type];

  const expected = (live: readonly Bound<string>[], key: string, headers: FieldTable | undefined): string[] =>
    live
      .filter((bound) => reference(bound.key, bound.arguments, key, headers))
      .map((bound) => bound.destination)
      .sort();

  test('matches what its reference matches, whatever was bound and unbound before', () => {
    fc.assert(
      fc.property(bounds, fc.array(fc.nat()), messages, (drawn, unbinds, sent) => {
        const matcher = create();
        const live: Bound<string>[] = drawn.map((each, i) => ({ ...each, destination: `d${i}` }));
        for (const bound of live) matcher.bind(bound);
        for (const draw of unbinds) {
          const [gone] = live.splice(draw % Math.max(1, live.length), 1);
          if (gone !== undefined) matcher.unbind(gone);
        }
        for (const [key, headers] of sent) expect(matched(matcher, key, headers)).toEqual(expected(live, key, headers));
      }),
    );
  });

  test('matches nothing once everything is unbound, and takes new bindings then', () => {
    fc.assert(
      fc.property(bounds, messages, (drawn, sent) => {
        const matcher = create();
        const all: Bound<string>[] = drawn.map((each, i) => ({ ...each, destination: `d${i}` }));
        for (const bound of all) matcher.bind(bound);
        for (const bound of all) matcher.unbind(bound);
        for (const [key, headers] of sent) expect(matched(matcher, key, headers)).toEqual([]);
        for (const bound of all) matcher.bind(bound);
        for (const [key, headers] of sent) expect(matched(matcher, key, headers)).toEqual(expected(all, key, headers));
      }),
    );
  });

  test('answers alike for every key, or for all headers, where it says so', () => {
    fc.assert(
      fc.property(bounds, messages, messages, (drawn, some, others) => {
        const matcher = create();
        for (const [i, each] of drawn.entries()) matcher.bind({ ...each, destination: `d${i}` });
        for (const [key, headers] of some) {
          for (const [otherKey, otherHeaders] of others) {
            if (!matcher.usesKey) expect(matched(matcher, otherKey, headers)).toEqual(matched(matcher, key, headers));
            if (!matcher.usesHeaders) expect(matched(matcher, key, otherHeaders)).toEqual(matched(matcher, key, headers));
          }
        }
      }),
    );
  });

  test('unbinding one of two alike bindings leaves the other', () => {
    const matcher = create();
    const first = { key: 'a', arguments: table(), destination: 'first' };
    const second = { key: 'a', arguments: table(), destination: 'second' };
    matcher.bind(first);
    matcher.bind(second);
    matcher.unbind(first);
    expect(matched(matcher, 'a', undefined)).toEqual(['second']);
  });

  test('adds to what was found already', () => {
    const matcher = create();
    matcher.bind({ key: 'a', arguments: table(), destination: 'new' });
    const into = new Destinations<string>();
    into.add('old');
    matcher.match('a', contentOf('a'), into);
    expect(into.found.slice(0, into.count)).toEqual(['old', 'new']);
  });

  test('keeps track of a thousand bindings under one key', () => {
    const matcher = create();
    const all = Array.from({ length: 1000 }, (_, i) => ({ key: 'a', arguments: table(), destination: `d${i}` }));
    for (const bound of all) matcher.bind(bound);
    const kept = all.filter((_, i) => i % 3 === 0);
    for (const bound of all) if (!kept.includes(bound)) matcher.unbind(bound);
    expect(matched(matcher, 'a', undefined)).toEqual(kept.map((bound) => bound.destination).sort());
  });
});
