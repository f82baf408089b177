// A disk that fills up under the real binary, seen by real clients: publishers are held back, everything else goes on, and all of it when there is room again.

import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Connection, connect } from 'leveret-client';
import { expect, test } from 'vitest';
import { freshFolder, Started } from '../support/started.ts';

const ANY_PORT = ['--http-port', '0'];

/**
 * Loaded into the broker: its disk is full while the file FULL_DISK_FLAG is there. What is kept in reserve can be given up: once FULL_DISK_RESERVE is
 * gone there is room again for what has to be written, though none to speak of.
 */
const FULL_DISK = `
  import fs from 'node:fs';
  import { syncBuiltinESMExports } from 'node:module';
  const { writev, writeSync, statfs, existsSync } = fs;
  const isLow = () => existsSync(process.env.FULL_DISK_FLAG);
  const isFull = () => isLow() && existsSync(process.env.FULL_DISK_RESERVE);
  const noSpace = () => Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC', syscall: 'write' });
  fs.writev = (fd, pieces, position, done) => (isFull() ? setImmediate(() => done(noSpace())) : writev(fd, pieces, position, done));
  fs.writeSync = (fd, ...rest) => {
    if (fd > 2 && isFull()) throw noSpace();
    return writeSync(fd, ...rest);
  };
  fs.statfs = (path, done) => statfs(path, (error, stats) => done(error, isLow() ? { ...stats, bavail: 0 } : stats));
  syncBuiltinESMExports();
`;

test('a full disk blocks publishers only; what waited is confirmed when there is room, and a kill then loses none of it', {
  timeout: 60_000,
}, async () => {
  const folder = freshFolder();
  const flag = join(folder, 'full');
  const environment = {
    NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(FULL_DISK)}`,
    FULL_DISK_FLAG: flag,
    FULL_DISK_RESERVE: join(folder, '.leveret', 'reserve'),
  };
  const started = new Started(ANY_PORT, environment, folder);
  const clientOf = async (of: Started): Promise<Connection> => connect(`ws://127.0.0.1:${await of.port()}/ws`, { reconnect: false });
  const publisher = await clientOf(started);
  const worker = await clientOf(started);
  await publisher.declareQueue('jobs');
  await publisher.declareQueue('old');
  for (let n = 0; n < 5; n++) await publisher.queue('jobs').publish({ n });

  writeFileSync(flag, '');
  let unblock: () => void = () => undefined;
  const unblocked = new Promise<void>((resolve) => {
    unblock = resolve;
  });
  const blocked = new Promise<string>(
    (resolve) => void publisher.on('blocked', (reason) => (reason === undefined ? unblock() : resolve(reason))),
  );
  const waiting: Promise<unknown>[] = [publisher.queue('jobs').publish({ n: 5 })];
  expect(await blocked).toContain('low on disk');
  waiting.push(publisher.queue('jobs').publish({ n: 6 }));
  for (let n = 0; n < 3; n++) {
    const message = await worker.queue('jobs').get();
    expect(message?.body).toEqual({ n });
    message?.ack();
  }
  await worker.queue('old').delete();

  rmSync(flag);
  await unblocked;
  await Promise.all(waiting);
  started.child.kill('SIGKILL');
  await started.ended;

  const again = new Started(ANY_PORT, {}, folder);
  const client = await clientOf(again);
  const left: unknown[] = [];
  for (let message = await client.queue('jobs').get(); message !== undefined; message = await client.queue('jobs').get()) {
    left.push(message.body);
    message.ack();
  }
  expect(left).toEqual([3, 4, 5, 6].map((n) => ({ n })));
  await expect(client.queue('old').inspect()).rejects.toThrow("no queue 'old'");
  await client.close();
  await again.stop();
});
