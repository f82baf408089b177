// The rows about management and logins: their promises, and that they run without being asked for by name.

import { expect, test } from 'vitest';
import { FULL } from '../../../scripts/bench/row.ts';
import { managementRows } from '../../../scripts/bench/rows-management.ts';
import { whyNot } from '../../../scripts/bench/selection.ts';

test('every figure that is promised has its row', () => {
  expect(managementRows.map(({ name, target, unit }) => `${name} ${target.at} ${target.value} ${unit}`)).toEqual([
    'management most 1.5 times',
    'management-metrics most 100 ms',
    'management-queues most 100 ms',
    'login least 1000 a second',
  ]);
});

test('they need nothing else here', () => {
  const asked = { effort: FULL, names: [], isRabbitMq: false, isSmoke: false, hasRabbitMq: false };
  for (const row of managementRows) expect(whyNot(row, asked)).toBeUndefined();
});
