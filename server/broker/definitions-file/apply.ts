// A plan carried out, and what goes with files as a whole: export, import, load.
// Always: (1) a plan with a conflict is refused before its first step, and what has none cannot fail half way; (2) steps are done in the plan's order: what goes first, then
// vhosts, users, permissions, policies, exchanges, queues, bindings; (3) who waits for an import waits until all of it is durable;
// (4) of what an import leaves, some administrator has a password, or who asks keeps theirs.
// Refuses: rights: the protocols ask before they come here.

import { AmqpError, ReplyCode } from '../../../shared/error.ts';
import type { JsonObject } from '../../../shared/protocol/control.ts';
import type { Broker } from '../broker.ts';
import { plainTable } from '../plain-table.ts';
import type { Vhost } from '../vhost.ts';
import { exchangeOptions, queueShape, tableOf } from './check.ts';
import { currentOf, thingsOf } from './from-broker.ts';
import { policyBody, readDefinitions } from './from-json.ts';
import { checkPlan, type Plan, type PlanOptions, plan, type Step } from './plan.ts';
import { canonicalJson, type Kind, VHOST_KINDS } from './thing.ts';
import { definitionsJson, type Product } from './to-json.ts';

/** `vhost` undefined: of the whole broker. Throws 404 for a vhost that is not there. */
export function exportDefinitions(broker: Broker, product: Product, vhost?: string): JsonObject {
  if (vhost !== undefined) vhostOf(broker, vhost);
  return definitionsJson(thingsOf(broker, vhost), product, vhost);
}

/** What an import of `file` would do. Throws where the file cannot be read. */
export function planDefinitions(broker: Broker, file: JsonObject, options: PlanOptions = {}, vhost?: string): Plan {
  if (vhost === undefined) return plan(currentOf(broker), readDefinitions(file), options);
  vhostOf(broker, vhost);
  const { things, kinds, unknown } = readDefinitions(file, vhost);
  // the vhost itself counts as there; what belongs to no vhost is not this file's business
  const { things: own, ...others } = currentOf(broker, vhost);
  const there = { kind: 'vhost' as const, key: [vhost], value: {} };
  const isOwn = ({ kind }: { readonly kind: Kind }): boolean => VHOST_KINDS.has(kind);
  const left = things.filter((thing) => !isOwn(thing)).map(({ path = '' }) => path.split('/')[1] ?? '');
  return plan(
    { things: [there, ...own], ...others },
    {
      things: things.filter(isOwn),
      kinds: new Set([...kinds].filter((kind) => isOwn({ kind }))),
      unknown: [...new Set([...unknown, ...left])],
    },
    options,
  );
}

/** Imports `file`: all of it, or nothing. At once, as far as the broker's state goes; what was done is durable up to `broker.definedLsn`. */
export function importDefinitions(broker: Broker, file: JsonObject, options: PlanOptions = {}, vhost?: string): Plan {
  const planned = planDefinitions(broker, file, options, vhost);
  checkPlan(planned);
  const { caller } = options;
  if (caller === undefined) carryOut(broker, planned);
  else broker.events.as(caller, () => carryOut(broker, planned));
  return planned;
}

/** The same; resolves when it is durable. */
export async function loadDefinitions(broker: Broker, file: JsonObject, options: PlanOptions = {}, vhost?: string): Promise<Plan> {
  const planned = importDefinitions(broker, file, options, vhost);
  await new Promise<void>((resolve) => broker.whenDurable(broker.definedLsn, resolve));
  return planned;
}

function carryOut(broker: Broker, planned: Plan): void {
  for (const step of planned.steps) {
    const value = planned.valueOf(step);
    if (step.act === 'delete') remove(broker, step);
    else if (step.act !== 'skip' && value !== undefined) put(broker, step, value);
  }
}

function put(broker: Broker, { kind, key }: Step, to: JsonObject): void {
  const [first = '', second = '', third = ''] = key;
  const text = (field: string): string => String(to[field] ?? '');
  switch (kind) {
    case 'vhost':
      broker.vhosts.put(first, to);
      break;
    case 'user': {
      const tags = Array.isArray(to['tags']) ? to['tags'].map(String) : [];
      const hash = { passwordHash: text('passwordHash'), hashingAlgorithm: text('hashingAlgorithm') };
      broker.users.put(first, { ...hash, tags, ...(to['importedTag'] === undefined ? {} : { importedTag: text('importedTag') }) });
      break;
    }
    case 'permission':
      broker.users.setPermissions(second, first, { configure: text('configure'), write: text('write'), read: text('read') });
      break;
    case 'topic-permission':
      broker.users.setTopicPermissions(second, first, third, { write: text('write'), read: text('read') });
      break;
    case 'exchange':
      vhostOf(broker, first).declareExchange({ ...exchangeOptions(to), exchange: second, passive: false });
      break;
    case 'queue': {
      const vhost = vhostOf(broker, first);
      const { durable, autoDelete, arguments: args } = queueShape(to);
      vhost.declareQueue({ queue: second, durable, autoDelete, exclusive: false, passive: false, arguments: args }, vhost);
      break;
    }
    case 'binding':
      bind(vhostOf(broker, first), key, to);
      break;
    case 'policy':
    case 'operator-policy':
      broker.policies.put(kind, first, second, policyBody(to));
      break;
    default:
      broker.records.put(kind, key, to);
  }
}

function remove(broker: Broker, { kind, key }: Step): void {
  const [first = '', second = '', third = ''] = key;
  const vhost = broker.vhosts.get(first);
  switch (kind) {
    case 'vhost':
      broker.vhosts.delete(first);
      break;
    case 'user':
      broker.users.delete(first);
      break;
    case 'permission':
      broker.users.clearPermissions(second, first);
      break;
    case 'topic-permission':
      broker.users.clearTopicPermissions(second, first, third);
      break;
    case 'policy':
    case 'operator-policy':
      broker.policies.delete(kind, first, second);
      break;
    case 'exchange':
      vhost?.keepUnused(() => vhost.deleteExchange(second, false));
      break;
    case 'queue':
      vhost?.keepUnused(() => vhost.deleteQueue(second, false, false, vhost));
      break;
    case 'binding':
      vhost?.keepUnused(() => unbind(vhost, key));
      break;
    default:
      broker.records.delete(kind, key);
  }
}

function bind(vhost: Vhost, key: readonly string[], value: JsonObject): void {
  const [, source = '', kind, destination = '', routingKey = ''] = key;
  if (kind === 'queue') vhost.bindQueue(destination, source, routingKey, tableOf(value), vhost);
  else vhost.bindExchange(destination, source, routingKey, tableOf(value));
}

/** A binding is found by its plain arguments, and goes by those it has. */
function unbind(vhost: Vhost, key: readonly string[]): void {
  const [, source = '', kind, destination = '', routingKey = '', args] = key;
  for (const binding of vhost.exchanges.get(source)?.outgoing.values() ?? []) {
    const isIt = binding.destination.kind === kind && binding.destination.name === destination && binding.key === routingKey;
    if (!isIt || binding.isTap || canonicalJson(plainTable(binding.arguments)) !== args) continue;
    if (kind === 'queue') vhost.unbindQueue(destination, source, routingKey, binding.arguments, vhost);
    else vhost.unbindExchange(destination, source, routingKey, binding.arguments);
    return;
  }
}

function vhostOf(broker: Broker, name: string): Vhost {
  const vhost = broker.vhosts.get(name);
  if (vhost === undefined) throw new AmqpError(ReplyCode.NotFound, `no vhost '${name}'`);
  return vhost;
}
