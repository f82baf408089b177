// RabbitMQ's own rabbitmqadmin, as its package ships it: where it is, and runs of it against one management port.
// Always: nothing is asked of a shell; runs of one Rabbitmqadmin follow each other. Refuses: to install it; scripts/system-packages.ts does.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { ROOT } from '../tidy/sources.ts';

export interface Run {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Debian keeps it in the plugin's folder, whose name bears the version. */
export function findRabbitmqadmin(): string | undefined {
  const root = '/usr/lib/rabbitmq/lib';
  for (const server of existsSync(root) ? readdirSync(root) : []) {
    const plugins = join(root, server, 'plugins');
    for (const plugin of existsSync(plugins) ? readdirSync(plugins) : []) {
      const path = join(plugins, plugin, 'priv/www/cli/rabbitmqadmin');
      if (plugin.startsWith('rabbitmq_management-') && existsSync(path)) return path;
    }
  }
  return undefined;
}

export class Rabbitmqadmin {
  readonly #port: number;
  readonly #driver: ChildProcess;
  readonly #answers: AsyncIterator<string>;
  #last: Promise<unknown> = Promise.resolve();

  constructor(port: number) {
    this.#port = port;
    const driver = spawn('python3', [join(ROOT, 'test/conformance/foreign/rabbitmqadmin_driver.py'), findRabbitmqadmin() ?? ''], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#driver = driver;
    this.#answers = createInterface({ input: driver.stdout })[Symbol.asyncIterator]();
  }

  /** Says `words` to it, and answers how it ended. */
  run(...words: string[]): Promise<Run> {
    const answer = this.#last.then(async (): Promise<Run> => {
      this.#driver.stdin?.write(`${JSON.stringify(['-H', '127.0.0.1', '-P', String(this.#port), ...words])}\n`);
      const { value, done } = await this.#answers.next();
      if (done === true) throw new Error('the driver of rabbitmqadmin has ended');
      return JSON.parse(value);
    });
    this.#last = answer.catch(() => undefined);
    return answer;
  }

  async stop(): Promise<void> {
    const ended = once(this.#driver, 'exit');
    this.#driver.stdin?.end();
    await ended;
  }
}
