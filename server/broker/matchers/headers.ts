// The headers exchange type: a binding's arguments are tests on the message's headers; `x-match` says how many must hold.
//   all (default), any: names that start with x- are no tests.  all-with-x, any-with-x: only x-match itself is none.
// Always: (1) arguments are compiled when bound, headers are decoded once a match; (2) a void argument asks for presence alone;
// (3) numbers compare by value, whatever their type, and so do strings and bytes (RabbitMQ); (4) `all` without tests matches everything, `any` without tests nothing.
// Refuses: an x-match it does not know, with RabbitMQ's text.

import { type FieldTable, type FieldValue, Typed } from '../../../shared/amqp/table.ts';
import type { Content } from '../../../shared/content.ts';
import { AmqpError, ReplyCode } from '../../../shared/error.ts';
import { decodeUtf8, isUtf8 } from '../../../shared/text.ts';
import { canonicalValue, printValue, typeName } from '../field-values.ts';
import { type Bound, BoundSet, type Destinations, type Matcher } from './matcher.ts';

const MODES: ReadonlySet<string> = new Set(['all', 'any', 'all-with-x', 'any-with-x']);
const NO_HEADERS: FieldTable = new Map();

interface HeaderTest {
  readonly name: string;
  /** null asks for presence. */
  readonly wanted: FieldValue;
  readonly canonical: string;
}

class Compiled<D> implements Bound<D> {
  readonly key: string;
  readonly arguments: FieldTable;
  readonly destination: D;
  readonly #all: boolean;
  readonly #tests: HeaderTest[] = [];

  constructor(bound: Bound<D>) {
    this.key = bound.key;
    this.arguments = bound.arguments;
    this.destination = bound.destination;
    const mode = bound.arguments.get('x-match') ?? 'all';
    const withX = mode === 'all-with-x' || mode === 'any-with-x';
    this.#all = mode === 'all' || mode === 'all-with-x';
    for (const [name, value] of bound.arguments) {
      if (withX ? name === 'x-match' : name.startsWith('x-')) continue;
      this.#tests.push({ name, wanted: value, canonical: comparable(value) });
    }
  }

  matches(headers: FieldTable): boolean {
    const tests = this.#tests;
    for (let i = 0; i < tests.length; i++) if (holds(tests[i] as HeaderTest, headers) !== this.#all) return !this.#all;
    return this.#all;
  }
}

export class HeadersMatcher<D> implements Matcher<D> {
  readonly usesKey = false;
  readonly usesHeaders = true;
  readonly #compiled = new Map<Bound<D>, Compiled<D>>();
  readonly #all = new BoundSet<D, Compiled<D>>();

  check(_key: string, args: FieldTable): void {
    const mode = args.get('x-match');
    if (mode === undefined || (typeof mode === 'string' && MODES.has(mode))) return;
    throw new AmqpError(ReplyCode.PreconditionFailed, describeMode(mode), { path: '/arguments/x-match' });
  }

  bind(bound: Bound<D>): void {
    const compiled = new Compiled(bound);
    this.#compiled.set(bound, compiled);
    this.#all.add(compiled);
  }

  unbind(bound: Bound<D>): void {
    const compiled = this.#compiled.get(bound);
    if (compiled === undefined) return;
    this.#compiled.delete(bound);
    this.#all.delete(compiled);
  }

  match(_key: string, content: Content, into: Destinations<D>): void {
    const { bounds } = this.#all;
    if (bounds.length === 0) return;
    const headers = content.headers ?? NO_HEADERS;
    for (let i = 0; i < bounds.length; i++) {
      const compiled = bounds[i] as Compiled<D>;
      if (compiled.matches(headers)) into.add(compiled.destination);
    }
  }
}

function holds(test: HeaderTest, headers: FieldTable): boolean {
  const value = headers.get(test.name);
  if (value === undefined) return false;
  if (value === test.wanted || test.wanted === null) return true;
  if (typeof value === 'string' && typeof test.wanted === 'string') return false;
  return comparable(value) === test.canonical;
}

/** One string for all values that a header test takes for the same. */
function comparable(value: FieldValue): string {
  if (typeof value === 'string') return `S${value}`;
  if (typeof value === 'number') return `n${value + 0}`;
  if (!(value instanceof Typed) || (typeof value.value === 'object' && !(value.value instanceof Uint8Array))) return canonicalValue(value);
  const { value: octets } = value;
  if (!(octets instanceof Uint8Array)) return `n${octets}`;
  return isUtf8(octets, 0, octets.length) ? `S${decodeUtf8(octets, 0, octets.length)}` : canonicalValue(value);
}

function describeMode(mode: FieldValue): string {
  const isString = typeof mode === 'string' || (mode instanceof Typed && mode.type === 'S');
  return isString
    ? `Invalid x-match field value <<"${printValue(mode)}">>; expected all, any, all-with-x, or any-with-x`
    : `Invalid x-match field type ${typeName(mode)} (value ${printValue(mode)}); expected longstr`;
}
