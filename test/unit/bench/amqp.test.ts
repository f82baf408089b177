// The AMQP rows' own judgement: where the brokers are, what a ratio is, when a row measured its generator, and which rows run.

import { expect, test } from 'vitest';
import { amqpUrl } from '../../../scripts/bench/amqp-brokers.ts';
import { bothText, isGeneratorBound, ratio } from '../../../scripts/bench/amqp-compare.ts';
import { FULL, type Row, SMOKE } from '../../../scripts/bench/row.ts';
import { amqpRows } from '../../../scripts/bench/rows-amqp.ts';
import { amqpMemoryRows } from '../../../scripts/bench/rows-amqp-memory.ts';
import { type Asked, whyNot } from '../../../scripts/bench/selection.ts';

test('the address is the one of the greeting, wherever it stands', () => {
  expect(amqpUrl('Leveret listens on ws://127.0.0.1:1/ws\nAMQP 0-9-1 clients connect to amqp://127.0.0.1:33089\n')).toBe(
    'amqp://127.0.0.1:33089',
  );
  expect(() => amqpUrl('Leveret listens on ws://127.0.0.1:1/ws')).toThrow('told no AMQP address');
});

test('a ratio is one of medians: no single run decides it', () => {
  const values = { leveret: [900, 100, 80], rabbitMq: [10, 1, 20] };
  expect(ratio(values)).toBe(10);
  expect(bothText(values, 'messages/s', '3.10.8')).toBe('Leveret 100 messages/s, RabbitMQ 3.10.8 10 messages/s');
});

test('below 1.2 times the result a ceiling is the generator speaking', () => {
  expect(isGeneratorBound(1_199, 1_000)).toBe(true);
  expect(isGeneratorBound(1_200, 1_000)).toBe(false);
});

const rows: readonly Row[] = [...amqpMemoryRows, ...amqpRows];
const asked: Asked = { effort: FULL, names: [], isRabbitMq: false, isSmoke: false, hasRabbitMq: true };

test('rows against RabbitMQ run when asked for, and in a smoke run; never where it is not installed', () => {
  for (const row of rows) {
    expect(whyNot(row, asked)).toContain('--rabbitmq');
    for (const more of [{ isRabbitMq: true }, { isSmoke: true, effort: SMOKE }, { names: [row.name] }]) {
      expect(whyNot(row, { ...asked, ...more })).toBeUndefined();
      expect(whyNot(row, { ...asked, ...more, hasRabbitMq: false })).toContain('no RabbitMQ here');
    }
  }
});

test('every figure that is promised against RabbitMQ has its row', () => {
  const targets = rows.map(({ name, target }) => `${name} ${target.at} ${target.value}`);
  expect(targets).toEqual([
    'amqp-declare least 5',
    'amqp-queue-memory most 0.25',
    'amqp-connections most 0.5',
    'amqp-backlog most 148',
    'amqp-drain least 10',
    'amqp-small least 8',
    'amqp-acked least 5',
    'amqp-durable least 6',
    'amqp-topic-1000 least 10',
    'amqp-topic-10000 least 10',
    'amqp-fan-out least 10',
    'amqp-latency most 1',
    'amqp-latency-durable most 0.5',
  ]);
});
