// `leveret start` with a data directory: what is there after a stop and after a kill, and what a directory that cannot be had gets.

import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, realpathSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Connection, connect } from 'leveret-client';
import { describe, expect, test } from 'vitest';
import { ExitCode } from '../../server/cli/exit-codes.ts';
import { freshFolder, SHIM, Started } from '../support/started.ts';

const run = promisify(execFile);
const ANY_PORT = ['--http-port', '0'];

const urlOf = async (started: Started): Promise<string> => `ws://127.0.0.1:${await started.port()}/ws`;
const clientOf = async (started: Started): Promise<Connection> => connect(await urlOf(started), { reconnect: false });

/** What an error may look like: one line, one that says what to do, and no stack. */
function expectRefusal(started: Started, expected: RegExp): void {
  const lines = started.err.trimEnd().split('\n');
  expect(started.err).toMatch(expected);
  expect(lines[0]).toMatch(/^leveret: /);
  expect(lines.length).toBeLessThanOrEqual(2);
  expect(started.err).not.toMatch(/^\s+at /m);
  expect(started.out).toBe('');
}

/** A data directory in which `keep` holds one message, and whose broker has stopped. */
async function used(folder: string): Promise<string> {
  const started = new Started(ANY_PORT, {}, folder);
  const mq = await clientOf(started);
  await mq.declareQueue('keep');
  await mq.queue('keep').publish({ n: 1 });
  await mq.close();
  await started.stop();
  return join(folder, '.leveret');
}

describe('what is kept', () => {
  test('by default in .leveret, where the broker was started, and it says so', async () => {
    const folder = realpathSync(freshFolder());
    const started = new Started(ANY_PORT, {}, folder);
    await started.port();
    expect(started.out).toContain(`Messages are kept in ${join(folder, '.leveret')}.\n`);
    expect(started.out).not.toContain('Recovered');
    expect(statSync(join(folder, '.leveret')).mode & 0o077).toBe(0);
    expect(started.err).toBe('');
  });

  test('a reader of the output that goes away is no error: the stop is as orderly as any', async () => {
    const folder = freshFolder();
    const started = new Started(ANY_PORT, {}, folder);
    await started.port();
    started.child.stdout?.destroy();
    await started.stop();
    const after = new Started(ANY_PORT, {}, folder);
    await after.port();
    expect([started.err, after.out]).toEqual(['', expect.not.stringContaining('unclean')]);
  });

  test('a publish under the disk alarm says that it waits, and Ctrl-C ends it with what was confirmed', async () => {
    const folder = freshFolder();
    const started = new Started(ANY_PORT, { LEVERET_LIMITS_DISK_FREE_BYTES: String(2 ** 50) }, folder);
    const url = await urlOf(started);
    const child = spawn(process.execPath, [SHIM, 'publish', '', 'nowhere', 'x', '--count', '3', '--url', url], { stdio: 'pipe' });
    let out = '';
    let err = '';
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => {
      err += chunk.toString();
      if (err.includes('Ctrl-C gives up')) child.kill('SIGINT');
    });
    expect((await once(child, 'close'))[0]).toBe(ExitCode.Interrupted);
    expect([out, err]).toEqual(['published 0 messages\n', 'publishers are held back: low on disk. Waiting; Ctrl-C gives up\n']);
    await started.stop();
  });

  test('a clean stop keeps messages, queues and bindings as they were', async () => {
    const folder = freshFolder();
    const before = new Started(ANY_PORT, {}, folder);
    const mq = await connect(await urlOf(before), {
      reconnect: false,
      topology: { exchanges: { orders: { type: 'topic' } }, queues: { keep: { from: 'orders', keys: ['order.*'], maxPriority: 9 } } },
    });
    await mq.exchange('orders').publish('order.new', 'first');
    await mq.exchange('orders').publish('order.new', 'urgent', { priority: 9 });
    await mq.queue('keep').publish('transient', { persistent: false });
    await mq.close();
    await before.stop();
    const after = new Started(ANY_PORT, {}, folder);
    const again = await clientOf(after);
    expect(after.out).toContain('Recovered 2 messages in 1 queue from .leveret (clean stop)\n');
    await again.exchange('orders').publish('order.new', 'last');
    const bodies: unknown[] = [];
    for (let message = await again.queue('keep').get(); message !== undefined; message = await again.queue('keep').get()) {
      expect(message.redelivered).toBe(false);
      bodies.push(message.body);
      message.ack();
    }
    expect(bodies).toEqual(['urgent', 'first', 'last']);
    await again.close();
  });

  test('a kill loses nothing that was confirmed, and what may have been delivered says so', async () => {
    const folder = freshFolder();
    const before = new Started(ANY_PORT, {}, folder);
    const mq = await clientOf(before);
    await mq.declareQueue('keep');
    await mq.declareQueue('untouched');
    for (let n = 0; n < 100; n++) await mq.queue('keep').publish({ n });
    await mq.queue('untouched').publish('x');
    await mq.queue('keep').get();
    await before.kill();
    const after = new Started(ANY_PORT, {}, folder);
    const again = await clientOf(after);
    expect(after.out).toContain('Recovered 101 messages in 2 queues from .leveret (unclean stop)\n');
    const first = await again.queue('keep').get();
    expect(first?.body).toEqual({ n: 0 });
    expect(first?.redelivered).toBe(true);
    expect((await again.queue('untouched').get())?.redelivered).toBe(true); // after a kill a false alarm is allowed
    expect((await again.queue('keep').inspect()).ready).toBe(99);
    await again.close();
  });

  test('the minute of the README gets its message although the broker was killed before the last line', async () => {
    const folder = freshFolder();
    const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
    const commands = [...readme.matchAll(/^npx leveret (.*)$/gm)]
      .map(([, words = '']) => words)
      .filter((words) => !words.startsWith('start'));
    const minute = commands.slice(0, 1 + commands.findIndex((words) => words.startsWith('get ')));
    const printed: string[] = [];
    let started = new Started(ANY_PORT, {}, folder);
    for (const words of minute) {
      if (words.startsWith('get ')) {
        await started.kill();
        started = new Started(ANY_PORT, {}, folder);
      }
      const env = { ...process.env, LEVERET_URL: await urlOf(started) };
      printed.push((await run('sh', ['-c', `"$0" "$1" ${words}`, process.execPath, SHIM], { env })).stdout);
    }
    expect(minute.length).toBeGreaterThan(3);
    expect(printed.at(-1)).toContain('Hello, world');
  });

  test('--memory keeps nothing and makes no directory', async () => {
    const folder = freshFolder();
    for (const environment of [{}, { LEVERET_DATA_DIR: '/nowhere' }]) {
      const started = new Started(['--memory', ...ANY_PORT], environment, folder);
      const mq = await clientOf(started);
      expect(started.out).toContain('Messages are kept in memory: they end with this process.\n');
      await expect(mq.queue('keep').inspect()).rejects.toMatchObject({ code: 'NOT_FOUND' });
      await mq.declareQueue('keep');
      await mq.close();
      await started.stop();
    }
    expect(readdirSync(folder)).toEqual([]);
  });

  test('in a directory that is named, and made with its parents', async () => {
    const folder = freshFolder();
    const started = new Started(['--data-dir', 'a/b', ...ANY_PORT], {}, folder);
    await started.port();
    await started.stop();
    expect(readdirSync(folder)).toEqual(['a']);
    expect(existsSync(join(folder, 'a/b/wal'))).toBe(true);
  });

  test('a second signal during a long drain ends at once, and the data is as after a kill', async () => {
    const folder = freshFolder();
    const before = new Started(ANY_PORT, { LEVERET_LIMITS_DRAIN_MS: '3600000' }, folder);
    const mq = await clientOf(before);
    await mq.declareQueue('keep');
    await mq.queue('keep').publish('held');
    await mq.queue('keep').get();
    const closing = once(before.child.stdout ?? before.child, 'data');
    before.child.kill('SIGTERM');
    await closing;
    before.child.kill('SIGTERM');
    expect(await before.ended).toBe(ExitCode.Interrupted);
    const after = new Started(ANY_PORT, {}, folder);
    const again = await clientOf(after);
    expect((await again.queue('keep').get())?.redelivered).toBe(true);
    await again.close();
  });
});

describe('a directory that cannot be had', () => {
  test('of another process: the refusal names that process, which goes on', async () => {
    const folder = freshFolder();
    const first = new Started(ANY_PORT, {}, folder);
    const mq = await clientOf(first);
    const second = new Started(ANY_PORT, {}, folder);
    expect(await second.ended).toBe(ExitCode.DataInUse);
    expectRefusal(second, new RegExp(`\\.leveret.* process ${first.child.pid}\\b`));
    await mq.declareQueue('still there');
    await mq.close();
    await first.stop();
  });

  test('the lock of a process that was killed is no obstacle', async () => {
    const folder = freshFolder();
    const first = new Started(ANY_PORT, {}, folder);
    await first.port();
    await first.kill();
    const second = new Started(ANY_PORT, {}, folder);
    await second.port();
    await second.stop();
  });

  test('of a newer version', async () => {
    const folder = freshFolder();
    const directory = await used(folder);
    const format = readFileSync(join(directory, 'format'), 'utf8');
    writeFileSync(
      join(directory, 'format'),
      format.replace(/\d+/, (version) => String(Number(version) + 1)),
    );
    const started = new Started(ANY_PORT, {}, folder);
    expect(await started.ended).toBe(ExitCode.Configuration);
    expectRefusal(started, /newer version/);
    writeFileSync(join(directory, 'format'), format);
    const again = new Started(ANY_PORT, {}, folder);
    await again.port();
    expect(again.out).toContain('Recovered 1 message in 1 queue');
  });

  test('damaged where it was synced: file and offset are named, and nothing is changed', async () => {
    const folder = freshFolder();
    const directory = await used(folder);
    const name = readdirSync(join(directory, 'wal'))
      .sort()
      .find((each) => readFileSync(join(directory, 'wal', each)).includes('{"n":1}'));
    const file = join(directory, 'wal', name ?? 'missing');
    const bytes = readFileSync(file);
    bytes.writeUInt8(bytes.readUInt8(bytes.indexOf('{"n":1}')) ^ 1, bytes.indexOf('{"n":1}'));
    writeFileSync(file, bytes);
    const started = new Started(ANY_PORT, {}, folder);
    expect(await started.ended).toBe(ExitCode.BadInput);
    expectRefusal(started, new RegExp(`wal/${name}, offset \\d+: `));
    expect(readFileSync(file).equals(bytes)).toBe(true);
  });

  test.each([
    ['a file', 'file'],
    ['below a file', 'file/data'],
    ['below a link that leads nowhere', 'link/data'],
    ['where nothing can be made', '/proc/leveret/data'],
  ])('%s', async (_what, directory) => {
    const folder = freshFolder();
    writeFileSync(join(folder, 'file'), 'not a directory');
    symlinkSync('/nowhere', join(folder, 'link'));
    const started = new Started(['--data-dir', directory, ...ANY_PORT], {}, folder);
    expect(await started.ended).toBe(ExitCode.Unavailable);
    expectRefusal(started, new RegExp(directory));
    expect(readFileSync(join(folder, 'file'), 'utf8')).toBe('not a directory');
  });

  test('memory and a directory at once', async () => {
    const started = new Started(['--memory', '--data-dir', 'data', ...ANY_PORT]);
    expect(await started.ended).toBe(ExitCode.Configuration);
    expectRefusal(started, /--memory: 'memory' keeps no data, so 'data-dir' \(--data-dir\) contradicts it/);
  });
});

describe('a disk that fails', () => {
  // Under this the real broker's fdatasync fails as soon as the file exists.
  const FAILING_SYNC = `
    import fs from 'node:fs';
    import { syncBuiltinESMExports } from 'node:module';
    const { fdatasync } = fs;
    fs.fdatasync = (fd, done) => {
      const error = Object.assign(new Error('EIO: i/o error, fdatasync'), { code: 'EIO', syscall: 'fdatasync' });
      if (fs.existsSync(process.env.FAILS_ONCE_THERE_IS)) process.nextTick(done, error);
      else fdatasync(fd, done);
    };
    syncBuiltinESMExports();
  `;

  test('ends the broker with its own code: nothing more is confirmed, connections are closed with 541, what was confirmed is there', async () => {
    const folder = freshFolder();
    const mark = join(folder, 'failing');
    const environment = {
      NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(FAILING_SYNC)}`,
      FAILS_ONCE_THERE_IS: mark,
    };
    const before = new Started(ANY_PORT, environment, folder);
    const mq = await clientOf(before);
    const reasons: string[] = [];
    mq.on('state', (state, why) => reasons.push(`${state} ${why?.message}`));
    await mq.declareQueue('keep');
    await mq.queue('keep').publish('stored');
    writeFileSync(mark, '');
    await expect(mq.queue('keep').publish('never confirmed')).rejects.toThrow();
    expect(await before.ended).toBe(ExitCode.InputOutput);
    expect(reasons.join()).toMatch(/closed .*541/);
    const lines = before.err.trimEnd().split('\n');
    const line = lines.find((text) => text.includes('"level":"fatal"')) ?? '{}';
    expect(JSON.parse(line)).toMatchObject({ level: 'fatal', cause: 'EIO: i/o error, fdatasync' });
    expect(lines.at(-2)).toMatch(/^leveret: .*\.leveret.* EIO/);
    expect(lines.at(-1)).toMatch(/^ {2}what was confirmed is stored/);
    expect(before.err).not.toMatch(/\n\s+at /); // no stack trace
    const after = new Started(ANY_PORT, {}, folder);
    const again = await clientOf(after);
    expect((await again.queue('keep').get())?.body).toBe('stored');
    await again.close();
    await mq.close();
  });
});
