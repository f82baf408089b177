// The API described for machines (OpenAPI 3.1), made of the route table. Always: every route is in it, with whom it is for, what right it needs and what body
// it takes. Refuses: the shapes of answers; they are RabbitMQ's.

import type { BodySchema } from './bodies.ts';
import type { Route } from './route.ts';

function needs(right: Route['right']): string {
  if (right === 'none') return '';
  if (right === 'vhost') return ' Needs any right in the vhost, unless tagged monitoring.';
  return ` Needs the right that ${right} needs.`;
}

function contentOf(body: BodySchema | 'raw'): object {
  return body === 'raw' ? { 'application/octet-stream': {} } : { 'application/json': { schema: body } };
}

export function openApi(routes: readonly Route[], version: string): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const { method, path, summary, tag, right, body } of routes) {
    const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
    const operation = {
      summary,
      description: `${tag === 'none' ? 'For whoever can log in.' : `For users tagged ${tag}, or a tag that includes it.`}${needs(right)}`,
      parameters: names.map((name) => ({ name, in: 'path', required: true, schema: { type: 'string' } })),
      ...(body === undefined ? {} : { requestBody: { content: contentOf(body) } }),
      responses: { default: { description: 'The answer, or {"error", "reason"} with a status of 4xx or 5xx.' } },
    };
    paths[path] = { ...paths[path], [method.toLowerCase()]: operation };
  }
  return {
    openapi: '3.1.0',
    info: { title: 'Leveret management API', version, description: 'RabbitMQ-compatible in path, field and status.' },
    security: [{ basic: [] }, { bearer: [] }],
    components: { securitySchemes: { basic: { type: 'http', scheme: 'basic' }, bearer: { type: 'http', scheme: 'bearer' } } },
    paths,
  };
}
