// The definitions file that the configuration names, read at the start.
// Always: what is wrong with it names the file and the place. Refuses: to quote it, for there are hashes in it; and to know what it means (broker/definitions-file/).

import { readFileSync } from 'node:fs';
import type { Json, JsonObject } from '../shared/protocol/control.ts';
import { ConfigError } from './config.ts';

/** Throws ConfigError. */
export function readDefinitionsFile(path: string): JsonObject {
  const refused = (why: string): ConfigError => new ConfigError([`definitions: ${path} ${why}`]);
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw refused(`cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
  let file: Json;
  try {
    file = JSON.parse(text);
  } catch (error) {
    throw refused(`is no JSON${placeOf(error, text)}`);
  }
  if (typeof file === 'object' && file !== null && !Array.isArray(file)) return file;
  throw refused('must hold a JSON object');
}

/** Where JSON.parse stopped, as far as it says so. */
function placeOf(error: unknown, text: string): string {
  const position = error instanceof SyntaxError ? /position (\d+)/.exec(error.message)?.[1] : undefined;
  if (position === undefined) return '';
  const lines = text.slice(0, Number(position)).split('\n');
  return `: look at line ${lines.length}, column ${(lines.at(-1) ?? '').length + 1}`;
}
