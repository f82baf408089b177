// The tree as the tidy rules see it: every source file parsed once, with its imports, functions and leading comment.
// Always: (1) paths are relative to the root and use `/`; (2) what git would ignore (builds, node_modules) is never read.
// Refuses: to guess from text what the parser knows.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseSync } from 'vite';

export const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

export interface Import {
  readonly specifier: string;
  /** The file it means, when it is relative; else undefined. */
  readonly file: string | undefined;
  /** Gone after compilation: `import type`, or nothing but types. */
  readonly typeOnly: boolean;
}

export interface FunctionSpan {
  readonly name: string;
  readonly lines: number;
}

export interface GlobalUse {
  readonly name: string;
  readonly line: number;
}

export interface Source {
  readonly path: string;
  readonly text: string;
  readonly lines: number;
  readonly headerLines: number;
  readonly imports: readonly Import[];
  readonly functions: readonly FunctionSpan[];
  /** Every identifier read as a variable, and `Math.random` as itself. */
  readonly uses: readonly GlobalUse[];
}

interface Node {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly [field: string]: unknown;
}

const SKIPPED = new Set(['node_modules', 'dist', '.git', 'coverage', '.leveret']);

/** Every file under the root that a commit could hold. */
export function treeFiles(folder = ''): string[] {
  return readdirSync(join(ROOT, folder)).flatMap((name) => {
    if (SKIPPED.has(name)) return [];
    const path = folder === '' ? name : `${folder}/${name}`;
    return statSync(join(ROOT, path)).isDirectory() ? treeFiles(path) : [path];
  });
}

export function readTree(): Source[] {
  return treeFiles()
    .filter((path) => path.endsWith('.ts') || path === 'server/bin/leveret.js')
    .map((path) => parseSource(path, readFileSync(join(ROOT, path), 'utf8')));
}

export function parseSource(path: string, text: string): Source {
  const { program, module } = parseSync(path, text);
  const functions: FunctionSpan[] = [];
  const uses: GlobalUse[] = [];
  const root: unknown = program;
  if (!isNode(root)) throw new Error(`${path} does not parse`);
  walk(root, undefined, (node, parent) => {
    if (isFunction(node))
      functions.push({ name: functionName(node, parent), lines: lineOf(text, node.end) - lineOf(text, node.start) + 1 });
    const name = usedName(node, parent);
    if (name !== undefined) uses.push({ name, line: lineOf(text, node.start) });
  });
  const imports: Import[] = [];
  for (const item of module.staticImports) {
    const { start, end } = item;
    const typeOnly =
      text.slice(start, end).startsWith('import type') || (item.entries.length > 0 && item.entries.every((entry) => entry.isType));
    imports.push(importOf(path, item.moduleRequest.value, typeOnly));
  }
  for (const item of module.staticExports) {
    const [first] = item.entries;
    if (first?.moduleRequest)
      imports.push(
        importOf(
          path,
          first.moduleRequest.value,
          item.entries.every((entry) => entry.isType),
        ),
      );
  }
  for (const item of module.dynamicImports) {
    const literal = /^(['"`])([^'"`$]*)\1$/.exec(text.slice(item.moduleRequest.start, item.moduleRequest.end));
    if (literal?.[2] !== undefined) imports.push(importOf(path, literal[2], false));
  }
  return { path, text, lines: text.replace(/\n$/, '').split('\n').length, headerLines: headerLines(text), imports, functions, uses };
}

function importOf(path: string, specifier: string, typeOnly: boolean): Import {
  const file = specifier.startsWith('.') ? posix.join(posix.dirname(path), specifier) : undefined;
  return { specifier, file, typeOnly };
}

function headerLines(text: string): number {
  const lines = text.split('\n');
  let index = lines[0]?.startsWith('#!') ? 1 : 0;
  const from = index;
  while (lines[index]?.startsWith('//')) index++;
  return index - from;
}

function walk(node: Node, parent: Node | undefined, visit: (node: Node, parent: Node | undefined) => void): void {
  visit(node, parent);
  for (const value of Object.values(node)) {
    for (const child of Array.isArray(value) ? value : [value]) if (isNode(child)) walk(child, node, visit);
  }
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string' && 'start' in value;
}

function isFunction(node: Node): boolean {
  return ['FunctionDeclaration', 'FunctionExpression', 'ArrowFunctionExpression'].includes(node.type);
}

function functionName(node: Node, parent: Node | undefined): string {
  for (const named of [node['id'], parent?.['key'], parent?.['id'], parent?.['left']]) {
    if (isNode(named) && typeof named['name'] === 'string') return named['name'];
  }
  return 'anonymous';
}

function usedName(node: Node, parent: Node | undefined): string | undefined {
  if (node.type === 'MemberExpression') {
    const { object, property } = node;
    const isRandom = isNode(object) && isNode(property) && object['name'] === 'Math' && property['name'] === 'random';
    return isRandom ? 'Math.random' : undefined;
  }
  if (node.type !== 'Identifier' || typeof node['name'] !== 'string' || parent === undefined) return undefined;
  const isKey = (parent['key'] === node || parent['property'] === node) && parent['computed'] !== true && parent['shorthand'] !== true;
  if (isKey || parent.type.startsWith('TS') || parent.type === 'ImportSpecifier' || parent.type === 'ExportSpecifier') return undefined;
  return node['name'];
}

function lineOf(text: string, offset: number): number {
  let line = 1;
  for (let at = text.indexOf('\n'); at !== -1 && at < offset; at = text.indexOf('\n', at + 1)) line++;
  return line;
}
