// The house rules hold for the tree as it is, and each rule is shown to fail on a sample that breaks it.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { routes } from '../server/http/routes/routes.ts';
import { checkRoutes, type Draft } from './tidy/routes.ts';
import { checkCycles, checkDependencies, checkGlobals, checkHeaders, checkLayers, checkLock, checkSizes, checkText } from './tidy/rules.ts';
import { parseSource, ROOT, readTree, treeFiles } from './tidy/sources.ts';

const sources = readTree();
const json = (path: string) => JSON.parse(readFileSync(join(ROOT, path), 'utf8'));

describe('the tree', () => {
  test('imports point inward, layer by layer', () => expect(checkLayers(sources)).toEqual([]));
  test('has no import cycle', () => expect(checkCycles(sources)).toEqual([]));
  test('keeps files and functions short, and the record of long ones shrinks', () => {
    expect(checkSizes(sources, json('test/tidy/size-record.json'))).toEqual([]);
  });
  test('says at the top of each file what it owns', () => expect(checkHeaders(sources)).toEqual([]));
  test('takes time, chance and the outside from ports alone', () => expect(checkGlobals(sources)).toEqual([]));

  test('has nothing unfinished and no path of one machine', () => {
    const texts = treeFiles().filter(
      (path) => /\.(ts|js|json|toml|md|html|css|sh)$|Dockerfile$|\.ci\/run$/.test(path) && path !== 'package-lock.json',
    );
    expect(texts.flatMap((path) => checkText(path, readFileSync(join(ROOT, path), 'utf8')))).toEqual([]);
  });

  test('says of each route of the API for whom it is, what right it needs and what its body is', () =>
    expect(checkRoutes(routes)).toEqual([]));

  test('locks its dependencies without naming a registry', () => expect(checkLock(json('package-lock.json'))).toEqual([]));

  test('declares what each package imports', () => {
    const root = json('package.json');
    expect(checkDependencies(sources, /^client\/src\//, json('client/package.json'), [])).toEqual([]);
    expect(checkDependencies(sources, /^server\//, json('server/package.json'), [])).toEqual([]);
    expect(checkDependencies(sources, /^(scripts|test|client\/example)\//, root, ['leveret', 'leveret-client'])).toEqual([]);
  });
});

describe('a rule can fail', () => {
  const sample = (path: string, text: string) => [parseSource(path, text)];

  test.each([
    ['server/broker/queue.ts', "import { Wal } from '../store/wal.ts';"],
    ['server/broker/queue.ts', "import type { Wal } from '../store/wal.ts';"],
    ['server/broker/queue.ts', "import { readFileSync } from 'node:fs';"],
    ['server/broker/queue.ts', "const { WebSocket } = await import('ws');"],
    ['server/store/wal.ts', "import { Queue } from '../broker/queue.ts';"],
    ['server/websocket/connection.ts', "import { MemoryLog } from '../store/memory-log.ts';"],
    ['server/websocket/connection.ts', "export { serve } from '../http/server.ts';"],
    ['server/main.ts', "import '../test/support/broker.ts';"],
    ['server/ports.ts', "import { Queue } from './broker/queue.ts';"],
    ['shared/ring.ts', "import 'node:buffer';"],
    ['client/src/connect.ts', "import { Broker } from '../../server/broker/broker.ts';"],
    ['client/src/connect.ts', "import { connect } from 'node:net';"],
    ['client/src/session.ts', "import { amqpTransport } from './amqp/gateway.ts';"],
    ['client/src/amqp/gateway.ts', "import { readFileSync } from 'node:fs';"],
    ['scripts/check.ts', "import '../test/tidy.test.ts';"],
  ])('layers: %s with %s', (path, text) => expect(checkLayers(sample(path, text))).toHaveLength(1));

  test('cycles: two files that import each other, and a file that imports itself', () => {
    const a = parseSource('shared/a.ts', "import { b } from './b.ts';");
    const b = parseSource('shared/b.ts', "export { a } from './a.ts';");
    expect(checkCycles([a, b])).toEqual(['import cycle: shared/a.ts -> shared/b.ts -> shared/a.ts']);
    expect(checkCycles(sample('shared/a.ts', "import './a.ts';"))).toHaveLength(1);
    expect(checkCycles([a, parseSource('shared/b.ts', "import type { a } from './a.ts';")])).toEqual([]);
  });

  test('sizes: a long file, a long function, a record that grew and one that is stale', () => {
    const long = sample('shared/a.ts', `function f() {\n${'//\n'.repeat(410)}}\n`);
    const none = { files: {}, functions: {} };
    expect(checkSizes(long, none)).toHaveLength(2);
    expect(checkSizes(long, { files: { 'shared/a.ts': 412 }, functions: { 'shared/a.ts#f': 412 } })).toEqual([]);
    expect(checkSizes(long, { files: { 'shared/a.ts': 411 }, functions: { 'shared/a.ts#f': 412 } })).toHaveLength(1);
    expect(checkSizes(long, { files: { 'shared/a.ts': 500 }, functions: { 'shared/a.ts#f': 412 } })).toHaveLength(1);
    expect(checkSizes(sample('shared/a.ts', ''), { files: { 'shared/a.ts': 500 }, functions: {} })).toHaveLength(1);
  });

  test('headers: a file that opens with code', () => {
    expect(checkHeaders(sample('shared/a.ts', 'export const a = 1;'))).toHaveLength(1);
    expect(checkHeaders(sample('test/unit/a.test.ts', 'export const a = 1;'))).toHaveLength(1);
    expect(checkHeaders(sample('shared/a.ts', `// a\n${'f();\n'.repeat(160)}`))).toHaveLength(1);
    expect(checkHeaders(sample('shared/a.ts', '// a\n// b\n// c\nexport const a = 1;'))).toEqual([]);
  });

  test.each([
    ['server/broker/expiry.ts', 'const at = Date.now();'],
    ['server/broker/expiry.ts', 'const at = new Date();'],
    ['server/broker/expiry.ts', 'setTimeout(() => {}, 5);'],
    ['server/broker/expiry.ts', 'const at = Math.random();'],
    ['server/store/wal.ts', 'const at = performance.now();'],
    ['server/websocket/connection.ts', 'const at = Date.now();'],
    ['shared/text.ts', 'const b = Buffer.alloc(1);'],
  ])('globals: %s with %s', (path, text) => expect(checkGlobals(sample(path, text))).toHaveLength(1));

  test('globals: a property, a type or a method of the same name is not the global', () => {
    expect(checkGlobals(sample('server/broker/expiry.ts', 'clock.setTimeout(1); let a: Date; class B { crypto(): void {} }'))).toEqual([]);
  });

  test('text: a reminder, and a path of one machine', () => {
    expect(checkText('a.ts', `// ${'TO'}DO later`)).toHaveLength(1);
    expect(checkText('a.md', `see ${'/ho'}me/someone/file`)).toHaveLength(1);
    expect(checkText('a.md', 'docs/home/page is fine, and so is queue.todo')).toEqual([]);
  });

  test('lock: an entry with a registry in it, and a native package that is left out', () => {
    const link = { resolved: 'server', link: true };
    expect(
      checkLock({ packages: { 'node_modules/ws': { resolved: 'https://registry.example/ws.tgz' }, 'node_modules/leveret': link } }),
    ).toHaveLength(1);
    expect(
      checkLock({
        packages: { 'node_modules/tool': { optionalDependencies: { 'tool-linux': '1', 'tool-mac': '1' } }, 'node_modules/tool-linux': {} },
      }),
    ).toHaveLength(1);
  });

  test('dependencies: an import that package.json does not have', () => {
    const code = sample('server/main.ts', "import 'left-pad/x';\nimport 'node:fs';\nimport './config.ts';");
    expect(checkDependencies(code, /^server\//, {}, [])).toEqual(["server/main.ts: 'left-pad' is not in its package.json"]);
    expect(checkDependencies(code, /^server\//, { dependencies: { 'left-pad': '1' } }, [])).toEqual([]);
  });

  const get: Draft = { method: 'GET', path: '/api/new/{vhost}', tag: 'management', right: 'vhost', summary: 'New' };
  const put: Draft = { ...get, method: 'PUT', right: 'queue.declare', body: { type: 'object', properties: {}, required: [] } };
  const without = (route: Draft, field: 'tag' | 'right' | 'body' | 'summary'): Draft => {
    const { [field]: _, ...rest } = route;
    return rest;
  };
  test.each<readonly [string, readonly Draft[]]>([
    ['no tag says for whom it is', [without(get, 'tag')]],
    ['no right says what it needs', [without(get, 'right')]],
    ['no summary', [without(get, 'summary')]],
    ['no schema of its body', [without(put, 'body')]],
    ['GET has no body', [{ ...get, body: 'raw' }]],
    ['a field is required that the schema does not have', [{ ...put, body: { type: 'object', properties: {}, required: ['name'] } }]],
    ['a limit of a body that it does not have', [{ ...get, limit: 'http-definitions-bytes' }]],
    ['a right in a vhost that the path does not name', [{ ...get, path: '/api/new' }]],
    ['neither tag nor right: anybody', [{ ...get, tag: 'none', right: 'none' }]],
    ['changes a vhost without a right in it', [{ ...put, right: 'none' }]],
    ['is there twice', [get, put, get]],
  ])('routes: %s', (fault, drafts) => {
    expect(checkRoutes([get, put])).toEqual([]);
    expect(checkRoutes(drafts)).toEqual([expect.stringContaining(fault)]);
  });
});
