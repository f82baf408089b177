// Values on the command line: whole numbers and name=value pairs.
// Always: a value that reads as JSON (5, true, null, "5", {...}) is that value, any other text is a string: header matching and
// broker arguments tell the number 5 from the string "5", so the user must be able to write both.

import { InvalidArgumentError } from 'commander';
import type { Json } from '../../shared/protocol/control.ts';

export type Pairs = Readonly<Record<string, Json>>;

/** For an option that may be given again: each adds one pair. */
export function collectPair(text: string, previous: Pairs = {}): Pairs {
  const equals = text.indexOf('=');
  if (equals < 1) throw new InvalidArgumentError('write name=value.');
  return { ...previous, [text.slice(0, equals)]: value(text.slice(equals + 1)) };
}

/** The same, values staying text. */
export function collectText(text: string, previous: Readonly<Record<string, string>> = {}): Readonly<Record<string, string>> {
  const equals = text.indexOf('=');
  if (equals < 1) throw new InvalidArgumentError('write name=value.');
  return { ...previous, [text.slice(0, equals)]: text.slice(equals + 1) };
}

export function wholeNumber(min: number, max = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const number = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (number >= min && number <= max) return number;
    throw new InvalidArgumentError(
      max === Number.MAX_SAFE_INTEGER ? `write a whole number from ${min}.` : `write a whole number from ${min} to ${max}.`,
    );
  };
}

function value(text: string): Json {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return text;
    throw error;
  }
}
