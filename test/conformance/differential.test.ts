// The same protocol situations, frame by frame, against Debian's rabbitmq-server and against Leveret: replies, codes, texts, deliveries, histories,
// counts and their order are the same, but for what is meant (differential/meant.txt, and the table made of it in docs/compatibility.md).

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { hasRabbitMq, RabbitMq } from '../../scripts/rabbitmq.ts';
import { AmqpClient } from '../support/amqp-client.ts';
import { type BuiltBroker, startBuiltBroker } from '../support/built-broker.ts';
import { all, alone } from './differential/all.ts';
import { type Difference, differenceOf, play } from './differential/compare.ts';
import { complaints, meant, meantTable, parseMeant } from './differential/meant.ts';
import type { Transcript } from './differential/transcript.ts';

const situations = [...all, ...alone];
const MEMORY_BYTES = 16_777_216;
const MESSAGE_BYTES_MAX = 1_048_576; // of both brokers: what the situations call the largest

async function playRabbitMq(broker: RabbitMq): Promise<Map<string, Transcript>> {
  try {
    const transcripts = await play(broker, all);
    // At 0 everything is too much.
    const alarm = async (isOn: boolean) => void broker.control('set_vm_memory_high_watermark', isOn ? '0' : '0.4');
    return new Map([...transcripts, ...(await play({ port: broker.port, alarm }, alone, 1))]);
  } finally {
    await broker.stop();
  }
}

async function playLeveret(): Promise<Map<string, Transcript>> {
  const directory = mkdtempSync(join(tmpdir(), 'leveret-differential-'));
  const broker = await startBuiltBroker({ LEVERET_LIMITS_MESSAGE_BYTES: String(MESSAGE_BYTES_MAX) }, ['--data-dir', directory]);
  try {
    return new Map([...(await play({ port: portOf(broker) }, all)), ...(await playAlone())]);
  } finally {
    await broker.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

/** On a broker that is soon short of memory. */
async function playAlone(): Promise<Map<string, Transcript>> {
  const broker = await startBuiltBroker({ LEVERET_LIMITS_MEMORY_BYTES: String(MEMORY_BYTES) });
  // Who publishes the ballast is held back like others: another one throws it out.
  const [loader, unloader] = [await AmqpClient.dial(portOf(broker)), await AmqpClient.dial(portOf(broker))];
  try {
    for (const client of [loader, unloader]) {
      await client.login();
      client.send(1, 'channel.open');
      client.send(1, 'queue.declare', { queue: 'ballast' });
      for (let i = 0; i < 2; i++) await client.next(1);
    }
    const alarm = async (isOn: boolean): Promise<void> => {
      const body = new Uint8Array(MESSAGE_BYTES_MAX);
      if (isOn) for (let bytes = 0; bytes < MEMORY_BYTES * 1.3; bytes += body.length) loader.publish(1, { routingKey: 'ballast', body });
      else unloader.send(1, 'queue.purge', { queue: 'ballast' });
      await loader.next(0); // it is told: blocked, unblocked
    };
    return await play({ port: portOf(broker), alarm }, alone, 1);
  } finally {
    for (const client of [loader, unloader]) client.destroy();
    await broker.stop();
  }
}

const portOf = (broker: BuiltBroker): number => Number(new URL(broker.amqpUrl).port);

test.skipIf(!hasRabbitMq())('every situation ends as it does with RabbitMQ, but for what is meant', { timeout: 180_000 }, async () => {
  const starting = RabbitMq.start({ config: [`max_message_size = ${MESSAGE_BYTES_MAX}`] }); // takes its time
  const leveret = await playLeveret().catch(async (error: unknown) => {
    await (await starting).stop();
    throw error;
  });
  const rabbitmq = await playRabbitMq(await starting);
  const found = new Map<string, Difference>();
  for (const { name } of situations) {
    const difference = differenceOf(rabbitmq.get(name) ?? [], leveret.get(name) ?? []);
    if (difference !== undefined) found.set(name, difference);
  }
  const wrong = complaints(found, meant);
  const meantCount = found.size - wrong.filter((complaint) => complaint.startsWith('differs')).length;
  console.log(`differential: ${situations.length} situations, ${situations.length - found.size} equal, ${meantCount} differ as meant`);
  expect(wrong).toEqual([]);
});

test('there are some two hundred situations and more, each with a name of its own', () => {
  expect(situations.length).toBeGreaterThan(200);
  expect(new Set(situations.map(({ name }) => name)).size).toBe(situations.length);
});

test('docs/compatibility.md has the table of what is meant', () => {
  const page = readFileSync(new URL('../../docs/compatibility.md', import.meta.url), 'utf8');
  expect(page).toContain(`\n${meantTable(meant)}\n`);
});

describe('the comparison can fail', () => {
  const lines = (...texts: string[]): Transcript => texts.map((text) => ({ text, plain: text, added: [] }));
  const counted = { text: 'get-ok {headers: {x-delivery-count: l 1}}', plain: 'get-ok {}', added: ['x-delivery-count'] };
  const block = (heading: string, ...rest: string[]) => parseMeant(['how to read it', [heading, ...rest].join('\n')].join('\n\n'));
  const change = block('[Q1] a code | 404 | 405', '# situation', '- close 404', '+ close 405');

  test('for a line that is changed, missing, too much or in another place', () => {
    const first = lines('a', 'b', 'c');
    expect(differenceOf(first, lines('a', 'b', 'c'))).toBeUndefined();
    expect(differenceOf(first, lines('a', 'B', 'c'))).toEqual({ added: [], lines: ['- b', '+ B'] });
    expect(differenceOf(first, lines('a', 'c'))).toEqual({ added: [], lines: ['- b'] });
    expect(differenceOf(first, lines('a', 'b', 'c', 'c'))).toEqual({ added: [], lines: ['+ c'] });
    expect(differenceOf(first, lines('b', 'a', 'c'))?.lines).toHaveLength(2);
    expect(differenceOf(first, [])?.lines).toEqual(['- a', '- b', '- c']);
  });

  test('for a header that only one adds, and for what it would hide', () => {
    expect(differenceOf(lines('get-ok {}'), [counted])).toEqual({ added: ['x-delivery-count'], lines: [] });
    expect(differenceOf(lines('get-ok {} "other"'), [counted])).toEqual({
      added: ['x-delivery-count'],
      lines: ['- get-ok {} "other"', '+ get-ok {}'],
    });
    const twice = { ...counted, text: 'get-ok {headers: {x-delivery-count: l 2}}' };
    expect(differenceOf([twice], [counted])).toEqual({ added: [], lines: [`- ${twice.text}`, `+ ${counted.text}`] });
  });

  test('for a difference that nobody means, one that is meant otherwise, and one that is gone', () => {
    const difference = (...text: string[]): Map<string, Difference> => new Map([['situation', { added: [], lines: text }]]);
    expect(complaints(difference('- close 404', '+ close 405'), change)).toEqual([]);
    expect(complaints(difference('- close 404', '+ close 405'), [])).toEqual([
      'differs, and nobody means it: situation\n- close 404\n+ close 405',
    ]);
    expect(complaints(difference('- close 404', '+ close 406'), change)).toEqual([
      'differs, but not as meant: situation\n- close 404\n+ close 406',
    ]);
    expect(complaints(new Map(), change)).toEqual(['is meant to differ, and does not: situation']);
  });

  test('for headers that are added where nobody means them, and are not where somebody does', () => {
    const added = block('[D7] counts | none | all', 'added: x-delivery-count', '# situation');
    const found = new Map([['situation', { added: ['x-delivery-count'], lines: [] }]]);
    expect(complaints(found, added)).toEqual([]);
    expect(complaints(found, change)).toHaveLength(1);
    expect(complaints(new Map([['situation', { added: [], lines: ['- close 404', '+ close 405'] }]]), added)).toHaveLength(1);
  });

  test('for a list that cannot be read', () => {
    expect(() => block('no heading')).toThrow('no heading');
    expect(() => block('[Q1] a code | 404 | 405', 'no situation')).toThrow('no situation');
  });
});
