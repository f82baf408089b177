// The server's log: JSON lines on stderr, one child logger per connection.
// Always: (1) what could hold a secret is cut out by name before it is written; (2) writing is synchronous, so the last line before an end is there;
// (3) stdout is never touched: it belongs to what a command prints.

import { type Logger, pino } from 'pino';
import type { ConnectionLog, Notice, Notices } from './ports.ts';
import type { LogLevel } from './settings.ts';

// Wherever an object with one of these names is logged, at the top or one level down.
const SECRETS = ['password', 'passwordHash', 'password_hash', 'token', 'authorization', 'cookie', 'secret'];

export interface LineWriter {
  write(line: string): void;
}

export function createLog(level: LogLevel, into: LineWriter = pino.destination({ dest: 2, sync: true })): Logger {
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: SECRETS.flatMap((name) => [name, `*.${name}`]), censor: '[secret]' },
    },
    into,
  );
}

/** A log of one connection. Not a child of pino's, which would keep the level it began with. */
export function connectionLog(log: Logger, fields: object): ConnectionLog {
  return {
    debug: (more, text) => log.debug({ ...fields, ...more }, text),
    info: (more, text) => log.info({ ...fields, ...more }, text),
    warn: (more, text) => log.warn({ ...fields, ...more }, text),
    error: (more, text) => log.error({ ...fields, ...more }, text),
  };
}

/** The broker's notices as log lines. */
export function noticesTo(log: Logger): Notices {
  return {
    notice(notice: Notice): void {
      const line = { ...notice.fields, kind: notice.kind };
      log[notice.severity](line, notice.text);
    },
  };
}
