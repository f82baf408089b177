// A real data directory in a temporary place, filled by a durable log, for tests of what looks at it afterwards.
// Always: the directory is removed by `close`. Refuses: to wait: `fill` closes the log, so all of it is on disk.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SystemClock } from '../../server/clock.ts';
import { Append, type LogListener, type RecoverySink, View } from '../../server/ports.ts';
import { DurableLog } from '../../server/store/durable-log.ts';
import { NodeDisk } from '../../server/store/file.ts';
import type { Processes, StoreSizes } from '../../server/store/store-options.ts';
import { encodeContent } from '../../shared/content.ts';

export const processes: Processes = { self: 'x', isAlive: () => false };
const sizes: Partial<StoreSizes> = { walFileBytes: 1 << 16, walFilesMax: 2, slabBytes: 1 << 12, diskFreeBytesMin: 0, lazySyncMs: 5 };

export class DataDirectory {
  readonly path = mkdtempSync(join(tmpdir(), 'leveret-store-'));
  readonly disk = new NodeDisk();

  [Symbol.dispose](): void {
    this.close();
  }

  /** A log on it, not opened yet: for a broker. One at a time. */
  log(): DurableLog {
    return new DurableLog({
      disk: this.disk,
      directory: this.path,
      clock: new SystemClock(),
      notices: { notice: () => undefined },
      processes,
      sizes,
    });
  }

  close(): void {
    rmSync(this.path, { recursive: true, force: true });
  }

  /** Flips a bit of a file. */
  flip(name: string, offset: number): void {
    const path = join(this.path, name);
    const bytes = readFileSync(path);
    bytes[offset] = (bytes[offset] ?? 0) ^ 1;
    writeFileSync(path, bytes);
  }

  /** Appends a message for each body to queue 1, named `jobs`; the seq of a message is its place in `bodies`, from 1. */
  async fill(bodies: readonly string[]): Promise<void> {
    const { log } = this.#open();
    const lsn = log.define({ kind: 'queue', vhost: '/', name: 'jobs', number: 1, autoDelete: false, arguments: {} });
    if (lsn < 0) throw new Error('the log takes nothing');
    const append = new Append();
    bodies.forEach((body, i) => {
      const content = encodeContent('', 'jobs', { deliveryMode: 2 }, Buffer.from(body));
      append.begin(content, 0, content.length, Buffer.byteLength(body), 1);
      append.add(1, i + 1, 0, 0);
      if (log.append(append) < 0) throw new Error('the log takes nothing');
    });
    log.commit();
    await log.close();
  }

  /** Does `action` with the log of an opened directory, and closes it. */
  async use(action: (log: DurableLog) => void | Promise<void>): Promise<void> {
    const { log } = this.#open();
    await action(log);
    await log.close();
  }

  /** The bodies of queue 1 by seq, as a start finds them. */
  async bodies(): Promise<Map<number, string>> {
    const { log, found, failed } = this.#open();
    const bodies = new Map<number, string>();
    try {
      for (const { seq, slab, offset, length, bodyBytes } of found) {
        const view = new View();
        const shown = new Promise<void>((resolve) => {
          const read = (): void => {
            if (log.read(slab, offset, length, view, { readable: read })) resolve();
          };
          read();
        });
        await Promise.race([shown, failed]);
        bodies.set(seq, Buffer.from(view.bytes.subarray(view.start + length - bodyBytes, view.start + length)).toString());
      }
    } finally {
      await log.close();
    }
    return bodies;
  }

  #open(): {
    log: DurableLog;
    found: { seq: number; slab: number; offset: number; length: number; bodyBytes: number }[];
    /** Rejects with what ends the log. */
    failed: Promise<never>;
  } {
    const found: { seq: number; slab: number; offset: number; length: number; bodyBytes: number }[] = [];
    const definitions: object[] = [];
    const sink: RecoverySink = {
      definition: (definition) => void definitions.push(definition),
      message: (_queueNumber, { seq, slab, offset, length, bodyBytes }) => {
        found.push({ seq, slab, offset, length, bodyBytes });
        return true;
      },
      recovered: () => undefined,
    };
    const topology = { kind: 'queue', vhost: '/', name: 'jobs', number: 1, autoDelete: false, arguments: {} };
    let fail: (cause: Error) => void = () => undefined;
    const failed = new Promise<never>((_resolve, reject) => {
      fail = reject;
    });
    failed.catch(() => undefined); // who waits for it is told
    const listener: LogListener = {
      durable: () => undefined,
      unknown: (_lsn, cause) => fail(cause),
      blocked: () => undefined,
      topology: () => [topology],
    };
    const log = this.log();
    log.open(sink, listener);
    return { log, found, failed };
  }
}
