// Clients that nobody here wrote, unmodified, against `leveret start`: a table of client by scenario, each cell a live connection.
// Against RabbitMQ instead, which tells whose a red cell is: LEVERET_FOREIGN_TARGET=rabbitmq npx vitest run test/conformance/foreign-clients.test.ts

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CLIENTS } from './foreign/clients.ts';
import { type Driver, SCENARIOS } from './foreign/scenarios.ts';
import { Matrix } from './foreign/table.ts';
import { type StartedTarget, startTarget } from './foreign/target.ts';

const matrix = new Matrix(Object.keys(CLIENTS));
let target: StartedTarget;

beforeAll(async () => {
  target = await startTarget();
});
afterAll(async () => {
  console.log(`\n${matrix}`);
  await target?.stop();
});

describe.each(Object.entries(CLIENTS))('%s', (client, open) => {
  let driver: Driver;
  beforeAll(async () => {
    driver = await open(target);
  });
  afterAll(() => driver?.close());

  it.each(SCENARIOS)('%s', (scenario) => matrix.fill(client, scenario, driver));
});

it('leaves no cell empty and none red', () => expect(matrix.complaints()).toEqual([]));
