// What is meant to differ from RabbitMQ: meant.txt read, held against what was found, and shown to people as a table of docs/compatibility.md.
// Always: (1) a situation differs in exactly the lines and the added headers that are written down for it, or it is a complaint; (2) so is one that
// is written down and does not differ; (3) what cannot be read throws.

import { readFileSync } from 'node:fs';
import type { Difference } from './compare.ts';

export interface MeantDifference {
  /** Of semantics.md (§: its sections 15 and 16) or, with a b, the line of behaviours.md. */
  readonly row: string;
  readonly what: string;
  readonly rabbitmq: string;
  readonly leveret: string;
  /** Headers that are the whole difference; other lines are other entries'. */
  readonly added: readonly string[];
  /** The lines of each situation; none where only headers are added. */
  readonly situations: ReadonlyMap<string, readonly string[]>;
}

export const meant: readonly MeantDifference[] = parseMeant(readFileSync(new URL('meant.txt', import.meta.url), 'utf8'));

export function parseMeant(text: string): MeantDifference[] {
  const [, ...blocks] = text.trim().split('\n\n'); // the first says how to read it
  return blocks.map(parseBlock);
}

function parseBlock(block: string): MeantDifference {
  const [heading = '', ...rest] = block.split('\n');
  const found = /^\[(.+?)\] (.+) \| (.+) \| (.+)$/.exec(heading);
  if (found === null) throw new Error(`no heading of a meant difference: ${heading}`);
  const [, row = '', what = '', rabbitmq = '', leveret = ''] = found;
  const added = rest[0]?.startsWith('added: ') ? rest[0].slice('added: '.length).split(' ') : [];
  const situations = new Map<string, string[]>();
  let lines: string[] | undefined;
  for (const line of rest.slice(added.length > 0 ? 1 : 0)) {
    if (line.startsWith('# ')) situations.set(line.slice(2), (lines = []));
    else if (/^[-+] /.test(line) && lines !== undefined) lines.push(line);
    else throw new Error(`no line of a meant difference: ${line}`);
  }
  return { row, what, rabbitmq, leveret, added, situations };
}

/** What is wrong between the differences that were found and those that are meant. */
export function complaints(found: ReadonlyMap<string, Difference>, expected: readonly MeantDifference[]): string[] {
  const wanted = new Map<string, Difference>();
  for (const { added, situations } of expected) {
    for (const [name, lines] of situations) {
      const others = wanted.get(name) ?? { added: [], lines: [] };
      wanted.set(name, { added: [...others.added, ...added].sort(), lines: [...others.lines, ...lines] });
    }
  }
  const wrong: string[] = [];
  for (const [name, difference] of found) {
    const what = wanted.has(name) ? 'differs, but not as meant' : 'differs, and nobody means it';
    if (show(difference) !== show(wanted.get(name))) wrong.push(`${what}: ${name}\n${show(difference)}`);
  }
  for (const name of wanted.keys()) if (!found.has(name)) wrong.push(`is meant to differ, and does not: ${name}`);
  return wrong;
}

function show(difference: Difference | undefined): string {
  if (difference === undefined) return '';
  const { added, lines } = difference;
  return [...(added.length > 0 ? [`added: ${added.join(' ')}`] : []), ...lines].join('\n');
}

/** For docs/compatibility.md. */
export function meantTable(expected: readonly MeantDifference[]): string {
  const rows = expected.map(({ row, what, rabbitmq, leveret, situations }) => {
    const names = [...situations.keys()].map((name) => `\`${name}\``).join(', ');
    return `| ${row} | ${what} | ${rabbitmq} | ${leveret} | ${names} |`;
  });
  return ['| row | what | RabbitMQ 3.10.8 | Leveret | situations |', '|---|---|---|---|---|', ...rows].join('\n');
}
