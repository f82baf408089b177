// The audit log on disk: whole lines, appended, and a file that can be moved away.
import { mkdtempSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { AuditFile } from '../../server/audit-file.ts';
import type { AuditEntry } from '../../server/broker/audit.ts';

const ENTRY: AuditEntry = { at: 't', user: 'u', vhost: '/', act: 'queue.created', object: 'q\n', outcome: 'ok', peer: 'p' };

test('entries are lines of JSON, after those of an earlier run, in a file of its owner alone', () => {
  const directory = mkdtempSync(join(tmpdir(), 'leveret-audit-'));
  try {
    const path = join(directory, 'audit.log');
    const notices = { notice: () => undefined };
    for (let run = 0; run < 2; run++) {
      const file = new AuditFile(path, notices);
      file.write(ENTRY);
      file.close();
    }
    const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
    expect(lines.map((line): unknown => JSON.parse(line))).toEqual([ENTRY, ENTRY]);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const file = new AuditFile(path, notices);
    renameSync(path, `${path}.1`);
    file.reopen();
    file.write(ENTRY);
    file.close();
    expect(readFileSync(path, 'utf8').trimEnd().split('\n')).toHaveLength(1);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test('a line that cannot be written is told once, and stops nobody', () => {
  const directory = mkdtempSync(join(tmpdir(), 'leveret-audit-'));
  try {
    const told: string[] = [];
    const file = new AuditFile(join(directory, 'audit.log'), { notice: ({ kind }) => told.push(kind) });
    file.close();
    file.write(ENTRY);
    file.write(ENTRY);
    expect(told).toEqual(['audit.failed']);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
