// Reads bytes through the tables of docs/storage.md: a reader made of nothing but the document.
// Always: (1) a table's rows follow each other without a gap and fill the size in its heading; (2) all values come from the document's offsets.
// Refuses: to know the code that writes these bytes.

export interface Row {
  readonly offset: number;
  readonly type: string;
  readonly field: string;
}

export interface Layout {
  readonly bytes: number;
  readonly rows: readonly Row[];
}

export type Fields = Readonly<Record<string, number | string>>;

const SIZES: Readonly<Record<string, number>> = { u8: 1, u16: 2, u24: 3, u32: 4, u64: 8, f64: 8 };

export class StorageDocument {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  /** Cells of the table under a heading that begins with `heading`. */
  table(heading: string): string[][] {
    const part = this.#section(heading);
    const lines = part.split('\n').filter((line) => line.startsWith('|'));
    return lines.slice(2).map((line) => line.slice(1, -1).split('|').map((cell) => cell.trim())); // biome-ignore format: one step
  }

  /** A byte table. Throws where it has a gap. */
  layout(heading: string): Layout {
    const bytes = Number(/, (\d+) bytes/.exec(this.#section(heading))?.[1]);
    const rows = this.table(heading).map(([offset, type, field]) => ({ offset: Number(offset), type: type ?? '', field: field ?? '' }));
    let at = 0;
    for (const row of rows) {
      if (row.offset !== at) throw new Error(`${heading}: ${row.field} stands at ${row.offset}, not at ${at}`);
      at += sizeOf(row.type);
    }
    if (at !== bytes) throw new Error(`${heading}: rows of ${at} bytes, not ${bytes}`);
    return { bytes, rows };
  }

  /** What stands at `at`. */
  read(heading: string, bytes: Buffer, at: number): Fields {
    const fields: Record<string, number | string> = {};
    for (const { offset, type, field } of this.layout(heading).rows) {
      const name = field.split(' ')[0] ?? '';
      const value = valueAt(bytes, at + offset, type, name === 'magic');
      if (name === 'magic') checkMagic(heading, field, value);
      if (name === 'zero' && value !== 0 && !/^\0*$/.test(String(value))) throw new Error(`${heading}: ${offset} is not zero`);
      fields[name] = value;
    }
    return fields;
  }

  #section(heading: string): string {
    const part = this.#text.split(/^## /m).find((text) => text.startsWith(heading));
    if (part === undefined) throw new Error(`no section ${heading}`);
    return part;
  }
}

function sizeOf(type: string): number {
  const [, base = '', count = '1'] = /^(\w+?)(?:\[(\d+)\])?$/.exec(type) ?? [];
  return (SIZES[base] ?? Number.NaN) * Number(count);
}

function valueAt(bytes: Buffer, at: number, type: string, isText: boolean): number | string {
  const size = sizeOf(type);
  if (isText || type.includes('[')) return bytes.toString('latin1', at, at + size);
  if (type === 'f64') return bytes.readDoubleLE(at);
  if (type === 'u64') return Number(bytes.readBigUInt64LE(at));
  return bytes.readUIntLE(at, size);
}

function checkMagic(heading: string, field: string, value: number | string): void {
  const known = [...field.matchAll(/`([^`]+)`/g)].map(([, text = '']) => text.replaceAll('\\n', '\n').replaceAll('\\0', '\0'));
  if (!known.includes(String(value))) throw new Error(`${heading}: magic ${JSON.stringify(value)}`);
}
