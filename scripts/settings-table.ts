// Writes the table of settings and the file with all defaults into docs/configuration.md: `node scripts/dist/scripts/settings-table.js`.

import { readFileSync, writeFileSync } from 'node:fs';
import { stringify } from 'smol-toml';
import type { SettingValue } from '../server/setting.ts';
import { SETTINGS } from '../server/settings.ts';

const shown = (value: SettingValue): string => (typeof value === 'object' ? JSON.stringify(value) : String(value));

export function settingsTable(): string {
  const rows = SETTINGS.map(({ key, default: value, about }) => `| ${key} | ${shown(value)} | ${about} |`);
  return ['| setting | default | what it is for |', '|---|---|---|', ...rows].join('\n');
}

export function defaultsFile(): string {
  const lines: string[] = [];
  let table = '';
  for (const { key, default: value } of SETTINGS) {
    const [first = '', second] = key.split('.');
    const of = second === undefined ? '' : first;
    if (of !== table) lines.push('', `[${of}]`);
    table = of;
    lines.push(stringify({ [second ?? first]: value }).trim());
  }
  return lines.join('\n');
}

/** The document with both as they should be. */
export function renewed(text: string): string {
  return text
    .replace(/^\| setting \|[\s\S]*?\n(?!\|)/m, () => `${settingsTable()}\n`)
    .replace(/```toml\n[\s\S]*?```/, () => `\`\`\`toml\n${defaultsFile()}\n\`\`\``);
}

if (process.argv[1] !== undefined && import.meta.filename === process.argv[1]) {
  const path = 'docs/configuration.md';
  writeFileSync(path, renewed(readFileSync(path, 'utf8')));
}
