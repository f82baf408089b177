// The table of the run: a row for each client, a column for each scenario, and below it what needs a word.
// Always: (1) a cell is filled once, by what a live connection showed; (2) `complaints` names every cell that is red, and every required one that
// is empty or beyond its client.

import Table from 'cli-table3';
import { Beyond, type Driver, REQUIRED, SCENARIOS, type Scenario } from './scenarios.ts';

type Cell = { readonly state: 'ok' | 'beyond' | 'red'; readonly note: string };

export class Matrix {
  readonly #rows = new Map<string, Map<Scenario, Cell>>();

  constructor(clients: readonly string[]) {
    for (const client of clients) this.#rows.set(client, new Map());
  }

  /** Puts the client through the scenario; rejects when that does not hold. */
  async fill(client: string, scenario: Scenario, driver: Driver): Promise<void> {
    try {
      this.#set(client, scenario, { state: 'ok', note: await driver.run(scenario) });
    } catch (error) {
      const note = error instanceof Error ? error.message : String(error);
      const isBeyond = error instanceof Beyond && !REQUIRED.some((required) => required === scenario);
      this.#set(client, scenario, { state: isBeyond ? 'beyond' : 'red', note });
      if (!isBeyond) throw error;
    }
  }

  complaints(): string[] {
    const found: string[] = [];
    for (const [client, row] of this.#rows) {
      for (const scenario of SCENARIOS) {
        const cell = row.get(scenario);
        if (cell === undefined) found.push(`${client}: ${scenario} was not tried`);
        else if (cell.state === 'red') found.push(`${client}: ${scenario}: ${cell.note}`);
      }
    }
    return found;
  }

  toString(): string {
    const table = new Table({ head: ['', ...SCENARIOS], style: { head: [], border: [], compact: true } });
    const notes: string[] = [];
    for (const [client, row] of this.#rows) {
      table.push([client, ...SCENARIOS.map((scenario) => SIGNS[row.get(scenario)?.state ?? 'empty'])]);
      const words = SCENARIOS.flatMap((scenario) => {
        const note = row.get(scenario)?.note ?? '';
        return note === '' ? [] : [`${scenario}: ${note}`];
      });
      if (words.length > 0) notes.push(`${client}: ${words.join('; ')}`);
    }
    return `${table.toString()}\nok holds · n/a the client has no means to express it · RED does not hold\n${notes.join('\n')}`;
  }

  #set(client: string, scenario: Scenario, cell: Cell): void {
    const row = this.#rows.get(client);
    if (row === undefined) throw new Error(`${client} is not in the table`);
    row.set(scenario, cell);
  }
}

const SIGNS = { ok: 'ok', beyond: 'n/a', red: 'RED', empty: '' } as const;
