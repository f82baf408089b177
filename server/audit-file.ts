// The audit log as a file: one JSON object a line (audit.file). Always: (1) lines are appended whole, O_APPEND, and readable by its owner alone; (2) a line that cannot be
// written is a notice, once until one can: a full disk of the audit log does not stop the broker. Refuses: to rotate; whoever does moves the file, and `reopen` begins a new one.

import { closeSync, openSync, writeSync } from 'node:fs';
import type { AuditEntry, AuditSink } from './broker/audit.ts';
import type { ConnectionLog, Notices } from './ports.ts';

const OWNER_ONLY = 0o600;

export class AuditFile implements AuditSink {
  readonly #path: string;
  readonly #notices: Notices;
  #file: number;
  #isFailing = false;

  /** Throws Node's error where it cannot be opened. */
  constructor(path: string, notices: Notices) {
    this.#path = path;
    this.#notices = notices;
    this.#file = openSync(path, 'a', OWNER_ONLY);
  }

  write(entry: AuditEntry): void {
    try {
      writeSync(this.#file, `${JSON.stringify(entry)}\n`);
      this.#isFailing = false;
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      if (this.#isFailing) return;
      this.#isFailing = true;
      this.#tellFailure(error);
    }
  }

  /** After somebody has moved the file. Where it cannot be opened again, lines go on into the one that was moved. */
  reopen(): void {
    try {
      const next = openSync(this.#path, 'a', OWNER_ONLY);
      closeSync(this.#file);
      this.#file = next;
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      this.#tellFailure(error);
    }
  }

  close(): void {
    closeSync(this.#file);
  }

  #tellFailure({ message }: Error): void {
    this.#notices.notice({
      kind: 'audit.failed',
      severity: 'error',
      text: 'the audit log cannot be written',
      fields: { path: this.#path, cause: message },
    });
  }
}

/** The audit log among the lines of the server's log, where there is no file for it. */
export function auditToLog(log: Pick<ConnectionLog, 'info'>): AuditSink {
  return { write: (entry) => log.info({ audit: entry }, entry.act) };
}
