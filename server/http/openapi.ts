// The management API described for machines (OpenAPI 3.1), made of the route table. Always: every route is in it, with whom it is for.

import type { Route } from './route.ts';

export function openApi(routes: readonly Route[], version: string): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const { method, path, summary, tag } of routes) {
    const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
    const operation = {
      summary,
      description: `For users tagged ${tag}, or a tag that includes it.`,
      parameters: names.map((name) => ({ name, in: 'path', required: true, schema: { type: 'string' } })),
      ...(method === 'PUT' || method === 'POST'
        ? { requestBody: { content: { 'application/json': { schema: { type: 'object' } } } } }
        : {}),
      responses: { default: { description: 'The answer, or {"error", "reason"} with a status of 4xx or 5xx.' } },
    };
    paths[path] = { ...paths[path], [method.toLowerCase()]: operation };
  }
  return {
    openapi: '3.1.0',
    info: { title: 'Leveret management API', version, description: 'RabbitMQ-compatible in path, field and status.' },
    security: [{ basic: [] }],
    components: { securitySchemes: { basic: { type: 'http', scheme: 'basic' } } },
    paths,
  };
}
