// `leveret list_queues [COLUMN...]` and the other lists: rabbitmqctl's names and columns, over the HTTP API.
// Always: (1) a column that is none is refused before anything is asked, with those there are; (2) of long lists only the fields that are shown are asked for;
// (3) any field of the API may be named with dots: `message_stats.publish_details.rate`.
// Refuses: to know one list from another (listings.ts does).

import { type Fields, isFields, type Query } from './api.ts';
import { type ApiFlags, addApiFlags, addVhostFlags, type Configure, runApiVerb, type VhostFlags } from './api-verb.ts';
import { CliError, ExitCode } from './exit-codes.ts';
import { LISTINGS, type Listing } from './listings.ts';
import { printRows } from './table.ts';
import type { Terminal } from './terminal.ts';

interface ListFlags extends VhostFlags {
  readonly tableHeaders: boolean;
  readonly silent?: true;
}

export const verbs: Readonly<Record<string, Configure>> = Object.fromEntries(
  Object.entries<Listing>(LISTINGS).map(([verb, listing]) => [verb, (command, terminal) => configureList(command, terminal, listing)]),
);

function configureList(command: Parameters<Configure>[0], terminal: Terminal, listing: Listing): void {
  const { columns, shown, scope } = listing;
  if (scope === 'user') command.argument('<user>');
  command
    .argument('[column...]', `which to show (default: ${shown.join(' ')}); there are ${columns.map(nameOf).join(' ')}`)
    .option('--no-table-headers', 'rows alone')
    .option('-s, --silent', 'rows alone, no remarks');
  const take = async (name: string | undefined, words: readonly string[], flags: ListFlags): Promise<void> => {
    await runApiVerb(terminal, flags, async ({ api, output, note }) => {
      const asked = words.length === 0 ? shown : words;
      const wanted = asked.map((word) => ({ name: word, field: fieldOf(word, listing) }));
      if (flags.silent !== true) note(headingOf(listing, name ?? flags.vhost));
      const query = queryOf(
        listing,
        wanted.map(({ field }) => field),
      );
      const rows = rowsOf(
        api.list(listing.at(name ?? flags.vhost), { query, what: whatOf(listing, name ?? flags.vhost) }),
        wanted,
        keepOf(listing, flags),
        listing.read,
      );
      const header = flags.tableHeaders && flags.silent !== true;
      await printRows({ output, terminal }, { columns: asked, header }, rows);
      return ExitCode.Ok;
    });
  };
  if (scope === 'user') command.action((user: string, words: string[], flags: ListFlags) => take(user, words, flags));
  else command.action((words: string[], flags: ListFlags) => take(undefined, words, flags));
  if (scope === 'vhost') addVhostFlags(command, terminal);
  else addApiFlags(command, terminal);
}

/** The API's field of a column. Throws CliError. */
export function fieldOf(word: string, { columns, what }: Pick<Listing, 'columns' | 'what'>): string {
  for (const column of columns) if (nameOf(column) === word) return column.slice(column.indexOf('=') + 1);
  if (/^\w+(\.\w+)+$/.test(word)) return word;
  throw new CliError(ExitCode.Usage, `${what} have no column '${word}'`, `there are ${columns.map(nameOf).join(' ')}`);
}

export function valueAt(fields: Fields, field: string): unknown {
  if (field.startsWith('_')) return field.slice(1); // the same in every row
  let value: unknown = fields;
  for (const name of field.split('.')) value = isFields(value) && Object.hasOwn(value, name) ? value[name] : undefined;
  return value;
}

const nameOf = (column: string): string => column.split('=')[0] ?? column;

function queryOf({ isLong }: Listing, fields: readonly string[]): Query {
  if (isLong !== true) return {};
  return { sort: 'name', columns: [...new Set(['name', ...fields])].join(',') };
}

async function* rowsOf(
  items: AsyncIterable<Fields>,
  wanted: readonly { readonly name: string; readonly field: string }[],
  keep: (item: Fields) => boolean,
  read: (item: Fields) => Fields = (item) => item,
): AsyncGenerator<Fields> {
  for await (const item of items) {
    if (!keep(item)) continue;
    const row = read(item);
    yield Object.fromEntries(wanted.map(({ name, field }) => [name, valueAt(row, field)]));
  }
}

function keepOf({ isMixed }: Listing, { vhost }: ApiFlags & { readonly vhost?: string }): (item: Fields) => boolean {
  return isMixed === true ? (item) => item['vhost'] === vhost : () => true;
}

function headingOf({ what, scope }: Listing, name: string): string {
  if (scope === 'all') return `Listing ${what} ...`;
  return `Listing ${what} for ${scope === 'user' ? 'user' : 'vhost'} ${name} ...`;
}

function whatOf({ scope }: Listing, name: string): string {
  return scope === 'user' ? `user '${name}'` : `vhost '${name}'`;
}
