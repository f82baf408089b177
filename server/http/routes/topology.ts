// Exchanges, queues and bindings: listed for who may see the vhost, changed in a session of the caller's.
// Always: names and fields are those of RabbitMQ's management API.
// Refuses: messages (messages.ts).

import { tableFromJson } from '../../../shared/protocol/json.ts';
import type { Binding, Exchange } from '../../broker/exchange.ts';
import { canonicalTable } from '../../broker/field-values.ts';
import { plainTable } from '../../broker/plain-table.ts';
import type { EffectivePolicy } from '../../broker/policy-definition.ts';
import type { Queue } from '../../broker/queue.ts';
import type { Vhost } from '../../broker/vhost.ts';
import { acting, checkVhost } from '../acting.ts';
import { fields, flag, table, text } from '../bodies.ts';
import { badRequest, notFound } from '../http-error.ts';
import { columns, list } from '../listing.ts';
import { queueFields, showQueueFully, withRates } from '../queue-view.ts';
import { type Call, Created, flagOf, objectOf, type RateSource, type Route, textOf } from '../route.ts';
import { visibleVhosts } from './vhosts.ts';

export function showExchange(rates: RateSource | undefined, vhost: Vhost, exchange: Exchange): object {
  const { name, durable, autoDelete, internal, shownType: type } = exchange;
  return {
    ...{ name, vhost: vhost.name, type, durable, auto_delete: autoDelete, internal, arguments: plainTable(exchange.arguments) },
    ...{ user_who_performed_action: '', ...showHeld(exchange.policy), ...showTraffic(rates, exchange) },
  };
}

/** RabbitMQ leaves it out where nothing was published. */
function showTraffic(rates: RateSource | undefined, exchange: Exchange): object {
  const { publishedCount, routedCount } = exchange;
  if (publishedCount === 0) return {};
  return { message_stats: withRates({ publish_in: publishedCount, publish_out: routedCount }, rates?.exchange(exchange)) };
}

/** RabbitMQ shows an exchange's policy, and leaves one out that is not there. */
function showHeld({ policy, operatorPolicy, definition }: EffectivePolicy): object {
  if (policy === undefined && operatorPolicy === undefined) return {};
  return {
    ...(policy === undefined ? {} : { policy }),
    ...(operatorPolicy === undefined ? {} : { operator_policy: operatorPolicy }),
    effective_policy_definition: definition,
  };
}

export function showBinding(binding: Binding, vhost: Vhost): object {
  const { source, destination, key } = binding;
  return {
    source: source.name,
    vhost: vhost.name,
    destination: destination.name,
    destination_type: destination.kind,
    routing_key: key,
    arguments: plainTable(binding.arguments),
    properties_key: propertiesKey(binding),
  };
}

/** RabbitMQ's name for a binding between two things: its key, `~` for an empty one, and a hash where it has arguments. */
export function propertiesKey({ key, arguments: args }: Binding): string {
  if (args.size === 0) return key === '' ? '~' : quoted(key);
  return `${quoted(key)}~${hash(canonicalTable(args))}`;
}

/** As forms spell it, like RabbitMQ: a space is a plus. */
function quoted(key: string): string {
  return encodeURIComponent(key)
    .replace(/[!'()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll('%20', '+');
}

/** 53 bits of FNV-1a: a name in a path, not a secret. RabbitMQ's hash is another one; clients take it as it comes. */
function hash(text: string): string {
  let value = 0xcbf29ce484222325n;
  for (let at = 0; at < text.length; at++) value = ((value ^ BigInt(text.charCodeAt(at))) * 0x100000001b3n) & 0xffffffffffffffffn;
  return value.toString(36);
}

/** The implied binding of every queue to the default exchange, as RabbitMQ lists it. */
function defaultBinding(queue: Queue): object {
  const vhost = queue.vhost.name;
  const ends = { source: '', vhost, destination: queue.name, destination_type: 'queue' };
  return { ...ends, routing_key: queue.name, arguments: {}, properties_key: quoted(queue.name) };
}

function bindingsOf(vhost: Vhost): object[] {
  const bound = [...vhost.exchanges.values()].flatMap((exchange) => [...exchange.outgoing.values()].filter(({ isTap }) => !isTap));
  return [...[...vhost.queues.values()].map(defaultBinding), ...bound.map((binding) => showBinding(binding, vhost))];
}

function vhostOf(call: Call): Vhost {
  const name = call.path['vhost'] ?? '';
  checkVhost(call, name);
  const vhost = call.broker.vhost(name);
  if (vhost === undefined) throw notFound();
  return vhost;
}
const vhostsOf = (call: Call): Vhost[] => (call.path['vhost'] === undefined ? visibleVhosts(call) : [vhostOf(call)]);

/** `amq.default` is how a path names the default exchange. */
export function exchangeName(call: Call, field = 'name'): string {
  const name = call.path[field] ?? '';
  return name === 'amq.default' ? '' : name;
}

function queueOf(call: Call): Queue {
  const queue = vhostOf(call).queues.get(call.path['name'] ?? '');
  if (queue === undefined) throw notFound();
  return queue;
}
function exchangeOf(call: Call, field = 'name'): Exchange {
  const exchange = vhostOf(call).exchanges.get(exchangeName(call, field));
  if (exchange === undefined) throw notFound();
  return exchange;
}

const listQueues = (call: Call): unknown =>
  list(
    {
      things: vhostsOf(call).flatMap((vhost) => [...vhost.queues.values()]),
      nameOf: ({ name }) => name,
      placeOf: ({ vhost }) => vhost.name,
      show: queueFields(call.rates),
    },
    call,
  );

const listExchanges = (call: Call): unknown =>
  list(
    {
      things: vhostsOf(call).flatMap((vhost) => [...vhost.exchanges.values()].map((exchange) => ({ vhost, exchange }))),
      nameOf: ({ exchange }) => exchange.name,
      placeOf: ({ vhost }) => vhost.name,
      show: ({ vhost, exchange }) => showExchange(call.rates, vhost, exchange),
    },
    call,
  );

const listBindings = (call: Call): unknown => listed(call, vhostsOf(call).flatMap(bindingsOf));

async function putQueue(call: Call): Promise<Created | undefined> {
  const { body, path } = call;
  const isNew = !vhostOf(call).queues.has(path['name'] ?? '');
  const args = tableFromJson(objectOf(body, 'arguments'), '/arguments');
  const [durable, autoDelete] = [flagOf(body, 'durable'), flagOf(body, 'auto_delete')];
  await acting(call, path['vhost'] ?? '', ({ session }) =>
    session.declareQueue({ queue: path['name'] ?? '', durable, exclusive: false, autoDelete, passive: false, arguments: args }),
  );
  return isNew ? new Created() : undefined;
}

async function putExchange(call: Call): Promise<Created | undefined> {
  const { body, path } = call;
  const isNew = !vhostOf(call).exchanges.has(exchangeName(call));
  const args = tableFromJson(objectOf(body, 'arguments'), '/arguments');
  const [durable, autoDelete, internal] = [flagOf(body, 'durable'), flagOf(body, 'auto_delete'), flagOf(body, 'internal')];
  const type = textOf(body, 'type', 'direct');
  await acting(call, path['vhost'] ?? '', ({ session }) =>
    session.declareExchange({ exchange: exchangeName(call), type, durable, autoDelete, internal, passive: false, arguments: args }),
  );
  return isNew ? new Created() : undefined;
}

async function deleteQueue(call: Call): Promise<void> {
  queueOf(call);
  const [ifUnused, ifEmpty] = [call.query.get('if-unused') === 'true', call.query.get('if-empty') === 'true'];
  await acting(call, call.path['vhost'] ?? '', ({ session }) => session.deleteQueue(call.path['name'] ?? '', ifUnused, ifEmpty));
}

async function deleteExchange(call: Call): Promise<void> {
  exchangeOf(call);
  await acting(call, call.path['vhost'] ?? '', ({ session }) =>
    session.deleteExchange(exchangeName(call), call.query.get('if-unused') === 'true'),
  );
}

const purge = async (call: Call): Promise<void> => {
  queueOf(call);
  await acting(call, call.path['vhost'] ?? '', ({ session }) => session.purgeQueue(call.path['name'] ?? ''));
};

function act(call: Call): void {
  queueOf(call);
  const action = textOf(call.body, 'action');
  if (action !== 'sync' && action !== 'cancel_sync') throw badRequest(`no action '${action}'`, 'sync or cancel_sync');
}

/** Bindings between a source and a destination: `e` an exchange, `q` a queue. */
function between(call: Call): Binding[] {
  const source = exchangeOf(call, 'source');
  const destination = call.path['destination'] ?? '';
  const kind = call.path['kind'] === 'q' ? 'queue' : 'exchange';
  return [...source.outgoing.values()].filter(
    (each) => !each.isTap && each.destination.kind === kind && each.destination.name === destination,
  );
}
function bindingAt(call: Call): Binding {
  const key = call.path['key'] ?? '';
  const found = between(call).find((binding) => [key, encodedKey(key)].includes(propertiesKey(binding)));
  if (found === undefined) throw notFound();
  return found;
}
/** The path was decoded once, and a properties key is spelled encoded: scripts encode it once more, links do not. */
function encodedKey(key: string): string {
  if (key === '~') return key;
  const at = key.lastIndexOf('~');
  return at < 0 ? quoted(key) : `${quoted(key.slice(0, at))}${key.slice(at)}`;
}

async function bind(call: Call): Promise<Created> {
  const { body, path } = call;
  exchangeOf(call, 'source');
  const [vhost = '', source, destination = '', kind] = [path['vhost'], exchangeName(call, 'source'), path['destination'], path['kind']];
  const key = textOf(body, 'routing_key', '');
  const args = tableFromJson(objectOf(body, 'arguments'), '/arguments');
  await acting(call, vhost, ({ session }) => {
    if (kind === 'q') session.bindQueue(destination, source, key, args);
    else session.bindExchange(destination, source, key, args);
  });
  const made = between(call).find((each) => each.key === key && canonicalTable(each.arguments) === canonicalTable(args));
  const parts = [vhost, 'e', source, kind ?? '', destination].map(encodeURIComponent).join('/');
  return new Created(made === undefined ? undefined : `/api/bindings/${parts}/${propertiesKey(made)}`);
}

async function unbind(call: Call): Promise<void> {
  const { source, destination, key, arguments: args } = bindingAt(call);
  await acting(call, call.path['vhost'] ?? '', ({ session }) => {
    if (destination.kind === 'queue') session.unbindQueue(destination.name, source.name, key, args);
    else session.unbindExchange(destination.name, source.name, key, args);
  });
}

const shownBetween = (call: Call): unknown =>
  listed(
    call,
    between(call).map((binding) => showBinding(binding, vhostOf(call))),
  );
/** Bindings are few in these lists, and shown already. */
const listed = (call: Call, things: object[]): unknown =>
  list({ things, nameOf: (binding) => textIn(binding, 'source'), placeOf, show: (binding) => binding }, call);
const textIn = (object: object, field: string): string => String(Reflect.get(object, field) ?? '');
/** What bindings are sorted by, as RabbitMQ has it. */
const placeOf = (binding: object): string =>
  ['vhost', 'source', 'destination', 'destination_type', 'routing_key'].map((field) => textIn(binding, field)).join('\0');

const QUEUE_BODY = fields({ durable: flag, auto_delete: flag, arguments: table });
const EXCHANGE_BODY = fields({ type: text, durable: flag, auto_delete: flag, internal: flag, arguments: table });
const BINDING_BODY = fields({ routing_key: text, arguments: table });

const EXCHANGE = '/api/exchanges/{vhost}/{name}';
const QUEUE = '/api/queues/{vhost}/{name}';
const BETWEEN = '/api/bindings/{vhost}/e/{source}/{kind}/{destination}';
const see = { tag: 'management', right: 'vhost', method: 'GET' } as const;
const seeAll = { ...see, right: 'none' } as const;
const change = { tag: 'management' } as const;

export const topologyRoutes: readonly Route[] = [
  { ...seeAll, path: '/api/exchanges', summary: 'Lists exchanges', handle: listExchanges },
  { ...see, path: '/api/exchanges/{vhost}', summary: 'Lists the exchanges of a vhost', handle: listExchanges },
  {
    ...see,
    path: EXCHANGE,
    summary: 'Shows an exchange',
    handle: (call) => columns(showExchange(call.rates, vhostOf(call), exchangeOf(call)), call.query),
  },
  {
    ...change,
    right: 'exchange.declare',
    method: 'PUT',
    path: EXCHANGE,
    body: EXCHANGE_BODY,
    summary: 'Declares an exchange',
    handle: putExchange,
  },
  { ...change, right: 'exchange.delete', method: 'DELETE', path: EXCHANGE, summary: 'Deletes an exchange', handle: deleteExchange },
  {
    ...see,
    path: `${EXCHANGE}/bindings/source`,
    summary: 'Lists what is bound to an exchange',
    handle: (call) =>
      listed(
        call,
        [...exchangeOf(call).outgoing.values()].filter(({ isTap }) => !isTap).map((each) => showBinding(each, vhostOf(call))),
      ),
  },
  {
    ...see,
    path: `${EXCHANGE}/bindings/destination`,
    summary: 'Lists what an exchange is bound to',
    handle: (call) =>
      listed(
        call,
        [...exchangeOf(call).incoming].map((each) => showBinding(each, vhostOf(call))),
      ),
  },
  { ...seeAll, path: '/api/queues', summary: 'Lists queues', handle: listQueues },
  { ...see, path: '/api/queues/{vhost}', summary: 'Lists the queues of a vhost', handle: listQueues },
  { ...see, path: QUEUE, summary: 'Shows a queue', handle: (call) => columns(showQueueFully(call.rates, queueOf(call)), call.query) },
  { ...change, right: 'queue.declare', method: 'PUT', path: QUEUE, body: QUEUE_BODY, summary: 'Declares a queue', handle: putQueue },
  { ...change, right: 'queue.delete', method: 'DELETE', path: QUEUE, summary: 'Deletes a queue', handle: deleteQueue },
  { ...change, right: 'queue.purge', method: 'DELETE', path: `${QUEUE}/contents`, summary: 'Purges a queue', handle: purge },
  {
    ...change,
    right: 'vhost',
    method: 'POST',
    path: `${QUEUE}/actions`,
    body: fields({ action: text }, ['action']),
    summary: 'Takes sync and cancel_sync, of mirrors that are not here',
    handle: act,
  },
  {
    ...see,
    path: `${QUEUE}/bindings`,
    summary: 'Lists the bindings of a queue',
    handle: (call) => {
      const queue = queueOf(call);
      return listed(call, [defaultBinding(queue), ...[...queue.bindings].map((each) => showBinding(each, queue.vhost))]);
    },
  },
  { ...seeAll, path: '/api/bindings', summary: 'Lists bindings', handle: listBindings },
  { ...see, path: '/api/bindings/{vhost}', summary: 'Lists the bindings of a vhost', handle: listBindings },
  { ...see, path: BETWEEN, summary: 'Lists the bindings between two', handle: shownBetween },
  {
    ...change,
    right: 'queue.bind',
    method: 'POST',
    path: BETWEEN,
    body: BINDING_BODY,
    summary: 'Binds a queue (q) or an exchange (e)',
    handle: bind,
  },
  {
    ...see,
    path: `${BETWEEN}/{key}`,
    summary: 'Shows a binding',
    handle: (call) => columns(showBinding(bindingAt(call), vhostOf(call)), call.query),
  },
  { ...change, right: 'queue.unbind', method: 'DELETE', path: `${BETWEEN}/{key}`, summary: 'Unbinds', handle: unbind },
];
