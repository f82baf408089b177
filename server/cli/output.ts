// What verbs print: results for people or, with --json, one JSON object a line; progress and notes on the error stream.
// Always: (1) the output stream carries results alone, so that it can be piped; (2) text from messages cannot steer a terminal: control
// characters are shown, not sent; (3) a line is awaited
// until it is written, so that a slow reader slows the verb, and what nobody read is not acked.

import { Buffer } from 'node:buffer';
import type { Message } from 'leveret-client';
import { CliError, ExitCode } from './exit-codes.ts';
import { styled, type Terminal } from './terminal.ts';

const PROGRESS_MS = 100; // between two lines of progress: faster than anyone reads

export class Output {
  readonly json: boolean;
  readonly #terminal: Terminal;
  #isProgressShown = false;
  #progressAt = Number.NEGATIVE_INFINITY;
  #failure: NodeJS.ErrnoException | undefined;

  constructor(terminal: Terminal, json: boolean) {
    this.#terminal = terminal;
    this.json = json;
    terminal.output.on('error', (error: NodeJS.ErrnoException) => this.#failed(error)); // for good: it may come after the verb
  }

  /** `| head` has seen enough. */
  get isReaderGone(): boolean {
    return this.#failure?.code === 'EPIPE';
  }

  /** Throws where a result could not be written, for another reason than that its reader has gone. */
  check(): void {
    if (this.#failure === undefined || this.isReaderGone) return;
    throw new CliError(
      ExitCode.InputOutput,
      `the output cannot be written: ${this.#failure.message}`,
      'see to where it goes, and run it again',
    );
  }

  /** A result: `fields` as JSON or `text` for people. */
  result(fields: Readonly<Record<string, unknown>>, text: () => string): Promise<boolean> {
    return this.#write(this.json ? toJson(fields) : text());
  }

  message(message: Message): Promise<boolean> {
    return this.#write(this.json ? toJson(messageFields(message)) : this.#describe(message));
  }

  /** A remark that is no result. */
  note(text: string): void {
    this.#endProgress();
    this.#terminal.errors.write(`${styled(this.#terminal, 'errors', 'dim', text)}\n`);
  }

  /** One line that the next one replaces; nothing where no terminal shows it. */
  progress(text: string): void {
    if (this.#terminal.errors.isTTY !== true || this.json) return;
    const now = performance.now();
    if (now - this.#progressAt < PROGRESS_MS) return;
    this.#progressAt = now;
    this.#isProgressShown = true;
    this.#terminal.errors.write(`\r\x1b[K${text}`);
  }

  done(): void {
    this.#endProgress();
  }

  #endProgress(): void {
    if (!this.#isProgressShown) return;
    this.#isProgressShown = false;
    this.#terminal.errors.write('\r\x1b[K');
  }

  #failed(error: NodeJS.ErrnoException): void {
    this.#failure ??= error;
  }

  /** Answers whether the line went out: false once nobody reads any more. */
  #write(line: string): Promise<boolean> {
    this.#endProgress();
    return new Promise((resolve) => {
      this.#terminal.output.write(`${line}\n`, (error) => {
        if (error !== null && error !== undefined) this.#failed(error);
        resolve(error === null || error === undefined);
      });
    });
  }

  #describe(message: Message): string {
    const { exchange, key, id, attempt, redelivered } = message;
    const bold = styled(this.#terminal, 'output', 'bold', printable(key === '' ? '""' : key));
    const facts = [exchange === '' ? '' : `from ${exchange}`, id, redelivered ? `redelivered, attempt ${attempt}` : ''];
    for (const [name, value] of Object.entries(message.properties)) {
      if (value !== undefined) facts.push(`${name}=${typeof value === 'string' ? value : toJson(value)}`);
    }
    const head = styled(this.#terminal, 'output', 'dim', printable(facts.filter((fact) => fact !== '').join('  ')));
    return `${bold}  ${head}\n  ${bodyText(message.bytes)}`;
  }
}

function messageFields(message: Message): Record<string, unknown> {
  const { exchange, key, id, redelivered, attempt, properties, bytes } = message;
  const text = utf8(bytes);
  const body = text === undefined ? { bodyBase64: Buffer.from(bytes).toString('base64') } : { body: text };
  return { exchange, key, id, redelivered, attempt, properties, ...body };
}

function bodyText(bytes: Uint8Array): string {
  const text = utf8(bytes);
  if (text === undefined) return `${bytes.length} bytes, base64 ${Buffer.from(bytes).toString('base64')}`;
  return printable(text).replaceAll('\n', '\n  ');
}

function utf8(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}

/** Control characters but newline and tab as \xNN: a message must not move the reader's cursor or set their window's title. */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, (found) => `\\x${found.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

/** JSON for anything a header may hold. */
export function toJson(value: unknown): string {
  return JSON.stringify(value, (_name, inner: unknown) => {
    if (typeof inner === 'bigint') return inner.toString();
    if (inner instanceof Uint8Array) return Buffer.from(inner).toString('base64');
    return inner;
  });
}
