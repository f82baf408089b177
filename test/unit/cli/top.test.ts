// The live table of queues: rows and rates of looks, the screen, the keys; and the completion scripts, which are made of all verbs.

import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { scriptFor } from '../../../server/cli/completion.ts';
import { ExitCode } from '../../../server/cli/exit-codes.ts';
import * as top from '../../../server/cli/top.ts';
import { fitted, type Look, rowsOf } from '../../../server/cli/top-screen.ts';
import { runVerb, startVerb } from '../../support/cli.ts';
import { FakeApi } from '../../support/fake-api.ts';

const look = (atMs: number, ...queues: [name: string, ready: number, stats?: object][]): Look => ({
  atMs,
  overview: {},
  queues: queues.map(([name, ready, stats = {}]) => ({ name, vhost: '/', messages_ready: ready, message_stats: stats })),
});
const names = (rows: readonly { name: string }[]): string[] => rows.map(({ name }) => name);

describe('rows', () => {
  test('have the rates the broker tells, and else the difference of two looks', () => {
    const before = look(1_000, ['a', 0, { publish: 10 }], ['b', 0]);
    const now = look(3_000, ['a', 0, { publish: 30 }], ['b', 0, { publish: 9, publish_details: { rate: 2.5 } }]);
    expect(rowsOf(now, before, 'name', false).map(({ publishRate }) => publishRate)).toEqual([10, 2.5]);
  });
  test('have no rate below 0 after a restart of the counters, and 0 at the first look', () => {
    expect(rowsOf(look(2_000, ['a', 0, { publish: 1 }]), look(1_000, ['a', 0, { publish: 5 }]), 'rate', false)[0]?.publishRate).toBe(0);
    expect(rowsOf(look(0, ['a', 0, { publish: 1 }]), undefined, 'rate', false)[0]?.publishRate).toBe(0);
  });
  test('are sorted: the busiest or longest first, names from the first; turned on demand', () => {
    const now = look(0, ['b', 5, { publish_details: { rate: 1 } }], ['a', 1, { publish_details: { rate: 9 } }], ['c', 7]);
    expect(names(rowsOf(now, undefined, 'rate', false))).toEqual(['a', 'b', 'c']);
    expect(names(rowsOf(now, undefined, 'ready', false))).toEqual(['c', 'b', 'a']);
    expect(names(rowsOf(now, undefined, 'name', true))).toEqual(['c', 'b', 'a']);
  });
});

test('no line is wider and there are no more than the screen has', () => {
  expect(fitted(['abcdef', 'x', 'y'], { columns: 3, rows: 2 })).toEqual(['abc', 'x']);
});

const answers = {
  'GET /api/overview': { product_name: 'Fake', product_version: '1', object_totals: { queues: 2 } },
  'GET /api/queues': {
    items: [
      { name: 'x\u001b[2J', vhost: '/', messages_ready: 3 },
      { name: 'long', vhost: '/', messages_ready: 9 },
    ],
    page_count: 1,
  },
};

test('where no terminal shows it, top looks once and prints lines', async () => {
  const fake = await FakeApi.start(answers);
  const ran = await runVerb(top, ['--url', fake.url, '--sort', 'ready']);
  expect(ran.code).toBe(ExitCode.Ok);
  expect(ran.lines.join('\n')).not.toContain('\u001b');
  expect(ran.lines.slice(-2).map((line) => line.split(' ')[0])).toEqual(['long', 'x\\x1b[2J']);
});

test('on a terminal it takes the screen, and an interrupt gives it back', async () => {
  const fake = await FakeApi.start(answers);
  const running = startVerb(top, ['--url', fake.url], { isTerminal: true });
  await running.shown('PUBLISH/S');
  running.interrupt();
  const { code, lines } = await running.ended;
  expect(code).toBe(ExitCode.Ok);
  expect(lines.join('\n')).not.toContain('\u001b[2J');
});

test('q ends it, s sorts by another, r turns the order, and the terminal is as before', async () => {
  const fake = await FakeApi.start(answers);
  const running = startVerb(top, ['--url', fake.url], { isTerminal: true, input: 'srq' });
  expect((await running.ended).code).toBe(ExitCode.Ok);
  await running.shown('\u001b[?1049h');
  await running.shown('\u001b[?1049l');
});

describe('completion', () => {
  const verbs = [
    { verb: 'get', aliases: [], summary: "take 'single' messages: now", words: ['--count', '--help'] },
    { verb: 'list_queues', aliases: ['list-queues'], summary: 'list', words: ['--json'] },
  ];
  test('of bash completes verbs, then the words of a verb', () => {
    const ask = (...words: string[]): string => {
      const script = `${scriptFor('bash', verbs)}\nCOMP_WORDS=(leveret ${words.map((word) => `'${word}'`).join(' ')})\nCOMP_CWORD=${words.length}\n_leveret\necho "\${COMPREPLY[*]}"`;
      const { stdout, stderr } = spawnSync('bash', ['-c', script], { encoding: 'utf8' });
      expect(stderr).toBe('');
      return stdout.trim();
    };
    expect(ask('li')).toBe('list_queues');
    expect(ask('get', '--c')).toBe('--count');
    expect(ask('help', 'g')).toBe('get');
    expect(ask('list-queues', '--')).toBe('--json');
  });
  test('of zsh and fish quotes what summaries hold', () => {
    expect(scriptFor('zsh', verbs)).toContain(String.raw`'get:take '\''single'\'' messages\: now'`);
    expect(scriptFor('zsh', verbs)).toContain('list_queues|list-queues) flags=');
    expect(scriptFor('fish', verbs)).toContain("'__fish_seen_subcommand_from list_queues list-queues' -l json");
    expect(scriptFor('fish', verbs)).toContain(String.raw`-a get -d 'take \'single\' messages: now'`);
  });
});
