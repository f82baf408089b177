// A checkpoint as a file: it comes back as it was, reads as RabbitMQ's export, and no damage passes for another checkpoint.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Definition } from '../../../server/ports.ts';
import {
  type Checkpoint,
  checkpointNumbers,
  checkpointPath,
  decodeCheckpoint,
  encodeCheckpoint,
} from '../../../server/store/checkpoint.ts';
import { Role } from '../../../server/store/log-file.ts';
import { NO_CHECKPOINT } from '../../../server/store/recovery.ts';
import { SimDisk } from '../../support/sim-disk.ts';
import { seeded } from '../../support/sim-random.ts';

const text = fc.string({ unit: 'grapheme', maxLength: 12 });
const args = fc.dictionary(text, fc.oneof(text, fc.integer(), fc.constant(null)), { maxKeys: 3 });
const named = { vhost: fc.constantFrom('/', 'other'), name: text };
const exchange: fc.Arbitrary<Definition> = fc.record({
  kind: fc.constant('exchange'),
  ...named,
  type: fc.constantFrom('topic', 'x-own'),
  autoDelete: fc.boolean(),
  internal: fc.boolean(),
  arguments: args,
});
const queue: fc.Arbitrary<Definition> = fc.record({
  kind: fc.constant('queue'),
  ...named,
  number: fc.nat(),
  autoDelete: fc.boolean(),
  arguments: args,
});
const binding: fc.Arbitrary<Definition> = fc.record({
  kind: fc.constant('binding'),
  vhost: fc.constant('/'),
  source: text,
  destination: text,
  destinationKind: fc.constantFrom('queue', 'exchange'),
  key: text,
  arguments: args,
});
const other: fc.Arbitrary<Definition> = fc.record({ kind: fc.constantFrom('queue.seq', 'queue.numbers'), ...named, nextSeq: fc.nat() });
const definitions = fc
  .tuple(
    fc.array(exchange, { maxLength: 3 }),
    fc.array(queue, { maxLength: 3 }),
    fc.array(binding, { maxLength: 3 }),
    fc.array(other, { maxLength: 3 }),
  )
  .map((lists) => lists.flat());
const checkpoint: fc.Arbitrary<Checkpoint> = fc
  .record({
    number: fc.nat(),
    lsn: fc.integer({ min: 0, max: 2 ** 52 }),
    recordLsn: fc.integer({ min: 0, max: 2 ** 52 }),
    walFrom: fc.nat(),
    walTo: fc.nat(),
    nextFileId: fc.nat(),
    queueNumberMax: fc.nat(),
    segments: fc.array(fc.record({ id: fc.nat(), role: fc.constantFrom(Role.Kept, Role.Gathered), settled: fc.nat({ max: 9 }) }), {
      maxLength: 4,
    }),
    redeliveredBelow: fc.array(fc.tuple(fc.nat(), fc.nat()), { maxLength: 4 }),
    definitions,
  })
  .map((one) => ({ ...NO_CHECKPOINT, ...one }));

const small: Checkpoint = {
  ...NO_CHECKPOINT,
  number: 3,
  lsn: 99,
  segments: [{ id: 4, role: Role.Kept, settled: 2 }],
  definitions: [{ kind: 'queue', vhost: '/', name: '00000000', number: 1, autoDelete: false, arguments: { 'x-max-priority': 3 } }],
};

describe('a checkpoint', () => {
  test('comes back, with its definitions in the order in which they can be taken', () => {
    fc.assert(
      fc.property(checkpoint, (one) => {
        expect(decodeCheckpoint(encodeCheckpoint(one))).toMatchObject(JSON.parse(JSON.stringify(one)));
      }),
    );
  });

  test('stands in the form of RabbitMQ’s export of definitions', () => {
    const read: unknown = JSON.parse(encodeCheckpoint(small).toString());
    expect(read).toMatchObject({
      vhosts: [{ name: '/' }],
      exchanges: [],
      queues: [
        { vhost: '/', name: '00000000', durable: true, auto_delete: false, arguments: { 'x-max-priority': 3 }, leveret: { number: 1 } },
      ],
      bindings: [],
      leveret: { format: 1, number: 3, lsn: 99 },
    });
  });

  test('with any bit flipped, or cut short, is none', () => {
    const bytes = encodeCheckpoint(small);
    expect(decodeCheckpoint(bytes)).toMatchObject(small);
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const copy = Buffer.from(bytes);
      copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(decodeCheckpoint(copy), `bit ${bit}`).toBeUndefined();
    }
    for (let length = 0; length < bytes.length; length++)
      expect(decodeCheckpoint(bytes.subarray(0, length)), `${length} bytes`).toBeUndefined();
  });
});

test('checkpoints are listed newest first, and nothing else is taken for one', () => {
  const disk = new SimDisk({ random: seeded(1), schedule: (_delayMs, task) => task() });
  disk.makeDirectoryNow('data/meta');
  for (const name of ['00000002.json', '00000010.json', '00000011.json.new', '9.json', 'other'])
    disk.openNow(`data/meta/${name}`, 'create').closeNow();
  disk.openNow(checkpointPath('data/meta', 1), 'create').closeNow();
  expect(checkpointNumbers(disk, 'data/meta')).toEqual([10, 2, 1]);
});
