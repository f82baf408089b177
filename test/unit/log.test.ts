// The log tells what happened and no secret.

import { expect, test } from 'vitest';
import { createLog, noticesTo } from '../../server/log.ts';
import { isLoopback } from '../../server/websocket/listener.ts';

function lines(use: (log: ReturnType<typeof createLog>) => void): Record<string, unknown>[] {
  const written: string[] = [];
  use(createLog('debug', { write: (line) => void written.push(line) }));
  return written.map((line) => JSON.parse(line));
}

test('secrets are cut out by name, at the top and one level down', () => {
  const [line] = lines((log) =>
    log.child({ connection: 1 }).info({ user: 'u', password: 'hunter2', hello: { token: 'hunter2', vhost: '/' } }, 'hello'),
  );
  expect(line).toMatchObject({
    level: 'info',
    connection: 1,
    user: 'u',
    password: '[secret]',
    hello: { token: '[secret]', vhost: '/' },
    msg: 'hello',
  });
  expect(JSON.stringify(line)).not.toContain('hunter2');
});

test('what the broker notices is logged as severe as it says', () => {
  const told = lines((log) => {
    noticesTo(log).notice({ kind: 'fault.turn', severity: 'error', text: 'a turn failed', fields: { queue: 'q' } });
    noticesTo(log).notice({ kind: 'memory.alarm', severity: 'warn', text: 'held back', fields: { bytes: 5 } });
  });
  expect(told).toMatchObject([
    { level: 'error', kind: 'fault.turn', queue: 'q' },
    { level: 'warn', kind: 'memory.alarm', bytes: 5 },
  ]);
});

test.each([
  ['127.0.0.1', true],
  ['127.8.9.1', true],
  ['::1', true],
  ['::ffff:127.0.0.1', true],
  ['::ffff:10.0.0.1', false],
  ['10.0.0.1', false],
  ['128.0.0.1', false],
  ['::', false],
  ['', false],
])('%j is loopback: %s', (address, expected) => {
  expect(isLoopback(address)).toBe(expected);
});
