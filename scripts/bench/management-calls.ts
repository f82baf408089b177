// What an operator's tools ask over HTTP while a row runs: pages, users, permissions, as guest.
// Always: (1) an answer that is not 2xx fails the row; (2) a time is from the request until the last byte of the answer has been read; (3) connections are
// kept, as Prometheus and browsers keep them.

import { once } from 'node:events';
import { Agent, request } from 'node:http';

const AUTHORIZATION = `Basic ${Buffer.from('guest:guest').toString('base64')}`;
// Between two changes: a broker may limit how many a second it takes.
const CHANGE_MS = 25;

export class ManagementCalls {
  readonly #base: string;
  readonly #agent = new Agent({ keepAlive: true });

  /** `url`: where WebSockets connect. */
  constructor(url: string) {
    this.#base = url.replace(/^ws/, 'http').replace(/\/ws$/, '');
  }

  close(): void {
    this.#agent.destroy();
  }

  /** Answers how long it took, in ms. */
  async get(path: string): Promise<number> {
    const startedAt = performance.now();
    await this.#call('GET', path);
    return performance.now() - startedAt;
  }

  async put(path: string, body: object): Promise<void> {
    await this.#call('PUT', path, JSON.stringify(body));
    await new Promise((resolve) => {
      setTimeout(resolve, CHANGE_MS);
    });
  }

  async #call(method: string, path: string, body = ''): Promise<void> {
    const headers = { authorization: AUTHORIZATION, 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    const sent = request(this.#base + path, { method, agent: this.#agent, headers });
    const answered = once(sent, 'response');
    sent.end(body);
    const [response] = await answered;
    response.resume();
    await once(response, 'end');
    if (response.statusCode < 200 || response.statusCode > 299) throw new Error(`${method} ${path}: ${response.statusCode}`);
  }
}
