// A definitions file as a graph of exchanges and queues, with the arguments that policies give them.
// Always: (1) the exchanges every vhost has are there; (2) a queue's own arguments hold over its policy's, an operator policy only adds what neither says;
// (3) what is of another form than RabbitMQ's file has is left out. Refuses: to route exactly: it asks where a key may lead.

import { type Fields, isFields } from './api.ts';

export interface Node {
  readonly name: string;
  readonly arguments: Fields;
}
export interface QueueNode extends Node {
  readonly type: string;
}
export interface ExchangeNode extends Node {
  readonly type: string;
  readonly isPredeclared: boolean;
  readonly bindings: Edge[];
}
interface Edge {
  readonly kind: 'queue' | 'exchange';
  readonly destination: string;
  readonly key: string;
}
interface PolicyNode {
  readonly pattern: RegExp;
  readonly applyTo: string;
  readonly definition: Fields;
  readonly priority: number;
}
export interface VhostTopology {
  readonly name: string;
  readonly queues: Map<string, QueueNode>;
  readonly exchanges: Map<string, ExchangeNode>;
  readonly policies: PolicyNode[];
  readonly operatorPolicies: PolicyNode[];
}
export type Topology = ReadonlyMap<string, VhostTopology>;

const PREDECLARED = ['direct', 'fanout', 'topic', 'headers'];

export function topologyOf(definitions: Fields): Topology {
  const vhosts = new Map<string, VhostTopology>();
  const vhostOf = (item: Fields): VhostTopology => {
    const name = textOf(item['vhost'] ?? '/');
    const found = vhosts.get(name) ?? emptyVhost(name);
    vhosts.set(name, found);
    return found;
  };
  const section = (name: string): Fields[] => {
    const items: unknown = definitions[name];
    return Array.isArray(items) ? items.filter(isFields) : [];
  };
  for (const item of section('exchanges')) {
    const { exchanges } = vhostOf(item);
    const name = textOf(item['name']);
    exchanges.set(name, { name, type: textOf(item['type']), arguments: objectOf(item['arguments']), isPredeclared: false, bindings: [] });
  }
  for (const item of section('queues')) {
    const args = objectOf(item['arguments']);
    const name = textOf(item['name']);
    vhostOf(item).queues.set(name, { name, arguments: args, type: textOf(item['type'] ?? args['x-queue-type'] ?? 'classic') });
  }
  for (const item of section('bindings')) {
    const kind = item['destination_type'] === 'exchange' ? 'exchange' : 'queue';
    const edge: Edge = { kind, destination: textOf(item['destination']), key: textOf(item['routing_key']) };
    vhostOf(item).exchanges.get(textOf(item['source']))?.bindings.push(edge);
  }
  for (const item of section('policies')) addPolicy(vhostOf(item).policies, item);
  for (const item of section('parameters')) {
    if (item['component'] === 'operator_policy' && isFields(item['value'])) addPolicy(vhostOf(item).operatorPolicies, item['value']);
  }
  return vhosts;
}

/** By their names in policies: `max-length`, not `x-max-length`. */
export function effectiveArguments(vhost: VhostTopology, node: QueueNode | ExchangeNode): ReadonlyMap<string, unknown> {
  const kind = 'bindings' in node ? 'exchanges' : 'queues';
  const args = new Map<string, unknown>();
  for (const policies of [vhost.operatorPolicies, vhost.policies]) {
    const matching = policies.filter(
      ({ applyTo, pattern }) => (applyTo === 'all' || appliesTo(applyTo) === kind) && pattern.test(node.name),
    );
    const [best] = matching.sort((a, b) => b.priority - a.priority);
    for (const [name, value] of Object.entries(best?.definition ?? {})) args.set(name, value);
  }
  for (const [name, value] of Object.entries(node.arguments)) args.set(name.replace(/^x-/, ''), value);
  return args;
}

/** Why what is published there with `key`, or with any where it is not known, reaches no queue; undefined: it may reach one. */
export function nowhere(vhost: VhostTopology, exchange: string, key: string | undefined, from: string): 'missing' | 'unbound' | undefined {
  if (exchange === '') return vhost.queues.has(key ?? from) ? undefined : 'unbound';
  if (!vhost.exchanges.has(exchange)) return 'missing';
  return leads(vhost, exchange, key, new Set()) ? undefined : 'unbound';
}

function leads(vhost: VhostTopology, name: string, key: string | undefined, seen: Set<string>): boolean {
  const exchange = vhost.exchanges.get(name);
  if (exchange === undefined || seen.has(name)) return false;
  seen.add(name);
  const isTaken = exchange.bindings.some((edge) => {
    if (key !== undefined && !mayMatch(exchange.type, edge.key, key)) return false;
    return edge.kind === 'queue' || leads(vhost, edge.destination, key, seen);
  });
  const alternate = effectiveArguments(vhost, exchange).get('alternate-exchange');
  return isTaken || (typeof alternate === 'string' && leads(vhost, alternate, key, seen));
}

function mayMatch(type: string, bindingKey: string, key: string): boolean {
  if (type === 'direct') return bindingKey === key;
  return type !== 'topic' || topicMatches(bindingKey.split('.'), key.split('.'));
}

function topicMatches([word, ...words]: readonly string[], key: readonly string[]): boolean {
  if (word === undefined) return key.length === 0;
  if (word === '#') return topicMatches(words, key) || (key.length > 0 && topicMatches([word, ...words], key.slice(1)));
  return key.length > 0 && (word === '*' || word === key[0]) && topicMatches(words, key.slice(1));
}

function appliesTo(applyTo: string): string {
  return applyTo === 'exchanges' ? 'exchanges' : 'queues'; // classic_queues, quorum_queues, streams
}

function addPolicy(policies: PolicyNode[], item: Fields): void {
  const pattern = regularExpression(textOf(item['pattern']));
  if (pattern === undefined) return;
  const priority = typeof item['priority'] === 'number' ? item['priority'] : 0;
  policies.push({ pattern, applyTo: textOf(item['apply-to'] ?? 'all'), definition: objectOf(item['definition']), priority });
}

/** undefined for one that only Erlang's dialect has. */
function regularExpression(text: string): RegExp | undefined {
  try {
    return new RegExp(text, 'u');
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function emptyVhost(name: string): VhostTopology {
  const exchanges = new Map<string, ExchangeNode>();
  for (const type of PREDECLARED) exchanges.set(`amq.${type}`, predeclared(`amq.${type}`, type));
  exchanges.set('amq.match', predeclared('amq.match', 'headers'));
  return { name, queues: new Map(), exchanges, policies: [], operatorPolicies: [] };
}

function predeclared(name: string, type: string): ExchangeNode {
  return { name, type, arguments: {}, isPredeclared: true, bindings: [] };
}

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');
const objectOf = (value: unknown): Fields => (isFields(value) ? value : {});
