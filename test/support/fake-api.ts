// A management API for tests of verbs: it answers what a test gave it, and remembers what it was asked.
// Always: a request nobody gave an answer for is 404 as RabbitMQ words it. Refuses: to keep anything: the verbs run against brokers in test/conformance.

import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import { onTestFinished } from 'vitest';

export interface Asked {
  /** `GET /api/queues/%2F`, without its query. */
  readonly route: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  /** Parsed; undefined where there is none. */
  readonly body: unknown;
}
/** A body for 200, or whatever a function does. */
export type Answer = object | ((asked: Asked, response: ServerResponse) => void);

export class FakeApi {
  readonly asked: Asked[] = [];
  readonly #answers: Readonly<Record<string, Answer>>;
  readonly #server: Server;

  private constructor(answers: Readonly<Record<string, Answer>>) {
    this.#answers = answers;
    this.#server = createServer(async (request, response) => {
      const url = new URL(request.url ?? '', 'http://fake');
      const body = await text(request);
      const asked: Asked = {
        route: `${request.method} ${url.pathname}`,
        query: url.searchParams,
        headers: request.headers,
        body: body === '' ? undefined : JSON.parse(body),
      };
      this.asked.push(asked);
      const answer = this.#answers[asked.route];
      if (typeof answer === 'function') answer(asked, response);
      else if (answer !== undefined) reply(response, 200, answer);
      else if (request.method === 'GET') reply(response, 404, { error: 'Object Not Found', reason: 'Not Found' });
      else response.writeHead(204).end();
    });
  }

  /** It ends with the test. Keys are routes: 'GET /api/overview'. */
  static async start(answers: Readonly<Record<string, Answer>> = {}): Promise<FakeApi> {
    const api = new FakeApi(answers);
    api.#server.listen(0, '127.0.0.1');
    await once(api.#server, 'listening');
    onTestFinished(() => api.stop());
    return api;
  }

  get host(): string {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('not listening');
    return `127.0.0.1:${address.port}`;
  }
  get url(): string {
    return `http://tester:s3cret@${this.host}`;
  }
  /** Of all that changed something. */
  get changes(): Pick<Asked, 'route' | 'body'>[] {
    return this.asked.filter(({ route }) => !route.startsWith('GET ')).map(({ route, body }) => ({ route, body }));
  }

  async stop(): Promise<void> {
    if (!this.#server.listening) return;
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

export function reply(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}
