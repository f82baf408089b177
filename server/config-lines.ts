// On which line of a TOML text a key stands: the parser tells positions only of what it cannot parse.
// Always: the text has parsed, so a line is what it looks like, but for the inside of multi-line strings, where a look-alike could win.
// Answers the line of the enclosing table, or 1, when the key itself is not found (inline tables across lines).

const TABLE = /^\s*\[\[?\s*([^\]]+?)\s*\]\]?/;
const KEY = /^\s*((?:"[^"]*"|'[^']*'|[A-Za-z0-9_-]+)(?:\s*\.\s*(?:"[^"]*"|'[^']*'|[A-Za-z0-9_-]+))*)\s*=/;

/** `key` is dotted, from the root of the document. The first line is 1. */
export function lineOfKey(text: string, key: string): number {
  let table = '';
  let enclosing = 1;
  for (const [index, line] of text.split('\n').entries()) {
    const header = TABLE.exec(line)?.[1];
    if (header !== undefined) {
      table = bare(header);
      if (table === key) return index + 1;
      if (key.startsWith(`${table}.`)) enclosing = index + 1;
      continue;
    }
    const name = KEY.exec(line)?.[1];
    if (name === undefined) continue;
    const path = table === '' ? bare(name) : `${table}.${bare(name)}`;
    if (path === key) return index + 1;
    if (key.startsWith(`${path}.`)) enclosing = index + 1;
  }
  return enclosing;
}

function bare(name: string): string {
  return name
    .split('.')
    .map((part) => part.trim().replace(/^["']|["']$/g, ''))
    .join('.');
}
