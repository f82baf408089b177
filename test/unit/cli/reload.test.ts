// SIGHUP: what a running broker takes over, what it does not, and that a mistake changes nothing.

import { copyFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { Reload } from '../../../server/cli/reload.ts';
import { loadConfig } from '../../../server/config-sources.ts';
import { createLog } from '../../../server/log.ts';
import { readTlsFiles } from '../../../server/tls-files.ts';
import { freshFolder, Started } from '../../support/started.ts';

const pem = (name: string): string => fileURLToPath(new URL(`../../support/tls/${name}.pem`, import.meta.url));

function setUp(): {
  file: string;
  folder: string;
  lines: Record<string, unknown>[];
  given: unknown[];
  reload: Reload;
  level: () => string;
} {
  const folder = freshFolder();
  const file = join(folder, 'leveret.toml');
  copyFileSync(pem('server'), join(folder, 'cert.pem'));
  copyFileSync(pem('server-key'), join(folder, 'key.pem'));
  writeFileSync(file, tls(folder));
  const lines: Record<string, unknown>[] = [];
  const given: unknown[] = [];
  const log = createLog('info', { write: (line) => void lines.push(JSON.parse(line)) });
  const load = () => loadConfig({ file, environment: {}, flags: {} });
  const started = load();
  const files = started.config.tls && readTlsFiles(started.config.tls);
  return {
    file,
    folder,
    lines,
    given,
    reload: new Reload(started, files, { load, setTls: (options) => void given.push(options), log }),
    level: () => log.level,
  };
}

function tls(folder: string, rest = ''): string {
  return `${rest}\n[tls]\ncert = "${folder}/cert.pem"\nkey = "${folder}/key.pem"\n`;
}

test('the log level and certificates are taken over, and the log says what changed', () => {
  const { file, folder, lines, given, reload, level } = setUp();
  reload.run();
  expect(lines.at(-1)).toMatchObject({ msg: 'SIGHUP: nothing to change' });
  copyFileSync(pem('stranger'), join(folder, 'cert.pem'));
  copyFileSync(pem('stranger-key'), join(folder, 'key.pem'));
  writeFileSync(file, tls(folder, 'log-level = "debug"'));
  reload.run();
  expect(level()).toBe('debug');
  expect(given).toMatchObject([{ cert: readFileSync(pem('stranger')) }]);
  expect(lines.at(-1)).toMatchObject({ msg: 'SIGHUP: changed TLS certificates, log-level from info to debug' });
});

test('after a mistake everything is as it was, and the log says what was wrong', () => {
  const { file, folder, lines, given, reload, level } = setUp();
  writeFileSync(file, tls(folder, 'log-level = "debug"\nhttp-prot = 1'));
  reload.run();
  expect(lines.at(-1)).toMatchObject({ level: 'error', mistakes: [`${file}:2: no setting 'http-prot': did you mean 'http-port'?`] });
  writeFileSync(file, tls(folder, 'log-level = "debug"'));
  writeFileSync(join(folder, 'cert.pem'), 'no certificate');
  reload.run();
  expect(lines.at(-1)).toMatchObject({ msg: 'SIGHUP: the configuration is wrong, and nothing has changed' });
  expect([level(), given]).toEqual(['info', []]);
});

test.each([
  ['cert.pem', 'tls.cert'],
  ['key.pem', 'tls.key'],
  ['ca.pem', 'tls.ca'],
])('a broken %s is named, and the setting %s that names it', (name, setting) => {
  const { file, folder, lines, given, reload } = setUp();
  const path = join(folder, name);
  copyFileSync(pem('ca'), join(folder, 'ca.pem'));
  writeFileSync(file, `${tls(folder)}ca = "${folder}/ca.pem"\n`);
  writeFileSync(path, '-----BEGIN CERTIFICATE-----\nnone\n-----END CERTIFICATE-----\n');
  reload.run();
  expect(lines.at(-1)).toMatchObject({ level: 'error', mistakes: [expect.stringMatching(`^${setting}: ${path} `)] });
  rmSync(path);
  reload.run();
  expect(lines.at(-1)).toMatchObject({ level: 'error', mistakes: [expect.stringMatching(`^${setting}: ${path} cannot be read: ENOENT`)] });
  expect(given).toEqual([]);
});

test('a certificate and a key that are not each other’s are both named', () => {
  const { folder, lines, reload } = setUp();
  copyFileSync(pem('stranger-key'), join(folder, 'key.pem'));
  reload.run();
  expect(lines.at(-1)).toMatchObject({
    mistakes: [expect.stringMatching(`^tls.cert and tls.key: ${folder}/cert.pem and ${folder}/key.pem do not belong together: `)],
  });
});

test('what nothing takes over is named, with the word that it needs a restart', () => {
  const { file, folder, lines, reload } = setUp();
  writeFileSync(file, `${tls(folder, 'http-port = 1')}client-certificate = "none"\n[limits]\nhandles = 5\n`);
  reload.run();
  expect(lines.at(-1)).toMatchObject({ level: 'warn', msg: 'SIGHUP: changes of http-port, limits.handles need a restart' });
});

test('a running broker hands out the new certificate on both TLS ports after SIGHUP, and to connections that were open nothing happens', async () => {
  const folder = freshFolder();
  copyFileSync(pem('server'), join(folder, 'cert.pem'));
  copyFileSync(pem('server-key'), join(folder, 'key.pem'));
  const flags = [
    '--memory',
    '--http-port',
    '0',
    '--https-port',
    '0',
    '--amqps-port',
    '0',
    '--tls-cert',
    'cert.pem',
    '--tls-key',
    'key.pem',
  ];
  const started = new Started(flags, {}, folder);
  await started.port();
  const ports = [/wss:\/\/[^:]+:(\d+)/, /amqps:\/\/[^:]+:(\d+)/].map((url) => Number(url.exec(started.out)?.[1]));
  const before = await Promise.all(ports.map(certificate));
  copyFileSync(pem('stranger'), join(folder, 'cert.pem'));
  copyFileSync(pem('stranger-key'), join(folder, 'key.pem'));
  started.child.kill('SIGHUP');
  while (!started.err.includes('SIGHUP: changed TLS certificates'))
    await new Promise((resolve) => started.child.stderr?.once('data', resolve));
  const after = await Promise.all(ports.map(certificate));
  expect(before[0]).toBe(before[1]);
  expect(after[0]).toBe(after[1]);
  expect(after[0]).not.toBe(before[0]);
  await started.stop();
});

/** The fingerprint of what a port shows. */
function certificate(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket: TLSSocket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false }, () => {
      resolve(socket.getPeerCertificate().fingerprint256);
      socket.destroy();
    });
    socket.once('error', reject);
  });
}
