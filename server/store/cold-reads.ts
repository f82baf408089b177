// Message bytes that are on disk alone: read back in windows, which stay a while. hot
// Always: (1) what `readable` announced can be read until the end of the turn after next; (2) a record's crc is checked before its bytes are shown;
// (3) windows take `bytesMax` and what the present turns need, no more; (4) one read of the disk serves all that wait for it; (5) a window never outlives
// the bytes it shows: a spilled slab's place is used again.
// Refuses: to show damaged bytes: that is a fault of the disk, and the log's to report.

import type { ReadWaiter, View } from '../ports.ts';
import type { DiskError, DiskFile } from './file.ts';
import { isRecordWhole, RECORD_HEADER_BYTES } from './records.ts';

const WINDOW_BYTES = 64 << 10; // one message here and there
const SEQUENTIAL_BYTES = 1 << 20; // a backlog that is drained
const REFERENCES_BYTES = 4 << 10; // what usually follows the content in its record

/** Something on disk that windows show. */
export interface ColdFile {
  readonly file: DiskFile;
  /** The seed of its records' crcs; undefined: it has no records (spilled transient messages). */
  readonly recordSeed: number | undefined;
  readonly bytes: number;
}

class Window {
  readonly start: number;
  readonly bytes: Buffer;
  usedTurn: number;
  constructor(start: number, bytes: Buffer, turn: number) {
    this.start = start;
    this.bytes = bytes;
    this.usedTurn = turn;
  }
}

interface Load {
  readonly start: number;
  readonly end: number;
  readonly waiters: Set<ReadWaiter>;
  /** Other bytes were written there meanwhile: who waits is told, and reads again. */
  isStale: boolean;
}

interface Shown {
  readonly windows: Window[];
  readonly loads: Load[];
  /** Where a reader that goes on in order would read next. */
  next: number;
  /** The file goes when no load is left. */
  idle: (() => void) | undefined;
}

export interface ColdReadsOptions {
  readonly bytesMax: number;
  failed(error: DiskError): void;
  damaged(path: string, position: number): void;
}

export class ColdReads {
  readonly #options: ColdReadsOptions;
  readonly #shown = new Map<ColdFile, Shown>();
  #bytes = 0;
  #turn = 0;

  constructor(options: ColdReadsOptions) {
    this.#options = options;
  }

  get memoryBytes(): number {
    return this.#bytes;
  }

  /** True when `view` shows the content of `length` bytes at `position`; else `waiter` is told. */
  read(source: ColdFile, position: number, length: number, view: View, waiter: ReadWaiter): boolean {
    let shown = this.#shown.get(source);
    if (shown === undefined) {
      shown = { windows: [], loads: [], next: 0, idle: undefined };
      this.#shown.set(source, shown);
    }
    const start = source.recordSeed === undefined ? position : position - RECORD_HEADER_BYTES;
    for (const window of shown.windows) {
      const at = start - window.start;
      if (at < 0 || position + length > window.start + window.bytes.length) continue;
      window.usedTurn = this.#turn;
      if (source.recordSeed !== undefined && !this.#isWhole(source, window, at, position + length)) break;
      view.bytes = window.bytes;
      view.start = position - window.start;
      return true;
    }
    this.#load(source, shown, start, position + length, waiter);
    return false;
  }

  /** The end of a turn: what is beyond the budget and not of this turn or the one before goes. */
  endTurn(): void {
    this.#turn++;
    if (this.#bytes <= this.#options.bytesMax) return;
    for (const [source, { windows, loads }] of this.#shown) {
      for (let i = windows.length - 1; i >= 0 && this.#bytes > this.#options.bytesMax; i--) {
        const window = windows[i] as Window;
        if (window.usedTurn >= this.#turn - 2) continue;
        this.#bytes -= window.bytes.length;
        windows.splice(i, 1);
      }
      if (windows.length === 0 && loads.length === 0) this.#shown.delete(source);
    }
  }

  /** Other bytes stand at [from, to) of `source` now: what shows the old ones goes, and what is being read there is not kept. */
  overwritten(source: ColdFile, from: number, to: number): void {
    const shown = this.#shown.get(source);
    if (shown === undefined) return;
    const { windows, loads } = shown;
    for (let i = windows.length - 1; i >= 0; i--) {
      const { start, bytes } = windows[i] as Window;
      if (start >= to || start + bytes.length <= from) continue;
      this.#bytes -= bytes.length;
      windows.splice(i, 1);
    }
    for (const load of loads) if (load.start < to && load.end > from) load.isStale = true;
  }

  /** Resolves when no file is being read. */
  async close(): Promise<void> {
    await Promise.all([...this.#shown.keys()].map((source) => this.forget(source)));
  }

  /** The file goes: resolves when nothing reads it any more. */
  forget(source: ColdFile): Promise<void> {
    const shown = this.#shown.get(source);
    for (const { bytes } of shown?.windows ?? []) this.#bytes -= bytes.length;
    this.#shown.delete(source);
    if (shown === undefined || shown.loads.length === 0) return Promise.resolve();
    return new Promise((resolve) => {
      shown.idle = resolve;
    });
  }

  /** A record that ends beyond the window (its references do) is read again, with room enough. */
  #isWhole(source: ColdFile, window: Window, at: number, contentEnd: number): boolean {
    const payloadBytes = window.bytes.readUInt32LE(at);
    const end = at + RECORD_HEADER_BYTES + payloadBytes;
    if (end <= window.bytes.length) {
      if (isRecordWhole(window.bytes, at, end, source.recordSeed ?? 0)) return true;
    } else if (window.start + end <= source.bytes && window.start + end >= contentEnd) {
      this.#wanted = end - at;
      return false;
    }
    this.#options.damaged(source.file.path, window.start + at);
    return false;
  }
  /** Bytes of the record that was cut short. */
  #wanted = 0;

  #load(source: ColdFile, shown: Shown, start: number, contentEnd: number, waiter: ReadWaiter): void {
    const least = Math.max(contentEnd - start + REFERENCES_BYTES, this.#wanted);
    this.#wanted = 0;
    for (const load of shown.loads) {
      if (!load.isStale && start >= load.start && start + least <= load.end) {
        load.waiters.add(waiter);
        return;
      }
    }
    const isSequential = start >= shown.next && start - shown.next < WINDOW_BYTES;
    const end = Math.min(source.bytes, start + Math.max(least, isSequential ? SEQUENTIAL_BYTES : WINDOW_BYTES));
    const load: Load = { start, end, waiters: new Set([waiter]), isStale: false };
    shown.loads.push(load);
    shown.next = end;
    this.#fill(source, shown, load, Buffer.allocUnsafeSlow(end - start), 0);
  }

  #fill(source: ColdFile, shown: Shown, load: Load, bytes: Buffer, filled: number): void {
    source.file.read(bytes.subarray(filled), load.start + filled, (error, count) => {
      if (error === null && count > 0 && filled + count < bytes.length) {
        this.#fill(source, shown, load, bytes, filled + count);
        return;
      }
      shown.loads.splice(shown.loads.indexOf(load), 1);
      if (shown.loads.length === 0) shown.idle?.();
      if (error !== null) {
        this.#options.failed(error);
        return;
      }
      if (filled + count < bytes.length) {
        this.#options.damaged(source.file.path, load.start + filled + count);
        return;
      }
      if (this.#shown.get(source) === shown && !load.isStale) {
        shown.windows.unshift(new Window(load.start, bytes, this.#turn));
        this.#bytes += bytes.length;
      }
      for (const waiter of load.waiters) waiter.readable();
    });
  }
}
