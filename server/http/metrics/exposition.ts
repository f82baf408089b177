// Prometheus' text format, version 0.0.4: families of samples as text.
// Always: (1) the samples of a family stand together below its HELP and TYPE; (2) label values and help are escaped; (3) text comes in pieces of bounded
// size, made when they are asked for, so that whoever writes them may let others have their turn in between.
// Refuses: to know what is measured.

import type { Rows } from './rows.ts';
import { formatValue, TextPiece } from './text-piece.ts';

export type MetricType = 'counter' | 'gauge' | 'histogram';
export const CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

export interface Family {
  readonly name: string;
  readonly type: MetricType;
  readonly help: string;
  /** Lines without their family's name: what follows it, as `sample` makes them. */
  readonly samples?: readonly string[];
  /** The same of many objects. */
  readonly rows?: Rows;
}

/** One line, less its family's name. `labels`: as `labelsOf` makes them. */
export function sample(labels: string, value: number, suffix = ''): string {
  return `${suffix}${labels} ${formatValue(value)}\n`;
}

export function labelsOf(labels: Readonly<Record<string, string>>): string {
  let text = '';
  for (const name in labels) text += `${text === '' ? '{' : ','}${name}="${escapeLabel(labels[name] ?? '')}"`;
  return text === '' ? '' : `${text}}`;
}

export function escapeLabel(value: string): string {
  return /[\\"\n]/.test(value) ? value.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n') : value;
}

/** `undefined` among the families: let others have their turn. Each piece, which may be empty, stands until the next is asked for. */
export function* render(families: Iterable<Family | undefined>): Generator<Uint8Array> {
  const piece = new TextPiece();
  for (const family of families) {
    if (family === undefined) {
      yield piece.take();
      continue;
    }
    const { name, type, help, samples = [], rows } = family;
    piece.add(`# HELP ${name} ${help.replace(/\\/g, '\\\\').replace(/\n/g, '\\n')}\n# TYPE ${name} ${type}\n`);
    for (const line of samples) piece.add(name + line);
    if (rows !== undefined) {
      const nameBytes = Buffer.from(name);
      for (let next = 0; (next = rows.write(piece, nameBytes, next)) < rows.count; ) yield piece.take();
    }
    if (piece.isFull) yield piece.take();
  }
  if (piece.byteLength > 0) yield piece.take();
}
