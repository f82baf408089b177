// What a client process of the demo writes down about itself: one JSON line for each thing it did, in a file that only grows.
// Always: (1) one process, one file; (2) a line is written after the client library said that it happened (a publish: confirmed) or, for an
// ack, when the worker has decided on it; (3) `readJournals` answers every line of every file or says which line it cannot read.
// The broker never sees these files: they are the other side of the ledger.

import { appendFileSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isRecord } from './payloads.ts';

/** A publish that the broker confirmed. `queues` is where the plan says it had to go, `routed` how many queues the broker put it in. */
export interface Published {
  readonly did: 'published';
  readonly message: string;
  readonly key: string;
  readonly routed: number;
  readonly queues: readonly string[];
}
/** A message that a worker finished. */
export interface Acked {
  readonly did: 'acked';
  readonly queue: string;
  readonly message: string;
  readonly priority: number;
  /** From publish to the worker's start. */
  readonly waitMs: number;
}
/** An attempt that ended in an error (the broker delivers again, up to the limit) or in a refusal for good. */
export interface Failed {
  readonly did: 'threw' | 'dropped';
  readonly queue: string;
  readonly message: string;
}
/** A dead letter that was looked at: where and why its message died. */
export interface Died {
  readonly did: 'died';
  readonly queue: string;
  readonly reason: string;
  readonly message: string;
}
/** A publish that the broker or the client refused. */
export interface Refused {
  readonly did: 'refused';
  readonly message: string;
  readonly reason: string;
}
export type JournalRecord = Published | Acked | Failed | Died | Refused;

// Lines are kept this long at most before they go to the file in one write.
const FLUSH_LINES = 64;

export class Journal {
  readonly #path: string;
  #lines: string[] = [];

  constructor(directory: string, name: string) {
    this.#path = join(directory, `${name}.jsonl`);
    appendFileSync(this.#path, '');
  }

  write(record: JournalRecord): void {
    this.#lines.push(`${JSON.stringify(record)}\n`);
    if (this.#lines.length >= FLUSH_LINES) this.flush();
  }

  flush(): void {
    appendFileSync(this.#path, this.#lines.join(''));
    this.#lines = [];
  }
}

/** All records of all journals in a directory. */
export function readJournals(directory: string): JournalRecord[] {
  const names = readdirSync(directory).filter((name) => name.endsWith('.jsonl'));
  return names.flatMap((name) => {
    const lines = readFileSync(join(directory, name), 'utf8').split('\n').slice(0, -1);
    return lines.map((line, index) => {
      const record: unknown = JSON.parse(line);
      if (!isJournalRecord(record)) throw new Error(`${name}:${index + 1} is not a line of a demo journal`);
      return record;
    });
  });
}

function isJournalRecord(value: unknown): value is JournalRecord {
  if (!isRecord(value) || typeof value['message'] !== 'string') return false;
  switch (value['did']) {
    case 'published':
      return typeof value['routed'] === 'number' && Array.isArray(value['queues']);
    case 'refused':
      return typeof value['reason'] === 'string';
    case 'acked':
    case 'threw':
    case 'dropped':
    case 'died':
      return typeof value['queue'] === 'string';
    default:
      return false;
  }
}
