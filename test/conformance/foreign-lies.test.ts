// The drivers of foreign clients can fail: a scenario holds through a relay that changes nothing, and is red when the same relay tells its lie.
// And the table can: a cell that is red, empty, or required and beyond its client, is complained about.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type BuiltBroker, startBuiltBroker } from '../support/built-broker.ts';
import { dropBallast, loadBallast } from './foreign/ballast.ts';
import { CLIENTS, type Client, programOf } from './foreign/clients.ts';
import { LIES, Liar, type Lie, LOST } from './foreign/liar.ts';
import { Beyond, type Driver, SCENARIOS, type Scenario, type Target } from './foreign/scenarios.ts';
import { Matrix } from './foreign/table.ts';
import { SQUEEZED_BYTES } from './foreign/target.ts';

// A rescue, above all that a driver waits for on a machine that is busy with other things.
const TEST_MS_MAX = 120_000;
const PATIENCE_MS = 30_000;
// For what a lie keeps away, or makes unreadable for a worker that then says nothing.
const SHORT_PATIENCE_MS = 1_500;
const isWaitedFor = (client: string, scenario: Scenario): boolean =>
  scenario === 'cancelled' || scenario === 'blocked' || client === 'celery';
const lieOf = (client: string, scenario: Scenario): Lie =>
  // The tools have no confirms, so a refusal is not for them; they see that the message is not there.
  scenario === 'confirms' && client.includes('(C)') ? LOST : LIES[scenario];

const isMissing = (client: Client): boolean => programOf(client) === undefined && process.env['CI'] !== 'true';

/** A client that talks to a broker through a liar. */
class Deceived {
  readonly driver: Driver;
  readonly #liar: Liar;
  readonly #broker: BuiltBroker;
  readonly #target: { patienceMs: number };

  private constructor(driver: Driver, liar: Liar, broker: BuiltBroker, target: { patienceMs: number }) {
    this.driver = driver;
    this.#liar = liar;
    this.#broker = broker;
    this.#target = target;
  }

  static async open(client: Client): Promise<Deceived> {
    const broker = await startBuiltBroker({ LEVERET_LIMITS_MEMORY_BYTES: String(SQUEEZED_BYTES) });
    const liar = await Liar.start(broker.amqpUrl);
    const cut = async (): Promise<void> => liar.cut();
    const urls = { amqpUrl: liar.url, webSocketUrl: broker.url };
    const target = {
      ...urls,
      patienceMs: PATIENCE_MS,
      restart: cut,
      kill: cut,
      async squeeze() {
        await loadBallast(broker.amqpUrl, PATIENCE_MS);
        return urls;
      },
      relieve: () => dropBallast(broker.amqpUrl),
    } satisfies Target;
    return new Deceived(await client.open(target, programOf(client) ?? ''), liar, broker, target);
  }

  /** What the scenario fails with. */
  async fooled(scenario: Scenario, lie: Lie, patienceMs: number): Promise<unknown> {
    this.#liar.lie = lie;
    this.#target.patienceMs = patienceMs;
    try {
      return await this.driver.run(scenario).then(
        (note) => `it holds: ${note}`,
        (error: unknown) => error,
      );
    } finally {
      this.#liar.lie = {};
      this.#target.patienceMs = PATIENCE_MS;
    }
  }

  async close(): Promise<void> {
    await this.driver.close();
    await this.#liar.stop();
    await this.#broker.stop();
  }
}

const overTcp = Object.values(CLIENTS)
  .flat()
  .filter(({ name }) => !/WebSocket|Chromium/.test(name));

for (const isPython of [false, true]) {
  describe.concurrent(`lies to foreign clients ${isPython ? 'in Python' : 'elsewhere'}`, () => {
    for (const client of overTcp.filter(({ needs }) => needs.some((path) => path.includes('python')) === isPython)) {
      const suite = isMissing(client) ? describe.skip : describe.sequential;
      suite(isMissing(client) ? `${client.name} (skipped where there is no ${client.needs[0]})` : client.name, () => {
        let deceived: Deceived;
        beforeAll(async () => {
          deceived = await Deceived.open(client);
        });
        afterAll(() => deceived?.close());

        const check = async (scenario: Scenario): Promise<void> => {
          try {
            await deceived.driver.run(scenario);
          } catch (error) {
            if (error instanceof Beyond) return; // the table says so; there is nothing to be fooled about
            throw error;
          }
          const isShort = isWaitedFor(client.name, scenario);
          const error = await deceived.fooled(scenario, lieOf(client.name, scenario), isShort ? SHORT_PATIENCE_MS : PATIENCE_MS);
          expect(error).toBeInstanceOf(Error);
          if (!isShort) expect(String(error)).not.toMatch(/did not come/); // it was seen, not missed
        };
        // to a relay, a broker that is killed and one that ends are the same
        it.each(SCENARIOS.filter((scenario) => scenario !== 'killed'))('%s holds, and is red under its lie', check, TEST_MS_MAX);
      });
    }
  });
}

describe('the table', () => {
  const driver = (outcome: () => Promise<string>): Driver => ({ run: outcome, close: async () => {} });

  it('complains about red cells, empty ones, and required ones that are beyond a client', async () => {
    const matrix = new Matrix(['one']);
    await matrix.fill(
      'one',
      'rpc',
      driver(async () => 'seen'),
    );
    await expect(
      matrix.fill(
        'one',
        'topology',
        driver(() => Promise.reject(new Error('red'))),
      ),
    ).rejects.toThrow('red');
    await expect(
      matrix.fill(
        'one',
        'restart',
        driver(() => Promise.reject(new Beyond('cannot'))),
      ),
    ).rejects.toThrow('cannot');
    await matrix.fill(
      'one',
      'priority',
      driver(() => Promise.reject(new Beyond('has none'))),
    );
    const complaints = matrix.complaints();
    expect(complaints).toContain('one: topology: red');
    expect(complaints).toContain('one: restart: cannot');
    expect(complaints).toContain('one: get was not tried');
    expect(complaints.join()).not.toMatch(/rpc|priority/);
    expect(String(matrix)).toMatch(/RED[\s\S]*n\/a/);
  });

  it('complains about a client that was not tried at all', () => {
    expect(new Matrix(['one', 'two']).complaints()).toHaveLength(2 * SCENARIOS.length);
  });
});
