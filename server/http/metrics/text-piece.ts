// Bytes of text that grow until they are taken. A page of thousands of queues is made of bytes: made of strings it takes three times as long.
// Always: (1) what was taken stands until more is added: all pieces of an answer are made in the same memory, for to touch twelve fresh megabytes costs more
// than to fill them; (2) a piece is full at PIECE_BYTES, and holds more only where one line alone does.

// Takes 0.1 ms to fill; a few ms at the first call, when nothing is compiled yet.
const PIECE_BYTES = 65_536;
const FIRST_BYTES = 8_192;
/** The longest number as text, a space and a line's end. */
const NUMBER_BYTES = 32;
const ZERO = 0x30;
const LINE_END = 0x0a;

const NO_LABELS = Buffer.from(' ');

/** Numbers in a table: every `width`th of `cells`, from `column` on. */
export interface Column {
  readonly cells: Float64Array;
  readonly width: number;
  readonly column: number;
}

export class TextPiece {
  #bytes = Buffer.allocUnsafeSlow(FIRST_BYTES);
  #length = 0;

  get byteLength(): number {
    return this.#length;
  }
  get isFull(): boolean {
    return this.#length >= PIECE_BYTES;
  }

  add(text: string): void {
    this.#reserve(Buffer.byteLength(text));
    this.#length += this.#bytes.write(text, this.#length);
  }

  /** Lines of `name`, `labels` (a space at their end) and a number, from the one of index `from` on until this is full. Answers the index of the next. */
  addLines(name: Uint8Array, labels: readonly Uint8Array[], { cells, width, column }: Column, from: number): number {
    let [index, at, into] = [from, this.#length, this.#bytes];
    for (; index < labels.length; index++) {
      const label = labels[index] ?? NO_LABELS;
      const end = at + name.length + label.length + NUMBER_BYTES;
      if (end > into.length) {
        this.#length = at;
        if (at > 0 && end > PIECE_BYTES) return index;
        this.#reserve(end - at);
        into = this.#bytes;
      }
      into.set(name, at);
      at += name.length;
      into.set(label, at);
      at = writeValue(into, at + label.length, cells[index * width + column] ?? 0);
      into[at++] = LINE_END;
    }
    this.#length = at;
    return index;
  }

  take(): Uint8Array {
    const taken = this.#bytes.subarray(0, this.#length);
    this.#length = 0;
    return taken;
  }

  #reserve(bytes: number): void {
    const needed = this.#length + bytes;
    if (needed <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.#bytes.length * 2));
    this.#bytes.copy(larger, 0, 0, this.#length);
    this.#bytes = larger;
  }
}

export function formatValue(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return '+Inf';
  if (value === Number.NEGATIVE_INFINITY) return '-Inf';
  return String(value); // NaN is Prometheus' word too
}

/** Answers where it ends. */
function writeValue(into: Buffer, at: number, value: number): number {
  if (value < 0 || (value | 0) !== value) return at + into.write(formatValue(value), at, 'latin1');
  let digits = 1;
  for (let above = 10; above <= value; above *= 10) digits++;
  let rest = value;
  for (let i = at + digits - 1; i >= at; i--) {
    const tenth = (rest / 10) | 0;
    into[i] = ZERO + rest - tenth * 10;
    rest = tenth;
  }
  return at + digits;
}
