// Rows for people: columns under a header on a terminal, tabs between them in a pipe, as rabbitmqctl prints them; one object a row with --json.
// Always: (1) a row is one line, whatever its values hold: control characters are shown, not sent; (2) in a pipe rows leave as they come.
// Refuses: to know what is in a row.

import type { Fields } from './api.ts';
import { type Output, printable, toJson } from './output.ts';
import { styled, type Terminal } from './terminal.ts';

const GAP = '  ';
const CELL_MAX = 60; // characters of a cell on a terminal; all of them in a pipe

export interface TableOptions {
  readonly columns: readonly string[];
  readonly header: boolean;
}

/** Answers how many rows were written. */
export async function printRows(
  { output, terminal }: { readonly output: Output; readonly terminal: Terminal },
  { columns, header }: TableOptions,
  rows: AsyncIterable<Fields>,
): Promise<number> {
  let count = 0;
  if (output.json) {
    for await (const row of rows) {
      count++;
      if (!(await output.result(row, () => ''))) break;
    }
    return count;
  }
  if (terminal.output.isTTY !== true) {
    const line = (cells: readonly string[]): Promise<boolean> => output.result({}, () => cells.join('\t'));
    let isHeaderDue = header; // after the first answer, which may be a refusal
    for await (const row of rows) {
      if (isHeaderDue && !(await line(columns))) break;
      isHeaderDue = false;
      count++;
      if (!(await line(columns.map((column) => cellText(row[column]))))) break;
    }
    if (isHeaderDue) await line(columns);
    return count;
  }
  const cells: string[][] = [];
  for await (const row of rows) cells.push(columns.map((column) => shortened(cellText(row[column]))));
  const lines = aligned(header ? [[...columns], ...cells] : cells);
  for (const [index, line] of lines.entries()) {
    const text = header && index === 0 ? styled(terminal, 'output', 'bold', line) : line;
    if (!(await output.result({}, () => text))) break;
  }
  return cells.length;
}

/** Columns of equal width; those that hold numbers alone stand at the right. */
export function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows) for (const [index, cell] of row.entries()) widths[index] = Math.max(widths[index] ?? 0, [...cell].length);
  const isNumeric = widths.map((_, index) => rows.length > 1 && rows.slice(1).every((row) => /^-?[\d.]*$/.test(row[index] ?? '')));
  return rows.map((row) =>
    row
      .map((cell, index) => padded(cell, widths[index] ?? 0, isNumeric[index] === true))
      .join(GAP)
      .trimEnd(),
  );
}

export function cellText(value: unknown): string {
  if (value === undefined || value === null) return '';
  const isWords = Array.isArray(value) && value.every((each) => typeof each === 'string');
  const text = isWords ? `[${value.join(', ')}]` : typeof value === 'string' ? value : toJson(value); // words as rabbitmqctl writes them
  return printable(text).replaceAll('\t', '\\t').replaceAll('\n', '\\n');
}

function padded(cell: string, width: number, isRight: boolean): string {
  const gap = ' '.repeat(width - [...cell].length);
  return isRight ? gap + cell : cell + gap;
}

function shortened(text: string): string {
  const characters = [...text];
  return characters.length <= CELL_MAX ? text : `${characters.slice(0, CELL_MAX - 1).join('')}…`;
}
