// Lists as RabbitMQ's management API gives them: filtered by name, sorted, cut into pages, with only the columns that were asked for.
// Always: (1) without `page` the answer is the list itself, with it an object that counts; (2) who does not say by what is answered in the order of vhosts
// and names; (3) of a thing whose fields are known one by one, no more is made than what was asked for; (4) after SLICE things others have their turn, so
// that messages do not wait for a list. Refuses: to know what is listed; to hold a list still: what changes between two slices is shown as it is then.

import type { Turns } from '../ports.ts';
import { badRequest } from './http-error.ts';
import { searchNames } from './name-search.ts';
import { JsonText } from './route.ts';

const PAGE_SIZE_MAX = 500; // RabbitMQ
const PAGE_SIZE = 100; // RabbitMQ
/** Made and written in about 2 ms. */
const SLICE = 128;

export type Fields<Thing> = ReadonlyMap<string, (thing: Thing) => unknown>;

/** What is listed: things with a name, and how one of them is shown. */
export interface Listed<Thing> {
  readonly things: Iterable<Thing>;
  readonly nameOf: (thing: Thing) => string;
  /** What they are sorted by before their names, unless the caller says by what: their vhosts. */
  readonly placeOf?: (thing: Thing) => string;
  /** All of them are how a thing is shown; or a function that shows it. */
  readonly show: Fields<Thing> | ((thing: Thing) => object);
}
export interface Asked {
  readonly query: URLSearchParams;
  readonly turns: Turns;
}

export async function list<Thing>(listed: Listed<Thing>, { query, turns }: Asked): Promise<JsonText> {
  const all = [...listed.things];
  const sorted = await sort(named(all, listed.nameOf, query), listed, query, turns);
  const page = query.get('page');
  const asked = askedColumns(query);
  const write = (things: readonly Thing[]): Promise<string> =>
    inSlices(things, turns, (thing) => JSON.stringify(pick(listed.show, thing, asked))).then((texts) => `[${texts.join(',')}]`);
  if (page === null) return new JsonText(await write(sorted));
  const number = whole('page', page, 1);
  const size = whole('page_size', query.get('page_size') ?? String(PAGE_SIZE), 1);
  if (size > PAGE_SIZE_MAX) throw badRequest(`'page_size' is at most ${PAGE_SIZE_MAX}`);
  const pageCount = Math.max(1, Math.ceil(sorted.length / size));
  if (number > pageCount) throw badRequest(`page out of range: there are ${pageCount}`);
  const items = sorted.slice((number - 1) * size, number * size);
  const counts = {
    filtered_count: sorted.length,
    item_count: items.length,
    page: number,
    page_count: pageCount,
    page_size: size,
    total_count: all.length,
  };
  return new JsonText(`${JSON.stringify(counts).slice(0, -1)},"items":${await write(items)}}`);
}

async function inSlices<Thing, Made>(things: readonly Thing[], turns: Turns, make: (thing: Thing) => Made): Promise<Made[]> {
  const made: Made[] = [];
  for (const thing of things) {
    if (made.length > 0 && made.length % SLICE === 0) await new Promise<void>((resolve) => turns.defer(resolve));
    made.push(make(thing));
  }
  return made;
}

async function sort<Thing>(things: Thing[], listed: Listed<Thing>, query: URLSearchParams, turns: Turns): Promise<Thing[]> {
  const { nameOf, placeOf, show } = listed;
  const by = query.get('sort') ?? '';
  const sign = query.get('sort_reverse') === 'true' ? -1 : 1;
  if (by === '') return things.sort((a, b) => sign * (compare(placeOf?.(a), placeOf?.(b)) || compare(nameOf(a), nameOf(b))));
  if (by === 'name' && typeof show !== 'function') return things.sort((a, b) => sign * compare(nameOf(a), nameOf(b)));
  const keyed = await inSlices(things, turns, (thing) => ({ thing, key: valueAt(pick(show, thing, [by]), by) }));
  return keyed.sort((a, b) => sign * compare(a.key, b.key)).map(({ thing }) => thing);
}

function compare(a: unknown, b: unknown): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  const left = typeof a === 'string' ? a : String(a ?? '');
  const right = typeof b === 'string' ? b : String(b ?? '');
  return left < right ? -1 : left > right ? 1 : 0;
}

function named<Thing>(things: Thing[], nameOf: (thing: Thing) => string, query: URLSearchParams): Thing[] {
  const wanted = query.get('name') ?? '';
  if (wanted === '') return things;
  if (query.get('use_regex') !== 'true') return things.filter((thing) => nameOf(thing).includes(wanted));
  const found = searchNames(wanted, things.map(nameOf));
  return things.filter((_, at) => found[at] === true);
}

/** Undefined: all of them. */
function askedColumns(query: URLSearchParams): readonly string[] | undefined {
  const asked = query.get('columns');
  return asked === null || asked === '' ? undefined : asked.split(',');
}

/** The object with those columns alone; `message_stats.publish` reaches into it. */
export function columns(object: object, query: URLSearchParams): object {
  return cut(object, askedColumns(query));
}

/** A thing with all of its fields. */
export function showFields<Thing>(fields: Fields<Thing>, thing: Thing): object {
  const shown: Record<string, unknown> = {};
  for (const [name, field] of fields) shown[name] = field(thing);
  return shown;
}

function pick<Thing>(show: Listed<Thing>['show'], thing: Thing, asked: readonly string[] | undefined): object {
  if (typeof show === 'function') return cut(show(thing), asked);
  if (asked === undefined) return showFields(show, thing);
  const shown: Record<string, unknown> = {};
  for (const column of asked) {
    const [head = ''] = column.split('.', 1);
    const field = show.get(head);
    if (field !== undefined && !Object.hasOwn(shown, head)) shown[head] = field(thing);
  }
  return cut(shown, asked);
}

function cut(object: object, asked: readonly string[] | undefined): object {
  if (asked === undefined) return object;
  const cut: Record<string, unknown> = {};
  for (const column of asked) put(cut, column.split('.'), valueAt(object, column));
  return cut;
}

function valueAt(object: object, path: string): unknown {
  let value: unknown = object;
  for (const name of path.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
    value = Reflect.get(value, name);
  }
  return value;
}

function put(into: Record<string, unknown>, path: readonly string[], value: unknown): void {
  const [name, ...rest] = path;
  if (value === undefined || name === undefined || name === '__proto__') return;
  if (rest.length === 0) {
    into[name] = value;
    return;
  }
  const inner: Record<string, unknown> = { ...(typeof into[name] === 'object' ? into[name] : {}) };
  put(inner, rest, value);
  into[name] = inner;
}

function whole(name: string, text: string, least: number): number {
  const number = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (number >= least) return number;
  throw badRequest(`'${name}' must be a whole number from ${least}`);
}
