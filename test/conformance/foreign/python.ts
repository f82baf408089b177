// A foreign client in Python: a script beside this file, run by Debian's own interpreter, which finds Debian's packages.
// Scenario names go in, lines of JSON come out (foreign_driver.py). Always: a script that ends early is an error with what it wrote to stderr.

import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Inbox } from './checks.ts';
import { Beyond, type Driver, type Scenario, type Target } from './scenarios.ts';

const PYTHON = '/usr/bin/python3';
// For a line of the script, which has limits of its own: it waits several times, for a broker that starts, for messages.
const ANSWER_MS_MAX = 110_000;

const ASKED = ['restart', 'kill', 'squeeze', 'relieve'] as const;
type Line = { readonly ask: (typeof ASKED)[number] } | { readonly beyond: string } | { readonly ok: boolean; readonly note: string };

export class PythonDriver implements Driver {
  readonly #target: Target;
  readonly #child: ChildProcessWithoutNullStreams;
  /** undefined: the script has ended. */
  readonly #lines = new Inbox<string | undefined>(ANSWER_MS_MAX);
  #errors = '';

  constructor(script: string, target: Target) {
    this.#target = target;
    const path = fileURLToPath(new URL(script, import.meta.url));
    // -B: no compiled files beside the sources
    this.#child = spawn(PYTHON, ['-B', path, target.amqpUrl]);
    this.#child.stdin.on('error', () => {}); // it has ended, which the lines say
    this.#child.stderr.on('data', (chunk: Buffer) => (this.#errors += chunk.toString()));
    const lines = createInterface({ input: this.#child.stdout });
    lines.on('line', (line) => this.#lines.put(line));
    lines.on('close', () => this.#lines.put(undefined));
  }

  async run(scenario: Scenario): Promise<string> {
    this.#child.stdin.write(`${JSON.stringify({ scenario, patience: this.#target.patienceMs / 1000 })}\n`);
    for (;;) {
      const line = await this.#next(scenario);
      if ('ask' in line) {
        const urls = await this.#target[line.ask]();
        this.#child.stdin.write(`${urls?.amqpUrl ?? 'done'}\n`);
      } else if ('beyond' in line) throw new Beyond(line.beyond);
      else if (line.ok) return line.note;
      else throw new Error(line.note, { cause: this.#errors });
    }
  }

  async close(): Promise<void> {
    const ended = this.#child.exitCode === null && this.#child.signalCode === null ? once(this.#child, 'exit') : undefined;
    this.#child.stdin.end();
    await ended;
  }

  async #next(scenario: Scenario): Promise<Line> {
    const text = await this.#lines.take(`what became of ${scenario}`);
    if (text !== undefined) return lineOf(text);
    this.#lines.put(undefined); // for who asks again
    throw new Error(`the script ended: ${this.#errors}`);
  }
}

function lineOf(text: string): Line {
  const line: unknown = JSON.parse(text);
  if (typeof line === 'object' && line !== null) {
    const ask = 'ask' in line ? ASKED.find((each) => each === line.ask) : undefined;
    if (ask !== undefined) return { ask };
    if ('beyond' in line) return { beyond: String(line.beyond) };
    if ('ok' in line && 'note' in line) return { ok: line.ok === true, note: String(line.note) };
  }
  throw new Error(`not a line of a driver: ${text}`);
}
