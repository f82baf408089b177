// Patterns of permissions and policies against the expressions of Erlang, with which RabbitMQ matches them: re:run(Name, Pattern, [{capture, none}]).
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { hasRabbitMq } from '../../scripts/rabbitmq.ts';
import { compile } from '../../server/broker/rights.ts';
import { AmqpError } from '../../shared/error.ts';

/** For each pattern one character for each name: 1 found, 0 not; or x for a pattern that Erlang refuses. */
const PROGRAM = `
  {ok, Text} = file:read_file(os:getenv("QUESTIONS")),
  [First | Patterns] = [base64:decode(Line) || Line <- binary:split(Text, <<"\\n">>, [global])],
  Names = binary:split(First, <<0>>, [global]),
  lists:foreach(fun(Pattern) ->
    case re:compile(Pattern) of
      {error, _} -> io:format("x~n");
      {ok, _} -> io:format("~s~n", [[case re:run(Name, Pattern, [{capture, none}]) of match -> $1; nomatch -> $0 end || Name <- Names]])
    end
  end, Patterns),
  halt().`;

function askErlang(patterns: readonly string[], names: readonly string[]): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'leveret-patterns-'));
  try {
    const questions = join(folder, 'questions');
    writeFileSync(questions, [names.join('\0'), ...patterns].map((text) => Buffer.from(text).toString('base64')).join('\n'));
    const { status, stdout, stderr } = spawnSync('erl', ['-noshell', '-noinput', '-eval', PROGRAM], {
      env: { ...process.env, HOME: folder, QUESTIONS: questions },
      encoding: 'utf8',
      timeout: 60_000,
      maxBuffer: 64_000_000,
    });
    if (status !== 0) throw new Error(`erl ended with ${status}: ${stderr}${stdout}`);
    return stdout.trimEnd().split('\n');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What is answered here, or why the pattern is refused. */
function answer(pattern: string, names: readonly string[]): string {
  try {
    const expression = compile(pattern);
    return names.map((name) => (expression.test(name) ? '1' : '0')).join('');
  } catch (error) {
    if (error instanceof AmqpError) return error.message;
    throw error;
  }
}

const letters = [...'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'];
const escaped = fc.oneof(
  fc.constantFrom(...letters, ...'0123456789', ...'.*+?()[]{}|^$\\-_/ #').map((character) => `\\${character}`),
  fc.constantFrom('\\x41', '\\x4', '\\x{41}', '\\xe9', '\\012', '\\pL', '\\p{L}', '\\Qa.b\\E', '\\cA', '\\ca', '\\0', '\\A', '\\z', '\\Z'),
);
const plain = fc.constantFrom('a', 'A', 'z', 'Z', 'h', 'R', 'Q', '1', '.', '-', '_', ' ', ':', ']', '}', '{', '^', '$', ',');
const inClass = fc.oneof(
  plain,
  escaped,
  fc.constantFrom('a-z', 'A-Z', '0-9', '[', '[:alpha:]', '[:digit:]', '[:^alpha:]', '[.a.]', '[:', ':', '-', '\\w-', '&&'),
);
const classes = fc
  .tuple(fc.constantFrom('[', '[^', '[]', '[^]'), fc.array(inClass, { maxLength: 4 }))
  .map(([start, parts]) => `${start}${parts.join('')}]`);
const quantifiers = fc.constantFrom(
  '',
  '',
  '',
  '*',
  '+',
  '?',
  '*?',
  '+?',
  '??',
  '{2}',
  '{1,}',
  '{0,2}',
  '{,2}',
  '++',
  '*+',
  '?+',
  '{2}+',
  '{a}',
);
const { pattern: patterns } = fc.letrec<{ pattern: string; piece: string }>((tie) => ({
  piece: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    { arbitrary: plain, weight: 4 },
    { arbitrary: escaped, weight: 3 },
    { arbitrary: classes, weight: 2 },
    {
      arbitrary: fc
        .tuple(
          fc.constantFrom(
            '(',
            '(?:',
            '(?=',
            '(?!',
            '(?<=',
            '(?<!',
            '(?i)',
            '(?i:',
            '(?>',
            '(?|',
            '(?<n>',
            '(?P<n>',
            '(?s:',
            '(*ACCEPT',
            '(?#',
          ),
          tie('pattern'),
        )
        .map(([start, inner]) => `${start}${inner})`),
      weight: 2,
    },
  ),
  pattern: fc
    .array(
      fc.array(fc.tuple(tie('piece'), quantifiers), { maxLength: 4 }).map((pieces) => pieces.flat().join('')),
      { minLength: 1, maxLength: 2 },
    )
    .map((branches) => branches.join('|')),
}));
// Neither Erlang's last line end nor bytes: what is told of both stands in docs/compatibility.md.
const names = [
  '',
  'a',
  'A',
  'z',
  'aa',
  'aaa',
  'az',
  'AZ',
  'Aaz',
  'a.b',
  'h',
  'R',
  'Q',
  'QE',
  '1',
  '12',
  '-',
  '_',
  '.',
  ' ',
  '\t',
  '\x0b',
  '\f',
  '\ra',
];
const more = [
  ':',
  ']',
  '[',
  'a]',
  '{',
  '}',
  'a{,2}',
  '^',
  '$',
  ',',
  '\\',
  'alpha',
  'p',
  'L',
  'pL',
  'x',
  'x4',
  '\x01',
  '\x08',
  '\x04',
  '\x1b',
  '\x07',
  'a\nb',
  'a\r',
  'A1_z-.',
];
const asked = [...names, ...more];

test.skipIf(!hasRabbitMq())(
  'a pattern that is taken finds what it finds in RabbitMQ, whatever of Perl stands in it',
  { timeout: 120_000 },
  () => {
    const sample = fc.sample(patterns, 20_000).filter((pattern) => pattern !== '');
    const theirs = askErlang(sample, asked);
    expect(theirs).toHaveLength(sample.length);
    const others: object[] = [];
    let taken = 0;
    sample.forEach((pattern, index) => {
      const [ours, erlangs = ''] = [answer(pattern, asked), theirs[index]];
      if (ours.startsWith('PRECONDITION_FAILED') || erlangs === 'x') return;
      taken++;
      const differs = asked.filter((_, at) => ours[at] !== erlangs[at]);
      if (differs.length > 0) others.push({ pattern, differs });
    });
    expect(others).toEqual([]);
    expect(taken).toBeGreaterThan(1_000);
  },
);
