// What a situation saw, as lines of text that two brokers can be compared by.
// Always: (1) a line is one thing that came: all fields of a method, the properties with their exact types, the body; (2) what differs from run to
// run by nature is written as `*`: generated names (of RabbitMQ's exact form), x-death's time; the prefix of a run's own names is left out;
// (3) confirms that follow each other are one line, by sequence number: how a broker groups them is its own affair.
// (4) the fields of a table stand in the order of their names: AMQP's tables have none. The situations of properties.ts compare the octets.
// Refuses to sort or drop anything else.

import { createHash } from 'node:crypto';
import type { Method } from '../../../shared/amqp/methods.ts';
import { propertyFields } from '../../../shared/amqp/properties.ts';
import type { MethodName } from '../../../shared/amqp/spec.ts';
import { type FieldValue, Typed } from '../../../shared/amqp/table.ts';
import type { AmqpContent, AmqpItem } from '../../support/amqp-client.ts';

/** One thing that came. */
export interface Line {
  readonly text: string;
  /** Without the headers that Leveret adds. */
  readonly plain: string;
  /** Which those are. */
  readonly added: readonly string[];
}
export type Transcript = readonly Line[];

/** Headers of Leveret that RabbitMQ 3.10 does not have: for semantics D7, L2. What differs by them alone is told apart. */
export const ADDED_HEADERS: readonly string[] = [
  'x-delivery-count',
  ...['exchange', 'queue', 'reason'].map((part) => `x-last-death-${part}`),
];

/** Of one channel of one connection. */
export class Lane {
  /** Sequence numbers that were published and not confirmed; undefined: not in confirm mode. */
  unconfirmed: Set<number> | undefined;
  /** How many were confirmed. */
  confirmed = 0;
  readonly #lines: Line[] = [];
  readonly #confirms = new Map<number, 'ack' | 'nack' | 'confirmed twice'>();
  /** Methods that are not written down, once each. */
  readonly hidden = new Set<MethodName>();

  add(item: AmqpItem): void {
    if (item.kind === 'method') this.#addMethod(item.method, item.content);
    else if (item.kind === 'header') this.note(`protocol header ${hex(item.bytes)}`);
    else if (item.kind === 'malformed') this.note(`malformed: ${item.why}`);
    else if (item.kind === 'end') this.note('the socket ends');
    else if (this.#lines.at(-1)?.text !== 'heartbeat') this.note('heartbeat'); // how many is a matter of time
  }

  note(text: string): void {
    this.#flushConfirms();
    this.#lines.push(plainLine(text));
  }

  lines(): readonly Line[] {
    this.#flushConfirms();
    return this.#lines;
  }

  #addMethod(method: Method, content: AmqpContent | undefined): void {
    if (this.hidden.delete(method.name)) return;
    if (this.unconfirmed !== undefined && (method.name === 'basic.ack' || method.name === 'basic.nack')) {
      const { deliveryTag, multiple } = method.fields;
      this.#confirm(this.unconfirmed, deliveryTag, multiple, method.name === 'basic.ack' ? 'ack' : 'nack');
      return;
    }
    this.#flushConfirms();
    this.#lines.push(methodLine(method, content));
  }

  #confirm(unconfirmed: Set<number>, last: number, multiple: boolean, outcome: 'ack' | 'nack'): void {
    const seqs = multiple ? [...unconfirmed].filter((seq) => last === 0 || seq <= last) : [last];
    for (const seq of seqs) {
      this.#confirms.set(seq, unconfirmed.delete(seq) ? outcome : 'confirmed twice');
      this.confirmed++;
    }
  }

  #flushConfirms(): void {
    if (this.#confirms.size === 0) return;
    const confirms = [...this.#confirms].sort(([a], [b]) => a - b).map(([seq, outcome]) => `${seq} ${outcome}`);
    this.#confirms.clear();
    this.#lines.push(plainLine(`confirms: ${confirms.join(', ')}`));
  }
}

export function plainLine(text: string): Line {
  return { text, plain: text, added: [] };
}

/** The same change to a line and to what it is without added headers. */
export function mapLine({ text, plain, added }: Line, change: (text: string) => string): Line {
  return { text: change(text), plain: change(plain), added };
}

function methodLine(method: Method, content: AmqpContent | undefined): Line {
  const text = printMethod(method, content);
  const headers = content?.properties.headers;
  const added = ADDED_HEADERS.filter((name) => headers?.has(name));
  if (content === undefined || headers === undefined || added.length === 0) return plainLine(text);
  const kept = new Map([...headers].filter(([name]) => !added.includes(name)));
  const properties = { ...content.properties, headers: kept.size === 0 ? undefined : kept };
  return { text, plain: printMethod(method, { ...content, properties }), added };
}

function printMethod(method: Method, content: AmqpContent | undefined): string {
  const fields = Object.entries(method.fields).map(([name, value]) => `${name}=${printField(value)}`);
  return [method.name, ...fields, ...(content === undefined ? [] : [printContent(content)])].join(' ');
}

function printField(value: string | number | boolean | Uint8Array | FieldValue): string {
  if (value instanceof Uint8Array) return JSON.stringify(Buffer.from(value).toString('latin1'));
  return value instanceof Map ? printValue(value) : typeof value === 'string' ? JSON.stringify(value) : String(value);
}

function printContent({ properties, body, bodyFrames }: AmqpContent): string {
  const parts: string[] = [];
  for (const { name } of propertyFields) {
    const value = properties[name];
    if (value === undefined) continue;
    parts.push(`${name}: ${value instanceof Map ? printValue(value) : JSON.stringify(value)}`);
  }
  const frames = bodyFrames.length > 1 ? ` in ${bodyFrames.length} frames of ${[...new Set(bodyFrames)].join(' and ')}` : '';
  return `{${parts.join(', ')}} ${printBody(body)}${frames}`;
}

// What is longer is shown by its digest.
const SHOWN_BYTES = 260;

function printBody(body: Uint8Array): string {
  return body.length <= SHOWN_BYTES ? JSON.stringify(Buffer.from(body).toString('latin1')) : digest(body);
}

function printString(text: string): string {
  return text.length <= SHOWN_BYTES ? JSON.stringify(text) : digest(Buffer.from(text));
}

function digest(bytes: Uint8Array): string {
  return `<${bytes.length} bytes, sha256 ${createHash('sha256').update(bytes).digest('hex').slice(0, 16)}>`;
}

/** A value with its exact type: `I 5`, `S "x"`, `{k: t true}`. */
export function printValue(value: FieldValue, name = ''): string {
  if (value instanceof Typed) return printTyped(value, name);
  if (value === null) return 'V';
  if (typeof value === 'string') return `S ${printString(value)}`;
  if (typeof value === 'boolean') return `t ${value}`;
  if (typeof value === 'number') return `${value === (value | 0) ? 'I' : Number.isSafeInteger(value) ? 'l' : 'd'} ${value}`;
  if (Array.isArray(value)) return `[${value.map((each) => printValue(each)).join(', ')}]`;
  const fields = [...value].sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${fields.map(([key, each]) => `${key}: ${printValue(each, key)}`).join(', ')}}`;
}

function printTyped({ type, value }: Typed, name: string): string {
  if (type === 'T' && name === 'time') return 'T *';
  if (value instanceof Uint8Array) return `${type} ${hex(value)}`;
  return typeof value === 'object' ? `${type} ${value.value}e-${value.scale}` : `${type} ${value}`;
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

/** Without the names of this run, and what the broker made up written as `*`. */
export function normalized(line: string, prefix: string): string {
  return line
    .replaceAll(prefix, '')
    .replace(/amq\.gen-[\w-]{22}(?![\w-])/g, 'amq.gen-*')
    .replace(/amq\.ctag-[\w-]{22}(?![\w-])/g, 'amq.ctag-*')
    .replace(/amq\.rabbitmq\.reply-to\.[\w.+/=-]+/g, 'amq.rabbitmq.reply-to.*');
}
