// A log file that is read in the background, window by window, so that 64 MiB of records never hold up the broker's turns.
// Always: (1) a record is shown only after its crc has been checked; (2) between two windows the event loop runs; (3) what was appended and is not
// whole any more is damage, with its offset.
// Refuses: torn tails. Who starts a broker scans them (scan.ts); here everything up to `used` was written by this process or recovered.

import type { DiskFile } from './file.ts';
import type { LogFile } from './log-file.ts';
import { BATCH_HEADER_BYTES, FILE_HEADER_BYTES, isRecordWhole, RECORD_HEADER_BYTES, RecordHeader, readBatchHeader } from './records.ts';
import type { VisitRecord } from './scan.ts';

const WINDOW_BYTES = 1 << 20;

export class LogWindow {
  /** Shows the file from `base` on. */
  bytes: Buffer = Buffer.alloc(0);
  base = 0;
  readonly #file: DiskFile;
  #buffer = Buffer.allocUnsafeSlow(WINDOW_BYTES);

  constructor(file: DiskFile) {
    this.#file = file;
  }

  /** Whether the window shows `count` bytes from `position` on. */
  shows(position: number, count: number): boolean {
    return position >= this.base && position + count <= this.base + this.bytes.length;
  }

  /** Moves the window to `position`. At the end of the file it shows what there is. */
  async move(position: number, count: number): Promise<void> {
    if (count > this.#buffer.length) this.#buffer = Buffer.allocUnsafeSlow(count);
    let length = 0;
    while (length < this.#buffer.length) {
      const read = await this.#read(this.#buffer.subarray(length), position + length);
      if (read === 0) break;
      length += read;
    }
    this.base = position;
    this.bytes = this.#buffer.subarray(0, length);
  }

  /** The whole record at `position`: its offset in `bytes`, or -1 when no whole record of the file `fileId` stands there. */
  async record(position: number, fileId: number): Promise<number> {
    if (!this.shows(position, RECORD_HEADER_BYTES)) await this.move(position, RECORD_HEADER_BYTES);
    if (!this.shows(position, RECORD_HEADER_BYTES)) return -1;
    const recordBytes = RECORD_HEADER_BYTES + this.bytes.readUInt32LE(position - this.base);
    if (!this.shows(position, recordBytes)) await this.move(position, Math.min(recordBytes, this.#file.sizeNow() - position));
    const at = position - this.base;
    return isRecordWhole(this.bytes, at, this.bytes.length, fileId) ? at : -1;
  }

  #read(into: Buffer, position: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#file.read(into, position, (error, count) => (error === null ? resolve(count) : reject(error)));
    });
  }
}

/** Shows all records of `file`, in their order; `base` is where in the file the shown bytes begin. */
export async function skim(
  file: LogFile,
  visit: (base: number, ...record: Parameters<VisitRecord>) => void,
  damaged: (path: string, position: number) => never,
): Promise<void> {
  const window = new LogWindow(file.file);
  const header = new RecordHeader();
  let batchEnd = FILE_HEADER_BYTES;
  for (let position = FILE_HEADER_BYTES; position < file.used; ) {
    if (position === batchEnd) {
      if (!window.shows(position, BATCH_HEADER_BYTES)) await window.move(position, BATCH_HEADER_BYTES);
      const batch = readBatchHeader(window.bytes, position - window.base, file.id);
      if (batch === undefined) damaged(file.file.path, position);
      position += BATCH_HEADER_BYTES;
      batchEnd = position + (batch?.bytes ?? 0);
      continue;
    }
    // without a promise for each record: most are in the window
    const isShown =
      window.shows(position, RECORD_HEADER_BYTES) && isRecordWhole(window.bytes, position - window.base, window.bytes.length, file.id);
    const at = isShown ? position - window.base : await window.record(position, file.id);
    if (at < 0) damaged(file.file.path, position);
    visit(window.base, window.bytes, at, header.read(window.bytes, at));
    position += header.recordBytes;
  }
}
