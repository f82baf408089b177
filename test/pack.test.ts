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
    broker = spawn(join(folder, 'node_modules/.bin/leveret'), ['start', '--http-port', '0', '--amqp-port', '0'], {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const [url, amqpUrl] = await addressesOf(broker);
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
    writeFileSync(
      join(folder, 'amqp-user.js'),
      `import { connect } from 'leveret-client/amqp';
       const mq = await connect(process.argv[2]);
       await mq.queue('packed').publish({ n: 2 });
       const message = await mq.queue('packed').get();
       console.log(message.body.n, message.ack());
       await mq.drain();`,
    );
    expect((await run(process.execPath, ['amqp-user.js', amqpUrl], { cwd: folder })).stdout).toBe('2 true\n');
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

  test('have types that a program without those of Node can be checked against', async () => {
    writeFileSync(
      join(folder, 'typed.ts'),
      `import { connect, topology, type } from 'leveret-client';
       import { type AmqpConnectOptions, type ByteTransport, connect as connectAmqp } from 'leveret-client/amqp';
       const shop = topology({ queues: { billing: { message: type<{ total: number }>() } } });
       const options: AmqpConnectOptions<typeof shop> = { topology: shop, vhost: 'v', heartbeat: '20s', tls: { ca: '' }, mechanism: 'EXTERNAL' };
       export const transport = (own: ByteTransport) => connectAmqp('amqps://host', { transport: own });
       for (const mq of [await connect('ws://host', { topology: shop }), await connectAmqp('amqps://host', options)]) {
         const total: number | undefined = (await mq.queue('billing').get())?.body.total;
         // @ts-expect-error: it is a number
         const text: string | undefined = (await mq.queue('billing').get())?.body.total;
         console.log(total, text);
       }`,
    );
    const flags = [
      '--noEmit',
      '--strict',
      '--target',
      'es2022',
      '--module',
      'nodenext',
      '--lib',
      'es2023,dom,esnext.disposable',
      '--types',
      '',
    ];
    const { stdout } = await run(join(ROOT, 'node_modules/.bin/tsc'), [...flags, 'typed.ts'], { cwd: folder }).catch((error) => error);
    expect(stdout).toBe('');
  });

  test('are bundled for a browser without a module of Node, both entries of the client', async () => {
    const { build } = await import('esbuild');
    for (const name of ['leveret-client', 'leveret-client/amqp']) {
      writeFileSync(join(folder, 'page.js'), `import { connect } from '${name}'; globalThis.connect = connect;`);
      const { metafile } = await build({
        ...{ entryPoints: [join(folder, 'page.js')], bundle: true, format: 'esm', platform: 'browser', metafile: true, write: false },
      });
      const inputs = Object.keys(metafile.inputs);
      expect(inputs.some((path) => path.includes('leveret-client'))).toBe(true);
      expect(inputs.filter((path) => path.includes('node_modules/ws/') || path.includes('transport-node'))).toEqual([]);
      expect(Object.values(metafile.outputs).flatMap(({ imports }) => imports)).toEqual([]);
    }
  });

  test('are packages that publint has nothing against', async () => {
    const { publint } = await import('publint');
    for (const name of ['server', 'client']) {
      const { messages } = await publint({ pkgDir: join(ROOT, name), strict: true });
      expect(messages.filter(({ type }) => type !== 'suggestion')).toEqual([]);
    }
  });
});

/** For WebSocket and for AMQP. */
async function addressesOf(child: ChildProcess): Promise<[string, string]> {
  let printed = '';
  return new Promise((resolve, reject) => {
    const read = (chunk: Buffer): void => {
      printed += chunk.toString();
      const found = /(ws:\/\/\S+)[\s\S]*?(amqp:\/\/\S+)\s/.exec(printed);
      if (found !== null) resolve([String(found[1]), String(found[2])]);
    };
    child.stdout?.on('data', read);
    child.stderr?.on('data', read);
    child.once('exit', (code) => reject(new Error(`the broker ended with ${code}:\n${printed}`)));
  });
}
