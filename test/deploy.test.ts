// What is there to deploy with: each file parsed, and the commands in it run, as far as that goes without a container engine.
// Always: the image is built by the Dockerfile's own steps, in a temporary directory, and nothing in it changes while it runs.

import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, expect, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { inspectConfig } from '../server/config-sources.ts';
import { execForm, type Instruction, readDockerfile } from './support/dockerfile.ts';
import { ROOT } from './tidy/sources.ts';

const run = promisify(execFile);
const folder = mkdtempSync(join(tmpdir(), 'leveret-deploy-'));
let child: ChildProcess | undefined;
afterAll(async () => {
  if (child?.exitCode === null && child.signalCode === null) {
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  rmSync(folder, { recursive: true, force: true });
});

const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
const dockerfile = readDockerfile(read('Dockerfile'));
const [build, image] = stages(dockerfile);
const exposed = (image ?? []).filter(({ name }) => name === 'EXPOSE').flatMap(({ words }) => words.map(Number));
const only = (name: string): Instruction => {
  const found = (image ?? []).find((each) => each.name === name);
  if (found === undefined) throw new Error(`the image has no ${name}`);
  return found;
};

function stages(instructions: readonly Instruction[]): Instruction[][] {
  const found: Instruction[][] = [];
  for (const instruction of instructions) {
    if (instruction.name === 'FROM') found.push([]);
    found.at(-1)?.push(instruction);
  }
  return found;
}

/** What the broker would say to these variables; a secret's file is there only where it is deployed. */
function mistakesOf(variables: Readonly<Record<string, string>>): readonly string[] {
  const secret = join(folder, 'secret');
  writeFileSync(secret, 'carrot\n');
  const environment = Object.fromEntries(Object.entries(variables).map(([name, value]) => [name, name.endsWith('_FILE') ? secret : value]));
  const { mistakes, warnings } = inspectConfig({ file: undefined, environment, flags: {} });
  return [...mistakes, ...warnings];
}

test('the compose file builds this image, keeps its data in the volume, and needs to write nowhere else', () => {
  const { services, volumes, secrets } = parse(read('scripts/deploy/compose.yaml'));
  const { leveret } = services;
  expect(existsSync(join(ROOT, 'scripts/deploy', leveret.build, 'Dockerfile'))).toBe(true);
  expect(leveret).toMatchObject({
    read_only: true,
    cap_drop: ['ALL'],
    volumes: ['leveret:/data'],
    command: ['start', '--host', '0.0.0.0'],
  });
  expect(Object.keys(volumes)).toEqual(['leveret']);
  expect(Object.keys(secrets)).toEqual(leveret.secrets);
  expect(leveret.environment.LEVERET_DEFAULT_PASS_FILE).toBe(`/run/secrets/${leveret.secrets[0]}`);
  for (const port of leveret.ports) expect(exposed).toContain(Number(/:(\d+)$/.exec(port)?.[1]));
  expect(mistakesOf(leveret.environment)).toEqual([]);
});

test('the Kubernetes file has a Service and a StatefulSet that fit, probes, a memory limit, and no root', () => {
  const documents = parseAllDocuments(read('scripts/deploy/kubernetes.yaml'));
  expect(documents.flatMap(({ errors }) => errors)).toEqual([]);
  const [service, set] = documents.map((document) => document.toJS());
  expect([service.kind, set.kind, set.spec.serviceName]).toEqual(['Service', 'StatefulSet', service.metadata.name]);
  expect(set.spec.template.metadata.labels).toMatchObject(service.spec.selector);
  expect(set.spec.selector.matchLabels).toEqual(set.spec.template.metadata.labels);
  const pod = set.spec.template.spec;
  const [container] = pod.containers;
  const ports = new Map<string, number>(
    container.ports.map((port: { name: string; containerPort: number }) => [port.name, port.containerPort]),
  );
  for (const { targetPort, port } of service.spec.ports) expect(ports.get(targetPort)).toBe(port);
  for (const port of ports.values()) expect(exposed).toContain(port);
  const paths = ['startupProbe', 'livenessProbe', 'readinessProbe'].map((probe) => container[probe].httpGet.path);
  expect(paths).toEqual(['/startupz', '/livez', '/readyz']);
  expect(pod.securityContext).toMatchObject({ runAsNonRoot: true });
  expect(container.securityContext).toMatchObject({ readOnlyRootFilesystem: true, allowPrivilegeEscalation: false });
  expect(container.resources.limits.memory).toBeDefined();
  const mounts = container.volumeMounts.map(({ name }: { name: string }) => name).toSorted();
  const [claim] = set.spec.volumeClaimTemplates;
  expect(mounts).toEqual([claim.metadata.name, ...pod.volumes.map(({ name }: { name: string }) => name)].toSorted());
  const variables = container.env.map(({ name, value }: { name: string; value: string }) => [name, value]);
  expect(mistakesOf(Object.fromEntries(variables))).toEqual([]);
});

test('the systemd unit is one that systemd takes, and starts and reloads what it should', async () => {
  const sections = new Map<string, Map<string, string>>();
  let section = new Map<string, string>();
  for (const line of read('scripts/deploy/leveret.service').split('\n')) {
    const header = /^\[(\w+)\]$/.exec(line)?.[1];
    if (header !== undefined) sections.set(header, (section = new Map()));
    else if (line !== '' && !line.startsWith('#')) {
      const [, name, value] = /^(\w+)=(.*)$/.exec(line) ?? [];
      if (name === undefined || value === undefined) throw new Error(`no line of a unit: ${line}`);
      section.set(name, value);
    }
  }
  expect([...sections.keys()]).toEqual(['Unit', 'Service', 'Install']);
  const service = sections.get('Service') ?? new Map<string, string>();
  expect(service.get('ExecReload')).toBe('/bin/kill -HUP $MAINPID');
  const [, ...words] = (service.get('ExecStart') ?? '').split(' ');
  const settings = join(folder, 'leveret.toml');
  writeFileSync(settings, '');
  const data = join(folder, 'systemd');
  const here = new Map([
    ['/opt/leveret/node_modules/leveret/bin/leveret.js', join(ROOT, 'server/bin/leveret.js')],
    ['/etc/leveret/leveret.toml', settings],
    [`/var/lib/${service.get('StateDirectory')}`, data],
  ]);
  const started = await start(
    words.map((word) => here.get(word) ?? word),
    {},
  );
  expect(started.out).toContain(`Messages are kept in ${data}`);
  started.child.kill('SIGHUP');
  started.child.kill('SIGTERM');
  expect(await once(started.child, 'exit')).toEqual([0, null]);
  // Only what systemd itself can judge here: the paths in the unit are those of another machine.
  const verified = await run('systemd-analyze', ['verify', join(ROOT, 'scripts/deploy/leveret.service')]).catch((error) => error);
  const complaints = verified.code === 'ENOENT' ? [] : String(verified.stderr).split('\n');
  expect(complaints.filter((line) => /leveret\.service/.test(line) && !/is not executable/.test(line))).toEqual([]);
});

/** The broker as an image's or a unit's command line starts it, on free ports. */
async function start(
  words: readonly string[],
  environment: Readonly<Record<string, string>>,
  cwd = folder,
): Promise<{ child: ChildProcess; out: string; port: number }> {
  const ports = { LEVERET_HTTP_PORT: '0', LEVERET_AMQP_PORT: '0' };
  const started = spawn(process.execPath, words, {
    cwd,
    env: { PATH: process.env['PATH'], ...ports, ...environment },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  child = started;
  let out = '';
  for await (const chunk of started.stdout ?? []) {
    out += String(chunk);
    if (out.includes('Ctrl-C ends it')) break;
  }
  return { child: started, out, port: Number(/listens on ws:\/\/\S+:(\d+)\/ws/.exec(out)?.[1]) };
}

test('the Dockerfile builds an image that runs as nobody special, writes nothing but its data, and knows its health without a shell', {
  timeout: 240_000,
}, async () => {
  const building = join(folder, 'build');
  const installed = join(folder, 'image');
  for (const { name, words, text } of build ?? []) {
    if (name === 'COPY') copy(ROOT, building, words);
    if (name === 'RUN') await run('sh', ['-c', text], { cwd: building });
  }
  for (const { name, words } of image ?? []) if (name === 'COPY') copy(building, installed, words.slice(1), '/build/');
  expect(only('USER').text).toBe('node');
  for (const { name, text } of image ?? []) if (name === 'RUN') expect(text).toBe('install -d -o node -g node -m 700 /data');
  expect(only('VOLUME').text).toBe('/data');
  const before = listing(installed);
  execFileSync('chmod', ['-R', 'a-w', installed]);

  const data = join(folder, 'data');
  const environment = Object.fromEntries(only('ENV').words.map((word) => word.split('=', 2)));
  expect(environment).toEqual({ NODE_ENV: 'production', LEVERET_DATA_DIR: '/data' });
  const [node, ...entry] = [...execForm(only('ENTRYPOINT').text), ...execForm(only('CMD').text)];
  expect(node).toBe('node');
  const started = await start(
    entry,
    { ...environment, LEVERET_DATA_DIR: data, LEVERET_DEFAULT_USER: 'me', LEVERET_DEFAULT_PASS: 'secret' },
    installed,
  );
  expect(readdirSync(data)).toContain('wal');

  const [, ...check] = execForm(only('HEALTHCHECK').text);
  expect(check.join(' ')).toContain('127.0.0.1:15672/');
  await run(
    process.execPath,
    check.map((word) => word.replace('15672', String(started.port))),
    { cwd: installed },
  );
  started.child.kill('SIGTERM');
  expect(await once(started.child, 'exit')).toEqual([0, null]);
  await expect(
    run(
      process.execPath,
      check.map((word) => word.replace('15672', String(started.port))),
    ),
  ).rejects.toMatchObject({ code: 1 });
  expect(listing(installed)).toEqual(before);
  execFileSync('chmod', ['-R', 'u+w', installed]);
});

/** COPY sources... target, with what .dockerignore leaves out left out. */
function copy(from: string, to: string, words: readonly string[], prefix = ''): void {
  const [target = '', ...sources] = words.toReversed();
  for (const source of sources) {
    const name = source.replace(prefix, '');
    const isDirectory = statSync(join(from, name)).isDirectory();
    const isInto = target.endsWith('/');
    const into = join(to, target, isDirectory && !isInto ? '' : (name.split('/').at(-1) ?? ''));
    mkdirSync(join(to, target), { recursive: true });
    const filter = (path: string): boolean => from !== ROOT || !/\/(node_modules|dist|[^/]+\.tsbuildinfo)$/.test(path);
    cpSync(join(from, name), into, { recursive: true, filter, verbatimSymlinks: true });
  }
}

/** Every file with when it was written. */
function listing(root: string): string[] {
  const found: string[] = [];
  const walk = (path: string): void => {
    for (const entry of readdirSync(path, { withFileTypes: true })) {
      const inner = join(path, entry.name);
      if (entry.isDirectory()) walk(inner);
      else if (entry.isFile()) found.push(`${inner} ${statSync(inner).mtimeMs}`);
    }
  };
  walk(root);
  return found.toSorted();
}
