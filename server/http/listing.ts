// Lists as RabbitMQ's management API gives them: filtered by name, sorted, cut into pages, with only the columns that were asked for.
// Always: (1) without `page` the answer is the list itself, with it an object that counts; (2) full objects are made of a page's items alone, unless they
// have to be sorted by what only those have. Refuses: to know what is listed.

import { badRequest } from './http-error.ts';
import { searchNames } from './name-search.ts';

const PAGE_SIZE_MAX = 500; // RabbitMQ
const PAGE_SIZE = 100; // RabbitMQ

/** What is listed: things with a name, and how one of them is shown. */
export interface Listed<Thing> {
  readonly things: Iterable<Thing>;
  readonly nameOf: (thing: Thing) => string;
  readonly show: (thing: Thing) => object;
}

export function list<Thing>({ things, nameOf, show }: Listed<Thing>, query: URLSearchParams): unknown {
  const all = [...things];
  const filtered = named(all, nameOf, query);
  const sorted = sort(filtered, nameOf, show, query);
  const page = query.get('page');
  const cut = (each: Thing | object): object => columns(isShown(each) ? each.shown : show(each as Thing), query);
  if (page === null) return sorted.map(cut);
  const number = whole('page', page, 1);
  const size = whole('page_size', query.get('page_size') ?? String(PAGE_SIZE), 1);
  if (size > PAGE_SIZE_MAX) throw badRequest(`'page_size' is at most ${PAGE_SIZE_MAX}`);
  const pageCount = Math.max(1, Math.ceil(sorted.length / size));
  if (number > pageCount) throw badRequest(`page out of range: there are ${pageCount}`);
  const items = sorted.slice((number - 1) * size, number * size).map(cut);
  return {
    filtered_count: sorted.length,
    item_count: items.length,
    items,
    page: number,
    page_count: pageCount,
    page_size: size,
    total_count: all.length,
  };
}

class Shown {
  readonly shown: object;
  readonly key: unknown;
  constructor(shown: object, key: unknown) {
    this.shown = shown;
    this.key = key;
  }
}
function isShown(each: unknown): each is Shown {
  return each instanceof Shown;
}

function sort<Thing>(
  things: Thing[],
  nameOf: (thing: Thing) => string,
  show: (thing: Thing) => object,
  query: URLSearchParams,
): (Thing | Shown)[] {
  const by = query.get('sort');
  const sign = query.get('sort_reverse') === 'true' ? -1 : 1;
  if (by === null || by === '') return things;
  if (by === 'name') return things.sort((a, b) => sign * compare(nameOf(a), nameOf(b)));
  const shown = things.map((thing) => {
    const object = show(thing);
    return new Shown(object, valueAt(object, by));
  });
  return shown.sort((a, b) => sign * compare(a.key, b.key));
}

function compare(a: unknown, b: unknown): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  const [left, right] = [String(a ?? ''), String(b ?? '')];
  return left < right ? -1 : left > right ? 1 : 0;
}

function named<Thing>(things: Thing[], nameOf: (thing: Thing) => string, query: URLSearchParams): Thing[] {
  const wanted = query.get('name');
  if (wanted === null || wanted === '') return things;
  if (query.get('use_regex') !== 'true') return things.filter((thing) => nameOf(thing).includes(wanted));
  const found = searchNames(wanted, things.map(nameOf));
  return things.filter((_, at) => found[at] === true);
}

/** The object with those columns alone; `message_stats.publish` reaches into it. */
export function columns(object: object, query: URLSearchParams): object {
  const asked = query.get('columns');
  if (asked === null || asked === '') return object;
  const cut: Record<string, unknown> = {};
  for (const column of asked.split(',')) put(cut, column.split('.'), valueAt(object, column));
  return cut;
}

function valueAt(object: object, path: string): unknown {
  let value: unknown = object;
  for (const name of path.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
    value = Object.entries(value).find(([each]) => each === name)?.[1];
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
