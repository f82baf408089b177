// A verb of the command line run in this process, with streams that the test owns.
// Always: what the verb did with its terminal is in the answer; the exit code of an error is the one `leveret` would end with.

import { PassThrough, Readable, Writable } from 'node:stream';
import { Command, CommanderError } from 'commander';
import { CliError, ExitCode } from '../../server/cli/exit-codes.ts';
import type { Terminal } from '../../server/cli/terminal.ts';

export interface Verb {
  configure(command: Command, terminal: Terminal): void;
}

export interface Ran {
  readonly code: number;
  readonly lines: string[];
  readonly errors: string;
}

export interface Running {
  readonly ended: Promise<Ran>;
  /** What a Ctrl-C does. */
  interrupt(): void;
  /** Waits until what it printed, errors included, holds `text`. */
  shown(text: string): Promise<void>;
}

export interface Surroundings {
  readonly input?: string;
  readonly isTerminal?: boolean;
  /** The reader of the output goes away after this many lines. */
  readonly readerStopsAfter?: number;
  /** What it meets then. */
  readonly readerFault?: string;
  readonly environment?: Readonly<Record<string, string>>;
}

export function startVerb(
  verb: Verb,
  words: readonly string[],
  { input, isTerminal = false, readerStopsAfter, readerFault = 'EPIPE', environment = {} }: Surroundings = {},
): Running {
  let output = '';
  let errors = '';
  let code: number = ExitCode.Ok;
  let interrupt: () => void = () => undefined;
  const watchers = new Set<() => void>();
  const outputStream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      if (readerStopsAfter !== undefined && output.split('\n').length > readerStopsAfter) {
        done(Object.assign(new Error(`write ${readerFault}`), { code: readerFault }));
        return;
      }
      output += chunk.toString();
      for (const watch of watchers) watch();
      done();
    },
  });
  const errorStream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      errors += chunk.toString();
      for (const watch of watchers) watch();
      done();
    },
  });
  const terminal: Terminal = {
    input: input === undefined ? new PassThrough() : Readable.from([input]),
    output: Object.assign(outputStream, { isTTY: isTerminal }),
    errors: Object.assign(errorStream, { isTTY: isTerminal }),
    environment,
    onInterrupt(stop) {
      interrupt = stop;
      return () => undefined;
    },
    exit(to) {
      code = to;
    },
  };
  const command = new Command('verb')
    .exitOverride()
    .configureOutput({ writeErr: (text) => (errors += text), writeOut: (text) => (output += text) });
  verb.configure(command, terminal);
  const finish = async (): Promise<Ran> => {
    try {
      await command.parseAsync(words, { from: 'user' });
    } catch (error) {
      if (error instanceof CommanderError) code = error.exitCode === 0 ? ExitCode.Ok : ExitCode.Usage;
      else if (error instanceof CliError) {
        code = error.exitCode;
        errors += `${error.message}\n${error.hint ?? ''}\n`;
      } else throw error;
    }
    return { code, lines: output.split('\n').slice(0, -1), errors };
  };
  return {
    ended: finish(),
    interrupt: () => interrupt(),
    shown: (text) =>
      new Promise((resolve) => {
        const look = (): void => {
          if (!(output + errors).includes(text)) return;
          watchers.delete(look);
          resolve();
        };
        watchers.add(look);
        look();
      }),
  };
}

export function runVerb(verb: Verb, words: readonly string[], surroundings?: Surroundings): Promise<Ran> {
  return startVerb(verb, words, surroundings).ended;
}
