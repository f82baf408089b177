// The way of a person whose disk has damaged what it had promised: the refusal, the report, the repair, and the rest of the messages; with the real binary.

import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { connect } from 'leveret-client';
import { expect, test } from 'vitest';
import { ExitCode } from '../../server/cli/exit-codes.ts';
import { freshFolder, SHIM, Started } from '../support/started.ts';

const run = promisify(execFile);
const ANY_PORT = ['--http-port', '0'];
const COUNT = 20;

async function verb(folder: string, ...words: string[]): Promise<{ code: number; out: string; err: string }> {
  try {
    const { stdout, stderr } = await run(process.execPath, [SHIM, ...words], { cwd: folder });
    return { code: 0, out: stdout, err: stderr };
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && 'stdout' in error && 'stderr' in error)) throw error;
    return { code: Number(error.code), out: String(error.stdout), err: String(error.stderr) };
  }
}

test('a killed broker whose log is damaged is refused, reported, repaired, and gives all other messages', { timeout: 60_000 }, async () => {
  const folder = freshFolder();
  const started = new Started(ANY_PORT, {}, folder);
  const mq = await connect(`ws://127.0.0.1:${await started.port()}/ws`, { reconnect: false });
  await mq.declareQueue('orders');
  for (let n = 0; n < COUNT; n++) await mq.queue('orders').publish({ order: `number ${n}.` });
  started.child.kill('SIGKILL');
  await started.ended;
  const wal = join(folder, '.leveret', 'wal');
  const name = readdirSync(wal).find((each) => readFileSync(join(wal, each)).includes('number 7.')) ?? '';
  const bytes = readFileSync(join(wal, name));
  bytes.writeUInt8(0x21, bytes.indexOf('number 7.'));
  writeFileSync(join(wal, name), bytes);

  const refused = new Started(ANY_PORT, {}, folder);
  expect(await refused.ended).toBe(ExitCode.BadInput);
  expect(refused.err).toMatch(new RegExp(`wal/${name}, offset \\d+: .*\\n.*leveret repair`));

  const told = await verb(folder, 'repair');
  expect([told.code, told.err]).toEqual([ExitCode.BadInput, '']);
  expect(told.out).toMatch(new RegExp(`lost: \\.leveret/wal/${name}, bytes \\d+ to \\d+: the records after \\d+, up to \\d+\n`));
  expect(told.out).toContain(`kept: ${COUNT - 1} messages. Nothing has been changed: the same with --yes does it`);
  expect(existsSync(join(folder, '.leveret', 'damaged'))).toBe(false);

  const done = await verb(folder, 'repair', '--yes');
  expect([done.code, done.err]).toEqual([0, '']);
  expect(done.out).toContain(`kept: ${COUNT - 1} messages. Repaired: what was replaced is in .leveret/damaged/`);
  expect((await verb(folder, 'fsck')).code).toBe(0);
  expect((await verb(folder, 'repair')).out).toBe(`whole: ${COUNT - 1} messages, nothing to repair\n`);

  const again = new Started(ANY_PORT, {}, folder);
  const client = await connect(`ws://127.0.0.1:${await again.port()}/ws`, { reconnect: false });
  const found: unknown[] = [];
  for (let message = await client.queue('orders').get(); message !== undefined; message = await client.queue('orders').get()) {
    expect(message.redelivered).toBe(true);
    found.push(message.body);
    message.ack();
  }
  const rest = Array.from({ length: COUNT }, (_, n) => ({ order: `number ${n}.` })).filter((_, n) => n !== 7);
  expect(found).toEqual(rest);
  await client.close();
  await again.stop();

  const inUse = new Started(ANY_PORT, {}, folder);
  await inUse.port();
  expect(await verb(folder, 'repair')).toMatchObject({ code: ExitCode.DataInUse, out: '' });
  await inUse.stop();
});

test('a directory of something else is neither made a data directory nor repaired', async () => {
  const folder = freshFolder();
  writeFileSync(join(folder, 'letter.txt'), 'mine');
  const started = new Started(['--data-dir', '.', ...ANY_PORT], {}, folder);
  expect(await started.ended).toBe(ExitCode.Unavailable);
  expect(started.err).toContain("is not empty: there is 'letter.txt' in it");
  expect((await verb(folder, 'repair', '--data-dir', '.')).code).toBe(ExitCode.Unavailable);
  expect(readdirSync(folder)).toEqual(['letter.txt']);
});
