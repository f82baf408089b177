// What users install: both packages as npm packs them, in an empty folder, with nothing of this tree around.
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ROOT } from './tidy/sources.ts';

const run = promisify(execFile);
const folder = realpathSync(mkdtempSync(join(tmpdir(), 'leveret-pack-')));
let broker: ChildProcess | undefined;

beforeAll(async () => {
  await run('npm', ['pack', '--silent', '-w', 'leveret', '-w', 'leveret-client', '--pack-destination', folder], { cwd: ROOT });
  const tarballs = readdirSync(folder).filter((name) => name.endsWith('.tgz'));
  expect(tarballs).toHaveLength(2);
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'empty', private: true, type: 'module' }));
  // What is in npm's cache is not asked for again.
  const flags = ['--no-audit', '--no-fund', '--ignore-scripts', '--prefer-offline', '--silent'];
  await run('npm', ['install', ...flags, ...tarballs.map((name) => `./${name}`)], { cwd: folder });
}, 120_000);

afterAll(() => {
  broker?.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

describe('both packages, installed in an empty folder', () => {
  test('hold what runs and nothing that tests or builds it', async () => {
    const contents = async (name: string): Promise<string[]> => {
      const { stdout } = await run('npm', ['pack', '--dry-run', '--json', '-w', name], { cwd: ROOT });
      const [report] = Object.values(JSON.parse(stdout) as Record<string, { files: { path: string }[] }>);
      return report?.files.map((file) => file.path) ?? [];
    };
    for (const name of ['leveret', 'leveret-client']) {
      const files = await contents(name);
      expect(files).toContain('LICENSE');
      expect(files).toContain('README.md');
      expect(
        files.filter((path) => !/^(dist\/.*\.(js|d\.ts|js\.map|d\.ts\.map)|bin\/leveret\.js|package\.json|README\.md|LICENSE)$/.test(path)),
      ).toEqual([]);
    }
    expect(readdirSync(join(folder, 'node_modules')).filter((name) => /^(typescript|vitest|@leveret)$/.test(name))).toEqual([]);
  });

  test('start, publish and consume', async () => {
    broker = spawn(join(folder, 'node_modules/.bin/leveret'), ['start', '--http-port', '0'], {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const url = await addressOf(broker);
    writeFileSync(
      join(folder, 'user.js'),
      `import { connect } from 'leveret-client';
       const mq = await connect(process.argv[2]);
       await mq.declareQueue('packed');
       console.log((await mq.queue('packed').publish({ n: 1 })).routed);
       for await (const message of mq.queue('packed').consume()) { console.log(message.body.n); await message.ack(); break; }
       await mq.close();`,
    );
    const { stdout } = await run(process.execPath, ['user.js', url], { cwd: folder });
    expect(stdout).toBe('1\n1\n');
    const ended = once(broker, 'exit');
    broker.kill('SIGTERM');
    expect((await ended)[0]).toBe(0);
  });

  test('embed the broker in a process that ends by itself', async () => {
    writeFileSync(
      join(folder, 'embedded.js'),
      `import { createBroker } from 'leveret';
       const broker = await createBroker();
       const mq = await broker.connect();
       await mq.declareQueue('inside');
       console.log((await mq.queue('inside').publish('hello')).routed);
       await mq.close();
       await broker.close();`,
    );
    const { stdout } = await run(process.execPath, ['embedded.js'], { cwd: folder });
    expect(stdout).toBe('1\n');
  });

  test('are packages that publint has nothing against', async () => {
    const { publint } = await import('publint');
    for (const name of ['server', 'client']) {
      const { messages } = await publint({ pkgDir: join(ROOT, name), strict: true });
      expect(messages.filter(({ type }) => type !== 'suggestion')).toEqual([]);
    }
  });
});

async function addressOf(child: ChildProcess): Promise<string> {
  let printed = '';
  return new Promise((resolve, reject) => {
    const read = (chunk: Buffer): void => {
      printed += chunk.toString();
      const found = /ws:\/\/[^\s"',]+/.exec(printed);
      if (found !== null) resolve(found[0]);
    };
    child.stdout?.on('data', read);
    child.stderr?.on('data', read);
    child.once('exit', (code) => reject(new Error(`the broker ended with ${code}:\n${printed}`)));
  });
}
