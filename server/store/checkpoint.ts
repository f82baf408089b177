// A checkpoint: all topology, and which files hold the rest, as of one lsn. meta/<number>.json, readable by eye: RabbitMQ's definitions export
// with what Leveret needs beside it under `leveret`.
// Always: (1) a checkpoint appears whole or not at all: written aside, synced, renamed, its directory synced; (2) the crc32 in it covers the whole
// text, with zeros in the crc's own place; (3) the newest valid one counts, and the one before it is kept.
// Refuses: to know what definitions mean: kinds with a place in RabbitMQ's export go there, all others stand in `leveret` as they are:
// `before` what came before all of those, `definitions` the rest.

import { crc32 } from 'node:zlib';
import type { Definition, Lsn } from '../ports.ts';
import type { Disk } from './file.ts';
import type { Role } from './log-file.ts';
import { FORMAT } from './records.ts';

export interface SegmentEntry {
  readonly id: number;
  readonly role: Role;
  /** The version of its list of settled messages; 0 for none. */
  readonly settled: number;
}

export interface Checkpoint {
  readonly number: number;
  /** Definitions up to here are in `definitions`. */
  readonly lsn: Lsn;
  /** The newest record then. It was durable: a log that ends before it is damaged. */
  readonly recordLsn: Lsn;
  /** The oldest WAL file that is replayed, and the newest that was begun; 0 for none. */
  readonly walFrom: number;
  readonly walTo: number;
  /** No file has had this number or a higher one. */
  readonly nextFileId: number;
  readonly queueNumberMax: number;
  readonly segments: readonly SegmentEntry[];
  /** Messages of a queue before this seq may have been delivered before an unclean stop. */
  readonly redeliveredBelow: readonly (readonly [queueNumber: number, seq: number])[];
  readonly definitions: readonly Definition[];
}

/** How a definition's fields are called in RabbitMQ's export. What is not listed stands under `leveret`. */
const EXPORTED: Readonly<
  Record<string, { readonly list: List; readonly fields: Readonly<Record<string, string>>; readonly always: object }>
> = {
  exchange: {
    list: 'exchanges',
    fields: { vhost: 'vhost', name: 'name', type: 'type', autoDelete: 'auto_delete', internal: 'internal', arguments: 'arguments' },
    always: { durable: true },
  },
  queue: {
    list: 'queues',
    fields: { vhost: 'vhost', name: 'name', autoDelete: 'auto_delete', arguments: 'arguments' },
    always: { durable: true },
  },
  binding: {
    list: 'bindings',
    fields: {
      vhost: 'vhost',
      source: 'source',
      destination: 'destination',
      destinationKind: 'destination_type',
      key: 'routing_key',
      arguments: 'arguments',
    },
    always: {},
  },
};

const NO_CRC = '00000000';
const SUFFIX = '.json';

export function checkpointPath(directory: string, number: number): string {
  return `${directory}/${String(number).padStart(8, '0')}${SUFFIX}`;
}

/** Numbers of the checkpoints that are there, newest first. */
export function checkpointNumbers(disk: Disk, directory: string): number[] {
  const names = disk.listNow(directory).filter((name) => /^\d{8}\.json$/.test(name));
  return names.map((name) => Number(name.slice(0, -SUFFIX.length))).reverse();
}

export function encodeCheckpoint(checkpoint: Checkpoint): Buffer {
  const lists: Record<List, object[]> = { vhosts: [], exchanges: [], queues: [], bindings: [] };
  const before: Definition[] = []; // what stands before all things may be what they stand on: their vhosts
  const others: Definition[] = [];
  let hasThings = false;
  const vhosts = new Set<string>();
  for (const definition of checkpoint.definitions) {
    const exported = EXPORTED[definition.kind];
    if (exported === undefined) (hasThings ? others : before).push(definition);
    else {
      hasThings = true;
      lists[exported.list].push(toExport(definition, exported));
    }
    if (typeof definition['vhost'] === 'string') vhosts.add(definition['vhost']);
  }
  lists.vhosts = [...vhosts].map((name) => ({ name }));
  const { definitions: _, ...leveret } = checkpoint;
  const text = `${JSON.stringify({ ...lists, leveret: { format: FORMAT, ...leveret, before, definitions: others, crc32: NO_CRC } }, undefined, 1)}\n`;
  const crc = crc32(text).toString(16).padStart(8, '0');
  const at = text.lastIndexOf(NO_CRC);
  return Buffer.from(text.slice(0, at) + crc + text.slice(at + NO_CRC.length));
}

/** 'newer': of a later format. undefined: not a whole checkpoint. */
export function decodeCheckpoint(bytes: Buffer): Checkpoint | 'newer' | undefined {
  const text = bytes.toString();
  const found = /"crc32": "([0-9a-f]{8})"\s*\}\s*\}\s*$/.exec(text);
  if (found?.[1] === undefined) return undefined;
  const at = text.lastIndexOf(found[1]);
  if (crc32(text.slice(0, at) + NO_CRC + text.slice(at + NO_CRC.length)) !== Number.parseInt(found[1], 16)) return undefined;
  const read: Export = JSON.parse(text);
  if (read.leveret.format > FORMAT) return 'newer';
  const definitions: Definition[] = [];
  for (const kind of ['exchange', 'queue', 'binding']) {
    const exported = EXPORTED[kind];
    for (const item of exported === undefined ? [] : (read[exported.list] ?? [])) definitions.push(fromExport(kind, item));
  }
  const { before = [], ...leveret } = read.leveret;
  return { ...leveret, definitions: [...before, ...definitions, ...leveret.definitions] };
}

type Item = Readonly<Record<string, unknown>>;
type List = 'vhosts' | 'exchanges' | 'queues' | 'bindings';
type Export = Readonly<Partial<Record<List, readonly Item[]>>> & { readonly leveret: Kept };
type Kept = Checkpoint & { readonly format: number; readonly before?: readonly Definition[] };

function toExport(definition: Definition, exported: { fields: Readonly<Record<string, string>>; always: object }): object {
  const item: Record<string, unknown> = {};
  const own: Record<string, unknown> = {};
  for (const [field, value] of Object.entries(definition)) {
    const name = exported.fields[field];
    if (name !== undefined) item[name] = value;
    else if (field !== 'kind') own[field] = value;
  }
  return { ...item, ...exported.always, ...(Object.keys(own).length > 0 ? { leveret: own } : {}) };
}

function fromExport(kind: string, item: Item): Definition {
  const fields: Record<string, unknown> = {};
  for (const [field, name] of Object.entries(EXPORTED[kind]?.fields ?? {})) if (name in item) fields[field] = item[name];
  const own = item['leveret'];
  return { kind, ...fields, ...(typeof own === 'object' ? own : {}) };
}
