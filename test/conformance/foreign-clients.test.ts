// Clients that nobody here wrote, unmodified, against `leveret start`: a table of client by scenario, each cell a live connection.
// A client whose program is missing is skipped with that reason, and fails where CI=true.
// Against RabbitMQ instead, which tells whose a red cell is: LEVERET_FOREIGN_TARGET=rabbitmq npx vitest run test/conformance/foreign-clients.test.ts

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CLIENTS, type Client, programOf } from './foreign/clients.ts';
import { type Driver, SCENARIOS } from './foreign/scenarios.ts';
import { Matrix } from './foreign/table.ts';
import { type StartedTarget, startTarget, usesRabbitMq } from './foreign/target.ts';

// A rescue, above all that a driver waits for on a machine that is busy with other things.
const TEST_MS_MAX = 120_000;
const mustRun = process.env['CI'] === 'true';
const isHere = (client: Client): boolean => programOf(client) !== undefined || mustRun;
const all = Object.values(CLIENTS).flat();
const matrix = new Matrix(all.filter(isHere).map(({ name }) => name));
// Groups wait for brokers that start and clients that look again: side by side that costs little.
const group = usesRabbitMq ? describe : describe.concurrent;

for (const [name, clients] of Object.entries(CLIENTS)) {
  group(`foreign clients ${name}`, () => {
    let target: StartedTarget;
    beforeAll(async () => {
      target = await startTarget();
    });
    afterAll(() => target?.stop());

    for (const client of clients) {
      const suite = isHere(client) ? describe.sequential : describe.skip;
      suite(isHere(client) ? client.name : `${client.name} (skipped where there is no ${client.needs[0]})`, () => {
        let driver: Driver;
        beforeAll(async () => {
          const program = programOf(client);
          if (program === undefined) throw new Error(`${client.needs.join(', ')} is not here, and CI=true allows no skip`);
          driver = await client.open(target, program);
        });
        afterAll(() => driver?.close());

        it.each(SCENARIOS)('%s', (scenario) => matrix.fill(client.name, scenario, driver), TEST_MS_MAX);
      });
    }
  });
}

describe('the table of foreign clients', () => {
  it('has no cell that is empty, and none that is red', () => {
    console.log(`\n${matrix}`);
    expect(matrix.complaints()).toEqual([]);
  });
});
