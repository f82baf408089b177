// What a person reads while a broker recovers: nothing when it is quick, a line a second when it is not, and what was found.

import { expect, test } from 'vitest';
import { RecoveryReport } from '../../../server/cli/recovery-report.ts';
import type { Notice } from '../../../server/ports.ts';

function report(): { report: RecoveryReport; lines: string[]; logged: string[]; at: (ms: number) => void } {
  let time = 0;
  const lines: string[] = [];
  const logged: string[] = [];
  const options = {
    directory: '.leveret',
    notices: { notice: ({ kind }: Notice): void => void logged.push(kind) },
    tell: (line: string): void => void lines.push(line),
    now: (): number => time,
  };
  return {
    report: new RecoveryReport(options),
    lines,
    logged,
    at: (ms) => {
      time = ms;
    },
  };
}
const notice = (kind: string, fields: Notice['fields']): Notice => ({ kind, severity: 'info', text: '', fields });

test('a recovery of less than a second shows nothing on its way', () => {
  const { report: shown, lines, logged, at } = report();
  at(999);
  shown.notice(notice('recovery.progress', { done: 90_000_000, total: 100_000_000 }));
  expect({ lines, logged }).toEqual({ lines: [], logged: [] });
});

test('a longer one shows a line a second', () => {
  const { report: shown, lines, at } = report();
  for (let ms = 0; ms <= 2600; ms += 100) {
    at(ms);
    shown.notice(notice('recovery.progress', { done: ms * 100_000, total: 400_000_000 }));
  }
  expect(lines).toEqual(['Recovering .leveret: 100 of 400 MB (25 %)', 'Recovering .leveret: 200 of 400 MB (50 %)']);
});

test.each([
  [{ messages: 12, queues: 3, ms: 5, clean: 1 }, 'Recovered 12 messages in 3 queues from .leveret (clean stop)'],
  [{ messages: 1, queues: 1, ms: 5, clean: 0 }, 'Recovered 1 message in 1 queue from .leveret (unclean stop)'],
  [{ messages: 0, queues: 2, ms: 5, clean: 'false' }, 'Recovered 0 messages in 2 queues from .leveret (unclean stop)'],
  [{ messages: 0, queues: 0, ms: 5, clean: 1 }, undefined],
])('%j is told as: %s', (fields, expected) => {
  const { report: shown, logged } = report();
  shown.notice(notice('recovered', fields));
  expect(shown.summary).toBe(expected);
  expect(logged).toEqual(['recovered']);
});

test('other notices go to the log', () => {
  const { report: shown, lines, logged } = report();
  shown.notice(notice('memory.alarm', {}));
  expect({ lines, logged }).toEqual({ lines: [], logged: ['memory.alarm'] });
});
