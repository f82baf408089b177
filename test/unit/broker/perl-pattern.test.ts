// RabbitMQ's patterns: what is read as Perl reads it, what is refused with its name, and what older records that are refused now come to.
import { describe, expect, test } from 'vitest';
import { compile, PatternRights } from '../../../server/broker/rights.ts';
import { AmqpError } from '../../../shared/error.ts';
import { Engine } from '../../support/engine.ts';
import { RememberingLog } from '../../support/remembering-log.ts';

function refusal(pattern: string): AmqpError {
  try {
    compile(pattern);
  } catch (error) {
    if (error instanceof AmqpError) return error;
    throw error;
  }
  throw new Error(`${pattern} is taken`);
}

test('\\A, \\z and \\Z are the ends of a name, not letters', () => {
  for (const pattern of ['\\Aorders\\z', '\\Aorders\\Z'])
    expect(['orders', 'Aordersz', 'AordersZ', 'my-orders', 'orders\n'].map((name) => compile(pattern).test(name))).toEqual([
      true,
      false,
      false,
      false,
      false,
    ]);
});

test.each([
  '\\h',
  '[\\h]',
  '\\Qa.b\\E',
  '\\p{L}',
  '\\pL',
  '\\P{Lu}',
  '\\R',
  '\\X',
  '\\G',
  '\\Ka',
  '\\N',
  '\\C',
  '\\v',
  '\\V',
  '\\H',
  '\\a',
  '\\e',
  '\\x{41}',
  '\\x4',
  '\\xe9',
  '\\o{101}',
  '\\101',
  '\\012',
  '(a)\\1',
  '(?<n>a)\\k<n>',
  '(a)\\g1',
  '\\y',
  '\\U0041',
  '\\u41',
  '[\\A]',
  '[\\z]',
  '[\\B]',
  '[\\1]',
  '[[:alpha:]]',
  '[^[:alpha:]_]',
  '[]a]',
  '[^]a]',
  '(?i)a',
  '(?i:a)',
  '(?>a)',
  '(?|a)',
  '(?#note)',
  '(?P<n>a)',
  "(?'n'a)",
  '(?R)',
  '(?1)',
  '(?(1)a|b)',
  '(*UTF8)a',
  'a++',
  'a*+',
  'a?+',
  'a{2}+',
])('%s, which JavaScript would read as something else, is refused with what to write instead', (pattern) => {
  const { message, detail } = refusal(pattern);
  expect(message).toContain(`PRECONDITION_FAILED - invalid regular expression '${pattern}': '`);
  expect(message).toContain(': write ');
  expect(detail.hint).toMatch(/^write /);
});

test('the text names the construct', () => {
  expect(refusal('^a\\h+').message).toBe(
    "PRECONDITION_FAILED - invalid regular expression '^a\\h+': '\\h' is a blank, which is read otherwise here: write '[ \\t]'",
  );
  expect(refusal('[[:alpha:]]+').message).toContain("'[:alpha:]' is a class of POSIX");
  expect(refusal('[]a]').message).toContain("write '[\\]'");
  expect(refusal('(').message).toBe("PRECONDITION_FAILED - invalid regular expression '(': Unterminated group");
});

test.each<[string, readonly string[], readonly string[]]>([
  ['^(?:a|b)\\.[\\w-]+$', ['a.x-1'], ['c.x', 'a-x']],
  ['^(?!.*secret)', ['open', ''], ['a.secret', '\rsecret']],
  ['(?<=a)b(?=c)', ['abc'], ['abd', 'bbc']],
  ['^(?<year>\\d{4})', ['2024x'], ['202x']],
  ['^a\\++$', ['a+', 'a++'], ['a']],
  ['^[+*]+$', ['+*'], ['a']],
  ['^[[:]$', ['[', ':'], ['a']],
  ['^[\\]a]$', [']', 'a'], ['b']],
  ['^\\x2e\\\\A$', ['.\\A'], ['.A']],
  ['^.$', ['a', '\u2028', '\r'], ['\n', '']],
  ['\\bq\\B', ['qq', 'a.qq'], ['q', 'aq']],
  ['a{,2}', ['a{,2}'], ['aa']],
])('%s stays what it is', (pattern, found, missed) => {
  const expression = compile(pattern);
  expect([found.filter((name) => !expression.test(name)), missed.filter((name) => expression.test(name))]).toEqual([[], []]);
});

describe('a record of older data whose pattern is refused now', () => {
  const unreadable = { configure: '\\Aorders\\h', write: '.*', read: '' };
  function records(engine: Engine): void {
    const { records, users } = engine.broker;
    users.put('alice', { passwordHash: '', hashingAlgorithm: '', tags: [] });
    records.put('permission', ['/', 'alice'], unreadable); // as a log has it: nobody checks
    records.put('topic-permission', ['/', 'alice', 'x'], { write: '^\\pL', read: '.*' });
    records.put('policy', ['/', 'old'], { pattern: '\\R', 'apply-to': 'all', priority: 9, definition: { 'max-length': 1 } });
    records.put('policy', ['/', 'good'], { pattern: '.*', 'apply-to': 'all', priority: 1, definition: { 'max-length': 2 } });
  }

  test('loads, allows nothing, and is told of', () => {
    const log = new RememberingLog();
    const engine = new Engine({ log });
    records(engine);
    engine.time.settle();
    const again = new Engine({ log });
    for (const { broker, notices } of [engine, again]) {
      const rights = broker.users.account('alice')?.rights('/');
      expect([rights?.may('configure', 'orders '), rights?.may('configure', 'ordersh'), rights?.may('write', 'q')]).toEqual([
        false,
        false,
        true,
      ]);
      expect([rights?.mayRoute('write', 'x', 'p'), rights?.mayRoute('read', 'x', 'p')]).toEqual([false, true]);
      expect(broker.policies.effective('/', { kind: 'queue', name: 'R', type: 'classic' }).policy).toBe('good');
      expect(notices.filter(({ kind }) => kind === 'pattern.unreadable').map(({ text }) => text)).toEqual([
        expect.stringMatching(/^a permission of user 'alice' in vhost '\/' allows nothing: invalid regular expression .*'\\h' is a blank/),
        expect.stringMatching(/^a permission of user 'alice' in vhost '\/' allows nothing: .*'\\pL'|'\\p'/),
        expect.stringMatching(/^policy 'old' in vhost '\/' applies to nothing: /),
      ]);
    }
  });

  test('is refused where somebody puts it', () => {
    const engine = new Engine();
    records(engine);
    expect(() => engine.broker.users.setPermissions('alice', '/', unreadable)).toThrow("'\\h' is a blank");
    expect(() => new PatternRights({}).grant(unreadable)).toThrow("'\\h' is a blank");
    expect(() => engine.broker.policies.put('policy', '/', 'p', { pattern: '\\R', definition: { 'max-length': 1 } })).toThrow(
      "'\\R' is a line end",
    );
  });
});
