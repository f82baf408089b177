// Whether the server is there: for load balancers, containers and scripts.
// Always: answers at once, without the broker's help; who may see it is everybody, so it tells nothing but that.

import type { ServerResponse } from 'node:http';

export function answerHealth(response: ServerResponse): void {
  const body = '{"status":"ok"}\n';
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body), 'cache-control': 'no-store' });
  response.end(body);
}
