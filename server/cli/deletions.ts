// The requests that delete what a plan deletes on a RabbitMQ: a thing of a definitions file as a path of the HTTP API.
// Always: (1) what a cluster calls itself is not deleted; (2) what the API cannot delete alone is refused before anything is done.
// Refuses: to send them.

import type { Json } from '../../shared/protocol/control.ts';
import { canonicalJson } from '../broker/definitions-file/thing.ts';
import { type Api, path } from './api.ts';
import { CliError, ExitCode } from './exit-codes.ts';
import type { ShownStep } from './plan-text.ts';

// A node sets them itself.
const OWN_PARAMETERS: ReadonlySet<string> = new Set(['internal_cluster_id', 'cluster_name']);

export interface Deletion {
  readonly target: string;
}

export async function deletionsOf(api: Api, steps: readonly ShownStep[]): Promise<Deletion[]> {
  const deletions: Deletion[] = [];
  const gone = goneWith(steps);
  for (const step of steps) {
    if (step.act !== 'delete' || gone(step)) continue;
    for (const target of await targetsOf(api, step, steps))
      if (!deletions.some((each) => each.target === target)) deletions.push({ target });
  }
  return deletions;
}

/** What goes anyway when its vhost, its user or its exchange does. */
function goneWith(steps: readonly ShownStep[]): (step: ShownStep) => boolean {
  const deleted = new Set(steps.filter(({ act }) => act === 'delete').map(({ kind, key }) => JSON.stringify([kind, ...key])));
  const isDeleted = (kind: string, ...key: readonly string[]): boolean => deleted.has(JSON.stringify([kind, ...key]));
  return ({ kind, key: [first = '', second = '', third = '', fourth = ''] }) => {
    if (kind === 'user-limits') return isDeleted('user', first);
    if (kind === 'user' || kind === 'vhost' || kind === 'global-parameter') return false;
    if (isDeleted('vhost', first)) return true;
    if (kind === 'permission' || kind === 'topic-permission') return isDeleted('user', second);
    return kind === 'binding' && (isDeleted('exchange', first, second) || isDeleted(third, first, fourth));
  };
}

async function targetsOf(api: Api, { kind, key, name, from = {} }: ShownStep, steps: readonly ShownStep[]): Promise<string[]> {
  const [first = '', second = '', third = ''] = key;
  switch (kind) {
    case 'vhost':
      return [path('vhosts', first)];
    case 'user':
      return [path('users', first)];
    case 'vhost-limits':
    case 'user-limits':
      return Object.keys(from).map((limit) => path(kind, first, limit));
    case 'permission':
      return [path('permissions', first, second)];
    case 'topic-permission':
      return [await topicTarget(api, [first, second], name, steps)];
    case 'parameter':
      return [path('parameters', second, first, third)];
    case 'global-parameter':
      return OWN_PARAMETERS.has(first) ? [] : [path('global-parameters', first)];
    case 'policy':
      return [path('policies', first, second)];
    case 'operator-policy':
      return [path('operator-policies', first, second)];
    case 'exchange':
      return [path('exchanges', first, second)];
    case 'queue':
      return [path('queues', first, second)];
    case 'binding':
      return await bindingTargets(api, key);
  }
}

async function topicTarget(api: Api, [vhost, user]: readonly [string, string], name: string, steps: readonly ShownStep[]): Promise<string> {
  const target = path('topic-permissions', vhost, user);
  const isOfUser = ({ act, kind, key }: ShownStep): boolean =>
    act === 'delete' && kind === 'topic-permission' && key[0] === vhost && key[1] === user;
  let count = 0;
  for await (const _each of api.list(target)) count++;
  if (count === steps.filter(isOfUser).length) return target;
  throw new CliError(
    ExitCode.Failure,
    `${name} cannot be deleted alone: the HTTP API clears all of a user's topic permissions together`,
    'clear them with clear_topic_permissions, then apply again',
  );
}

/** The API names a binding by a key of its own. */
async function bindingTargets(api: Api, key: readonly string[]): Promise<string[]> {
  const [vhost = '', source = '', kind = '', destination = '', routingKey = '', args = '{}'] = key;
  const between = path('bindings', vhost, 'e', source, kind === 'queue' ? 'q' : 'e', destination);
  const targets: string[] = [];
  for await (const binding of api.list(between)) {
    const its: Json = JSON.parse(JSON.stringify(binding['arguments'] ?? {}));
    if (binding['routing_key'] !== routingKey || canonicalJson(its) !== args) continue;
    targets.push(`${between}/${encodeURIComponent(String(binding['properties_key']))}`);
  }
  return targets;
}
