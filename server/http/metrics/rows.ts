// Objects that have a line each in several families: queues, exchanges, channels, connections.
// Always: (1) an object's values are read together, so that they fit each other, some objects a turn: `read`; (2) labels of queues and exchanges, whose names
// stay, are kept for the answers after.
// Why a table: to walk thousands of queues once for each family costs more than to write the text.

import type { TextPiece } from './text-piece.ts';

/** A third of a millisecond; a few at the first call. */
export const READ_AT_ONCE = 500;

/** A line of each object of a table. */
export interface Rows {
  readonly count: number;
  /** Writes lines from object `from` on until `piece` is full; answers the next object. */
  write(piece: TextPiece, name: Uint8Array, from: number): number;
}

/** What has lines, and the text of its labels. */
export interface Shown<Thing extends object> {
  readonly things: readonly Thing[];
  readonly labels: (thing: Thing, index: number) => string;
  /** Of answers before, where labels cannot change. */
  readonly kept?: WeakMap<object, Uint8Array>;
}

export class ObjectTable<Thing extends object> {
  readonly #shown: Shown<Thing>;
  readonly #values: readonly ((thing: Thing) => number)[];
  readonly #labels: Uint8Array[] = [];
  /** By object, then by family. */
  readonly #cells: Float64Array;

  /** `values`: one for each family. */
  constructor(shown: Shown<Thing>, values: readonly ((thing: Thing) => number)[]) {
    this.#shown = shown;
    this.#values = values;
    this.#cells = new Float64Array(shown.things.length * values.length);
  }

  /** Let others have their turn between two steps. */
  *read(): Generator<undefined> {
    const { length } = this.#shown.things;
    for (let from = 0; from < length; from += READ_AT_ONCE) {
      this.#readSome(from, Math.min(length, from + READ_AT_ONCE));
      yield;
    }
  }

  /** Of family `column`. */
  rows(column: number): Rows {
    const [labels, cells, width] = [this.#labels, this.#cells, this.#values.length];
    return {
      count: labels.length,
      write: (piece, name, from) => piece.addLines(name, labels, { cells, width, column }, from),
    };
  }

  #readSome(from: number, to: number): void {
    const { things } = this.#shown;
    const [values, cells] = [this.#values, this.#cells];
    let cell = from * values.length;
    for (let index = from; index < to; index++) {
      const thing = things[index];
      if (thing === undefined) return;
      this.#labels.push(this.#labelsOf(thing, index));
      for (const value of values) cells[cell++] = value(thing);
    }
  }

  #labelsOf(thing: Thing, index: number): Uint8Array {
    const { labels, kept } = this.#shown;
    const known = kept?.get(thing);
    if (known !== undefined) return known;
    const bytes = Buffer.from(`${labels(thing, index)} `);
    kept?.set(thing, bytes);
    return bytes;
  }
}
