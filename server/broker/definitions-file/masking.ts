// Values as people may see them: passwords in addresses, and fields that by their names are secrets, are stars.
// Always: (1) what is not sure to be harmless is masked: better a host too many than one password; (2) whether a masked value is another one than before is told.
// Refuses: to mask what is exported or kept; a plan shows what it would do, and needs no secret for that.

import type { Json, JsonObject } from '../../../shared/protocol/control.ts';

const STARS = '***';
const SECRET = /pass(?:w|phrase|code|$)|secret|token|credential|private[-_.]?key|api[-_.]?key|access[-_.]?key|authorization/i;
// The colon behind a user's name: not the one in front of a port.
const USER_INFO = /:\/\/[^:@/?#]*:(?!\d{0,5}(?:[/?#,;]|$))/;
const QUERY = /([?&;])([^=?&;#]+)=[^&;#]*/g;

export function masked(value: JsonObject, before?: JsonObject): JsonObject {
  return Object.fromEntries(
    Object.entries(value).map(([name, field]): [string, Json] => {
      const old = before !== undefined && Object.hasOwn(before, name) ? before[name] : undefined;
      return [name, SECRET.test(name) && isSecret(field) ? told(STARS, STARS, field, old) : maskedValue(field, old)];
    }),
  );
}

function maskedValue(value: Json, before: Json | undefined): Json {
  if (typeof value === 'string') return told(maskedText(value), typeof before === 'string' ? maskedText(before) : undefined, value, before);
  if (Array.isArray(value)) return value.map((each, at) => maskedValue(each, Array.isArray(before) ? before[at] : undefined));
  if (typeof value !== 'object' || value === null) return value;
  return masked(value, typeof before === 'object' && before !== null && !Array.isArray(before) ? before : undefined);
}

/** What tells nothing by itself. */
function isSecret(value: Json): boolean {
  return value !== null && value !== '' && typeof value !== 'boolean';
}

/** `shown`, and that it is another than before where that cannot be seen. */
function told(shown: string, shownBefore: string | undefined, value: Json, before: Json | undefined): string {
  const hides = shown === shownBefore && before !== undefined && JSON.stringify(value) !== JSON.stringify(before);
  return hides ? `${shown} (changed)` : shown;
}

function maskedText(text: string): string {
  return text.replace(/\S+/g, (word) => maskedUserInfo(word).replace(QUERY, maskedParameter));
}

/** All from a password to the last @ of its word: one that was not encoded as it should be may hold any. */
function maskedUserInfo(word: string): string {
  const end = word.lastIndexOf('@');
  const found = end < 0 ? null : USER_INFO.exec(word);
  const start = found === null ? end : found.index + found[0].length;
  return start < end ? `${word.slice(0, start)}${STARS}${word.slice(end)}` : word;
}

function maskedParameter(whole: string, mark: string, name: string): string {
  return SECRET.test(name) ? `${mark}${name}=${STARS}` : whole;
}
