// Rules for the route table of the API: each route says for whom it is, what right it needs, and what its body is.
// Always: a fault names the route and what is missing. Refuses: to ask a server; test/unit/http/route-matrix.test.ts does.

import { NEEDED } from '../../server/broker/authorise.ts';
import { TAGS } from '../../server/broker/login.ts';
import type { Route } from '../../server/http/route.ts';

/** Open to whoever can log in: what says nothing, and what is the caller's own by a secret. */
const OPEN = ['GET /api/auth', 'DELETE /v1/deliveries/{token}'];

/** What a new route may have left out, whatever its type says. */
export type Draft = Partial<Route> & Pick<Route, 'method' | 'path'>;

export function checkRoutes(routes: readonly Draft[]): string[] {
  const names = routes.map(({ method, path }) => `${method} ${path}`);
  const twice = names.filter((name, at) => names.indexOf(name) !== at).map((name) => `${name}: is there twice`);
  return [...twice, ...routes.flatMap(checkRoute)];
}

function checkRoute({ method, path, tag, right, body, summary, limit }: Draft): string[] {
  const faults: string[] = [];
  if (tag === undefined || ![...TAGS, 'none'].includes(tag)) faults.push('no tag says for whom it is');
  if (right === undefined || ![...Object.keys(NEEDED), 'vhost', 'none'].includes(right)) faults.push('no right says what it needs');
  if (summary === undefined || summary === '') faults.push('no summary');
  if ((method === 'PUT' || method === 'POST') && body === undefined) faults.push('no schema of its body');
  if (method === 'GET' && body !== undefined) faults.push('GET has no body');
  if (typeof body === 'object' && body.required.some((name) => body.properties[name] === undefined))
    faults.push('a field is required that the schema does not have');
  if (limit !== undefined && body === undefined) faults.push('a limit of a body that it does not have');
  if (right !== undefined && right !== 'none' && !path.includes('{vhost}')) faults.push('a right in a vhost that the path does not name');
  if (tag === 'none' && right === 'none' && !OPEN.includes(`${method} ${path}`)) faults.push('neither tag nor right: anybody');
  // What is in a vhost is changed with a right in it, or by those who change everything.
  if (method !== 'GET' && path.includes('{vhost}') && right === 'none' && tag !== 'administrator')
    faults.push('changes a vhost without a right in it');
  return faults.map((fault) => `${method} ${path}: ${fault}`);
}
