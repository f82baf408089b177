// What a verb sees of the process: three streams, signals, an exit code. Tests hand in their own.
// Always: (1) colours and progress only where a terminal reads, and not under NO_COLOR; (2) a reader that goes away (`| head`) ends the
// verb quietly, as a success; (3) the first SIGINT or SIGTERM asks the verb to finish, the second ends the process.

import type { Readable, Writable } from 'node:stream';
import { styleText } from 'node:util';

export type Style = Parameters<typeof styleText>[0];

export interface Terminal {
  readonly input: Readable & { readonly isTTY?: boolean; setRawMode?(isRaw: boolean): unknown };
  readonly output: Writable & { readonly isTTY?: boolean; readonly columns?: number; readonly rows?: number };
  readonly errors: Writable & { readonly isTTY?: boolean };
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Calls `stop` when the user interrupts; answers a function that stops listening. */
  onInterrupt(stop: () => void): () => void;
  exit(code: number): void;
}

const SECOND_SIGNAL_EXIT = 130; // 128 + SIGINT, as shells write it

export function processTerminal(): Terminal {
  return {
    input: process.stdin,
    output: process.stdout,
    errors: process.stderr,
    environment: process.env,
    onInterrupt(stop) {
      let asked = false;
      const signalled = (): void => {
        if (asked) process.exit(SECOND_SIGNAL_EXIT);
        asked = true;
        stop();
      };
      process.on('SIGINT', signalled);
      process.on('SIGTERM', signalled);
      return () => {
        process.off('SIGINT', signalled);
        process.off('SIGTERM', signalled);
      };
    },
    exit(code) {
      process.exitCode = code;
    },
  };
}

/** `text` in a style where `stream` is a terminal that shows it, else as it is. */
export function styled(terminal: Terminal, stream: 'output' | 'errors', style: Style, text: string): string {
  const plain = terminal[stream].isTTY !== true || (terminal.environment['NO_COLOR'] ?? '') !== '';
  return plain ? text : styleText(style, text);
}
