// The rules of the house, each a function from sources to complaints, so that test/tidy.test.ts can feed them bad samples too.
// Always: a complaint names the file, the rule it breaks and what to do instead.
// The layers are docs/architecture.md's. A change there is a decision, with a record in docs/decisions/.
import type { Source } from './sources.ts';

interface Layer {
  readonly name: string;
  readonly holds: RegExp;
  /** Layers it may import, besides itself. */
  readonly mayImport: readonly string[];
  /** Packages and Node modules it may import; undefined = any. */
  readonly packages: readonly string[] | undefined;
}

const ENGINE = ['shared', 'ports'];

export const LAYERS: readonly Layer[] = [
  { name: 'shared', holds: /^shared\//, mayImport: [], packages: [] },
  { name: 'ports', holds: /^server\/ports\.ts$/, mayImport: ['shared'], packages: [] },
  { name: 'broker', holds: /^server\/broker\//, mayImport: ENGINE, packages: [] },
  { name: 'store', holds: /^server\/store\//, mayImport: ENGINE, packages: ['node:fs', 'node:zlib'] },
  {
    name: 'websocket',
    holds: /^server\/websocket\//,
    mayImport: [...ENGINE, 'broker'],
    packages: ['ws', 'ajv', 'node:http', 'node:stream', 'node:net', 'node:tls', 'node:crypto'],
  },
  {
    name: 'http',
    holds: /^server\/http\//,
    mayImport: [...ENGINE, 'broker'],
    packages: [
      'node:http',
      'node:https',
      'node:net',
      'node:stream',
      'node:tls',
      'node:vm',
      'ajv',
      'hono',
      'jsonc-parser',
      '@hono/node-server',
    ],
  },
  { name: 'amqp', holds: /^server\/amqp\//, mayImport: [...ENGINE, 'broker'], packages: ['node:net', 'node:tls', 'node:stream'] },
  {
    name: 'identity',
    holds: /^server\/identity\//,
    mayImport: [...ENGINE, 'broker'],
    packages: ['node:crypto', 'node:http', 'node:https', 'jose'],
  },
  {
    name: 'top',
    holds: /^server\//,
    mayImport: [...ENGINE, 'broker', 'store', 'websocket', 'http', 'amqp', 'identity'],
    packages: undefined,
  },
  { name: 'example', holds: /^client\/example\//, mayImport: ['client'], packages: ['leveret-client'] },
  { name: 'client-amqp', holds: /^client\/src\/amqp\//, mayImport: ['shared', 'client'], packages: ['ws', 'node:net', 'node:tls'] },
  { name: 'client', holds: /^client\//, mayImport: ['shared'], packages: ['ws'] },
  {
    name: 'scripts',
    holds: /^scripts\//,
    mayImport: [...ENGINE, 'broker', 'store', 'websocket', 'http', 'amqp', 'identity', 'top', 'client', 'client-amqp'],
    packages: undefined,
  },
];

// Tests, and the tools' own files at the top, may import anything.
const layerOf = (path: string): Layer | undefined => LAYERS.find((layer) => layer.holds.test(path));

export function checkLayers(sources: readonly Source[]): string[] {
  const complaints: string[] = [];
  for (const source of sources) {
    const layer = layerOf(source.path);
    if (layer === undefined) continue;
    for (const { specifier, file } of source.imports) {
      if (file === undefined) {
        if (layer.packages !== undefined && !layer.packages.includes(specifier)) {
          complaints.push(`${source.path}: ${layer.name} may not import '${specifier}'`);
        }
        continue;
      }
      const target = layerOf(file)?.name ?? 'test';
      if (target !== layer.name && !layer.mayImport.includes(target)) {
        complaints.push(`${source.path}: ${layer.name} may not import ${target} (${file})`);
      }
    }
  }
  return complaints;
}

/** Cycles of imports that survive compilation; a cycle of types alone is erased. One complaint per cycle. */
export function checkCycles(sources: readonly Source[]): string[] {
  const graph = new Map(
    sources.map(({ path, imports }) => [path, imports.flatMap((item) => (item.typeOnly || !item.file ? [] : [item.file]))]),
  );
  const done = new Set<string>();
  const trail: string[] = [];
  const complaints: string[] = [];
  const visit = (path: string): void => {
    const at = trail.indexOf(path);
    if (at !== -1) complaints.push(`import cycle: ${[...trail.slice(at), path].join(' -> ')}`);
    if (at !== -1 || done.has(path)) return;
    trail.push(path);
    for (const next of graph.get(path) ?? []) visit(next);
    trail.pop();
    done.add(path);
  };
  for (const path of graph.keys()) visit(path);
  return complaints;
}

export const FILE_LINES_MAX = 400;
// Lists of cases, read one at a time.
const TEST_FILE_LINES_MAX = 600;
export const FUNCTION_LINES_MAX = 70;
// How far below its record an entry may fall before the record must follow it down.
const RECORD_SLACK_LINES = FUNCTION_LINES_MAX;

/** What was longer than the limits when it was recorded: the list may only shrink. */
export interface SizeRecord {
  readonly files: Readonly<Record<string, number>>;
  readonly functions: Readonly<Record<string, number>>;
}

export function checkSizes(sources: readonly Source[], record: SizeRecord): string[] {
  const files = new Map(sources.map(({ path, lines }) => [path, lines]));
  const fileMax = (path: string): number => (path.endsWith('.test.ts') ? TEST_FILE_LINES_MAX : FILE_LINES_MAX);
  const functions = new Map<string, number>();
  for (const source of sources) {
    // A test's functions are lists of cases; its file's length is limit enough.
    if (source.path.startsWith('test/')) continue;
    for (const { name, lines } of source.functions) {
      const key = `${source.path}#${name}`;
      functions.set(key, Math.max(lines, functions.get(key) ?? 0));
    }
  }
  return [...compare(files, record.files, fileMax), ...compare(functions, record.functions, () => FUNCTION_LINES_MAX)];
}

function compare(found: ReadonlyMap<string, number>, recorded: Readonly<Record<string, number>>, max: (name: string) => number): string[] {
  const complaints: string[] = [];
  for (const [name, lines] of found) {
    const allowed = recorded[name] ?? max(name);
    if (lines > allowed) complaints.push(`${name}: ${lines} lines, at most ${allowed}: split it`);
  }
  for (const [name, allowed] of Object.entries(recorded)) {
    const lines = found.get(name) ?? 0;
    if (lines <= max(name)) complaints.push(`${name}: ${lines} lines now, take it off the record`);
    else if (lines < allowed - RECORD_SLACK_LINES) complaints.push(`${name}: ${lines} lines now, lower its record from ${allowed}`);
  }
  return complaints;
}

// Three lines say what a file owns, what always holds and what it refuses; a small file or a test says it in one.
const HEADER_LINES_MIN = 3;
const SMALL_FILE_LINES_MAX = 150;
// Files that define bytes draw them at the top.
const HEADER_LINES_MAX = 60;

export function checkHeaders(sources: readonly Source[]): string[] {
  return sources.flatMap(({ path, headerLines, lines }) => {
    const min = path.startsWith('test/') || lines <= SMALL_FILE_LINES_MAX ? 1 : HEADER_LINES_MIN;
    if (headerLines >= min && headerLines <= HEADER_LINES_MAX) return [];
    return [`${path}: opens with ${headerLines} comment lines, wants ${min} or more: what it owns, what always holds, what it refuses`];
  });
}

const TIME_AND_CHANCE = [
  ...['Date', 'performance', 'Math.random', 'crypto', 'setTimeout', 'setInterval', 'setImmediate', 'queueMicrotask'],
  ...['clearTimeout', 'clearInterval', 'clearImmediate'],
];
const OUTSIDE = ['process', 'console', 'fetch', 'WebSocket', 'require'];

/** Where time, chance and the outside may come in only through a port, and through nothing else. */
const BANNED: readonly { holds: RegExp; names: ReadonlySet<string> }[] = [
  { holds: /^shared\//, names: new Set([...TIME_AND_CHANCE, ...OUTSIDE, 'Buffer', 'window', 'document']) },
  { holds: /^server\/(broker|store)\//, names: new Set([...TIME_AND_CHANCE, ...OUTSIDE]) },
  { holds: /^server\/ports\.ts$/, names: new Set([...TIME_AND_CHANCE, ...OUTSIDE]) },
  { holds: /^server\/(websocket|http|amqp)\//, names: new Set(TIME_AND_CHANCE) },
];

export function checkGlobals(sources: readonly Source[]): string[] {
  return sources.flatMap((source) => {
    const banned = BANNED.find(({ holds }) => holds.test(source.path))?.names;
    if (banned === undefined) return [];
    return source.uses
      .filter(({ name }) => banned.has(name))
      .map(({ name, line }) => `${source.path}:${line}: ${name} comes in through server/ports.ts only`);
  });
}

// Written in halves, so that this file does not find itself.
const UNFINISHED = new RegExp(`\\b(${['TO' + 'DO', 'FIX' + 'ME', 'XX' + 'X', 'HA' + 'CK'].join('|')})\\b`);
const MACHINE_PATH = new RegExp(`(^|[\\s'"\`(=])/(${['wo' + 'rk', 'ro' + 'ot', 'ho' + 'me', 'Us' + 'ers'].join('|')})/`);

export function checkText(path: string, text: string): string[] {
  return text.split('\n').flatMap((line, index) => {
    const complaints: string[] = [];
    if (UNFINISHED.test(line)) complaints.push(`${path}:${index + 1}: finish it, or say why it is so`);
    if (MACHINE_PATH.test(line)) complaints.push(`${path}:${index + 1}: a path of one machine`);
    return complaints;
  });
}

interface LockFile {
  readonly packages: Readonly<
    Record<
      string,
      { readonly resolved?: string; readonly link?: boolean; readonly optionalDependencies?: Readonly<Record<string, string>> }
    >
  >;
}

/** A lock file that names a registry's host, or leaves out the native packages of other platforms, works on some machines only. */
export function checkLock(lock: LockFile): string[] {
  return Object.entries(lock.packages).flatMap(([path, { resolved, link, optionalDependencies }]) => {
    const complaints = resolved !== undefined && link !== true ? [`${path}: resolved from ${resolved}`] : [];
    for (const name of Object.keys(optionalDependencies ?? {})) {
      const isLocked = `node_modules/${name}` in lock.packages || `${path}/node_modules/${name}` in lock.packages;
      if (!isLocked) complaints.push(`${path}: its optional '${name}' is not in the lock`);
    }
    return complaints;
  });
}

interface Manifest {
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

/** Every package a folder imports is in its own package.json, so that what is published can be installed. */
export function checkDependencies(sources: readonly Source[], folder: RegExp, manifest: Manifest, own: readonly string[]): string[] {
  const declared = new Set([...own, ...Object.keys({ ...manifest.dependencies, ...manifest.devDependencies })]);
  const complaints = new Set<string>();
  for (const source of sources) {
    if (!folder.test(source.path)) continue;
    for (const { specifier, file } of source.imports) {
      if (file !== undefined || specifier.startsWith('node:')) continue;
      const name = specifier
        .split('/')
        .slice(0, specifier.startsWith('@') ? 2 : 1)
        .join('/');
      if (!declared.has(name)) complaints.add(`${source.path}: '${name}' is not in its package.json`);
    }
  }
  return [...complaints];
}
