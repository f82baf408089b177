// How a verb gets a password it was not given as a word: from the standard input's first line, or typed at a prompt that shows nothing.
// Always: (1) what is typed is not echoed, and the terminal is as it was afterwards, interrupted or not; (2) nothing but the line end is cut off.
// Refuses: a blank password, which would fit nobody.

import { createInterface } from 'node:readline';
import { CliError, ExitCode } from './exit-codes.ts';
import type { Terminal } from './terminal.ts';

const BACKSPACE = ['\b', '\x7f'];
const INTERRUPT = '\x03';
const END = '\x04';

/** `given`: the word of the command line, if there is one. Throws CliError. */
export async function readPassword(terminal: Terminal, given: string | undefined, prompt = 'Password: '): Promise<string> {
  const password = given ?? (terminal.input.isTTY === true ? await typed(terminal, prompt) : await firstLine(terminal));
  if (password === '')
    throw new CliError(ExitCode.BadInput, 'a password cannot be blank', 'give it as a word, on the standard input or at the prompt');
  return password;
}

async function firstLine({ input }: Terminal): Promise<string> {
  const lines = createInterface({ input });
  try {
    for await (const line of lines) return line;
    return '';
  } finally {
    lines.close();
  }
}

async function typed({ input, errors }: Terminal, prompt: string): Promise<string> {
  errors.write(prompt);
  input.setRawMode?.(true);
  try {
    let password = '';
    for await (const chunk of input) {
      for (const key of String(chunk)) {
        if (key === '\r' || key === '\n' || key === END) return password;
        if (key === INTERRUPT) throw new CliError(ExitCode.Interrupted, 'interrupted');
        if (BACKSPACE.includes(key)) password = [...password].slice(0, -1).join('');
        else password += key;
      }
    }
    return password;
  } finally {
    input.setRawMode?.(false);
    errors.write('\n');
  }
}
