// The commands of the durable model suite, each carried out on the broker and on the model, with what the broker says compared at once.
// Always: (1) a command prints as what it does, so that a shrunk failure reads as a story; (2) names of clients, queues and deliveries are numbers,
// taken modulo what there is. A settle is answered by the model before the arrivals that it leads to.

import fc from 'fast-check';
import { AmqpError } from '../../shared/error.ts';
import { type Client, type DurableBroker, type Outgoing, WAL_FILE_BYTES } from './durable-broker.ts';
import type { DurableQueues, Group, Holding } from './durable-queues.ts';

export type Step = fc.AsyncCommand<DurableQueues, DurableBroker>;
type Act = (model: DurableQueues, real: DurableBroker) => Promise<void> | void;

export const QUEUES = [
  { name: 'a', isDurable: true },
  { name: 'b', isDurable: true },
  { name: 't', isDurable: false },
] as const;
const TOO_LARGE = 6_000; // for a record of half a file
const SURELY_FITS = WAL_FILE_BYTES / 2 - 1_024;

/** Takes in all that clients were told, and fails when the model does not agree. */
export function compare(model: DurableQueues, real: DurableBroker): void {
  for (const arrival of real.arrivals.splice(0)) model.arrive(arrival);
  for (const client of real.clients) {
    const { confirmed, refused, failures, closes } = client.sink;
    for (; client.toldConfirms < confirmed.length; client.toldConfirms++) {
      const { firstSeq = 0, count = 0 } = confirmed[client.toldConfirms] ?? {};
      for (let seq = firstSeq; seq < firstSeq + count; seq++) {
        const name = client.published[seq - 1] ?? '';
        if (name.startsWith('too large')) model.complaints.push(`${name} was confirmed`);
        model.confirm(name);
      }
    }
    for (; client.toldRefusals < refused.length; client.toldRefusals++) {
      model.note('refused');
      const name = client.published[(refused[client.toldRefusals]?.seq ?? 0) - 1] ?? '';
      if (!name.startsWith('too large')) model.complaints.push(`${name} was refused`);
    }
    if (failures.splice(0).some(({ code }) => code !== 506) || closes.length > 0) model.complaints.push('an error out of turn');
  }
  if (model.complaints.length > 0) throw new Error(model.complaints.join('\n'));
}

function step(text: string, act: Act, check: (model: DurableQueues) => boolean = () => true): Step {
  return {
    check,
    run: async (model, real) => {
      await act(model, real);
      real.settle();
      compare(model, real);
    },
    toString: () => text,
  };
}

const clientOf = (real: DurableBroker, at: number): Client => real.clients[at % real.clients.length] as Client;
const hasQueue =
  (queue: string) =>
  (model: DurableQueues): boolean =>
    model.declared.has(queue);

// Publishing.

interface Wanted {
  readonly to: string;
  readonly size: number;
  readonly isPersistent: boolean;
  readonly ttlMs: number | undefined;
}
const wanted: fc.Arbitrary<Wanted> = fc.record({
  to: fc.constantFrom('a', 'a', 'b', 't', 'all'),
  size: fc.oneof(
    { weight: 8, arbitrary: fc.constantFrom(0, 1, 100, 300, 900) },
    { weight: 1, arbitrary: fc.constantFrom(2_500, TOO_LARGE) },
  ),
  isPersistent: fc.oneof({ weight: 4, arbitrary: fc.constant(true) }, { weight: 1, arbitrary: fc.constant(false) }),
  ttlMs: fc.oneof({ weight: 6, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: fc.nat({ max: 100 }) }),
});

function queuesOf(model: DurableQueues, to: string): string[] {
  return to === 'all' ? [...model.declared.keys()] : model.declared.has(to) ? [to] : [];
}
function outgoing(model: DurableQueues, { to, size, isPersistent, ttlMs }: Wanted): Outgoing & { isTaken: boolean } {
  const isStored = isPersistent && queuesOf(model, to).some((queue) => model.declared.get(queue) === true);
  const isTaken = !(isStored && size >= TOO_LARGE);
  const name = `${isTaken ? 'm' : 'too large '}${++model.names}`;
  const where = to === 'all' ? { exchange: 'amq.fanout', key: '' } : { exchange: '', key: to };
  return { ...where, name, body: String.fromCharCode(97 + (model.names % 26)).repeat(size), isPersistent, ttlMs, isTaken };
}
function enter(model: DurableQueues, to: string, sent: Outgoing, now: number, group?: Group): void {
  const { name, body, isPersistent, ttlMs } = sent;
  const deadline = ttlMs === undefined ? 0 : now + ttlMs;
  for (const queue of queuesOf(model, to)) model.publish(queue, { name, body, isPersistent, deadline, publishedAt: now }, group);
}

const publish = (at: number, one: Wanted, times: number, isConfirmed: boolean): Step =>
  step(
    `publish ${times} (${one.size} bytes${one.isPersistent ? '' : ', transient'}, ttl ${one.ttlMs}) to ${one.to}, ${at} ${isConfirmed}`,
    (model, real) => {
      const client = clientOf(real, at);
      for (let i = 0; i < times; i++) {
        const sent = outgoing(model, one);
        if (isConfirmed) client.published.push(sent.name);
        if (sent.isTaken) enter(model, one.to, sent, real.now);
        real.publish(client, isConfirmed ? client.confirmed : client.unconfirmed, sent);
      }
    },
  );

const waitConfirms: Step = step('wait for confirms', async (_model, real) => {
  const open = real.clients.filter(({ sink, published }) => told(sink) < published.length);
  await real.until(() => open.every(({ sink, published }) => told(sink) >= published.length), 'every publish is confirmed');
});
function told({ confirmed, refused }: Client['sink']): number {
  return confirmed.reduce((sum, { count }) => sum + count, 0) + refused.length;
}

// Consuming.

const get = (at: number, queue: string, noAck: boolean): Step =>
  step(`get from ${queue}${noAck ? ', acked' : ''}, ${at}`, (_model, real) => real.get(clientOf(real, at), queue, noAck), hasQueue(queue));
const consume = (at: number, queue: string, prefetch: number): Step =>
  step(
    `consume ${queue}, prefetch ${prefetch}, ${at}`,
    (_model, real) => real.consume(clientOf(real, at), queue, prefetch),
    hasQueue(queue),
  );
const cancel = (at: number): Step =>
  step(`cancel, ${at}`, (_model, real) => {
    const client = clientOf(real, at);
    for (const [handle, consumer] of client.consumers) {
      client.session.cancel(consumer);
      client.consumers.delete(handle);
      return;
    }
  });

type How = 'ack' | 'nack' | 'reject' | 'release';
const settle = (at: number, pick: number, how: How, isMultiple: boolean): Step =>
  step(`${how} ${pick}${isMultiple ? ' and before' : ''}, ${at}`, (model, real) => {
    const holders = real.clients.filter(({ id }) => model.holdings.some(({ session }) => session === id));
    const client = holders[at % Math.max(1, holders.length)];
    if (client === undefined) return;
    const held = model.holdings.filter(({ session }) => session === client.id).sort((a, b) => a.tag - b.tag);
    const last = held[pick % Math.max(1, held.length)];
    if (last === undefined) return;
    const chosen = isMultiple ? held.slice(0, held.indexOf(last) + 1) : [last];
    for (const holding of chosen) settleOne(model, holding, how, real.now);
    const { session } = client;
    if (how === 'ack') session.ack(last.tag, isMultiple);
    else if (how === 'nack') session.nack(last.tag, isMultiple, true);
    else if (how === 'release') session.release(last.tag, isMultiple);
    else session.nack(last.tag, isMultiple, false);
  });
function settleOne(model: DurableQueues, holding: Holding, how: How, now: number): void {
  model.note(how);
  model.release(holding);
  if (how === 'ack' || how === 'reject') model.settled(holding.entry, now);
  else model.returned(holding.entry, how === 'nack');
}

const purge = (queue: string): Step =>
  step(
    `purge ${queue}`,
    (model, real) => {
      const { least, most } = model.readyRange(queue, real.now);
      const count = real.purge(clientOf(real, 0), queue);
      if (count < least || count > most) model.complaints.push(`${queue}: ${count} were purged of ${least} to ${most}`);
      for (const entry of model.entries(queue)) if (entry.state === 'ready') model.settled(entry, real.now);
    },
    hasQueue(queue),
  );

const close = (at: number): Step =>
  step(`close the session, ${at}`, (model, real) => {
    const client = clientOf(real, at);
    model.sessionGone(client.id);
    real.reconnect(client);
  });

const declare = ({ name, isDurable }: (typeof QUEUES)[number]): Step =>
  step(
    `declare ${name}`,
    async (model, real) => {
      await real.declare(name, isDurable);
      model.declared.set(name, isDurable);
    },
    (model) => !model.declared.has(name),
  );

// Transactions.

type End = 'rollback' | 'commit' | 'commit, and wait';
const transaction = (queue: string, gets: number, publishes: readonly Wanted[], end: End): Step =>
  step(
    `transaction: acks ${gets} of ${queue}, publishes ${publishes.map(({ size, to }) => `${size} to ${to}`).join(' and ')}, ${end}`,
    async (model, real) => {
      const client = real.connect(true);
      client.session.txSelect();
      for (let i = 0; i < gets; i++) await real.get(client, queue, false);
      compare(model, real);
      const held = model.holdings.filter(({ session }) => session === client.id);
      for (const { tag } of held) client.session.ack(tag, false);
      const sent = publishes.map((one) => ({ one, sent: outgoing(model, one) }));
      for (const each of sent) real.publish(client, client.confirmed, each.sent);
      if (end === 'rollback') client.session.txRollback();
      else await commit(model, real, client, held, sent, end === 'commit, and wait');
      model.sessionGone(client.id);
      client.session.close();
    },
    hasQueue(queue),
  );
async function commit(
  model: DurableQueues,
  real: DurableBroker,
  client: Client,
  held: readonly Holding[],
  sent: readonly { one: Wanted; sent: Outgoing }[],
  isAwaited: boolean,
): Promise<void> {
  let isDone = false;
  try {
    client.session.txCommit(() => {
      isDone = true;
    });
  } catch (error) {
    if (!(error instanceof AmqpError)) throw error;
    model.note('a transaction was refused');
    if (sent.reduce((sum, { sent: { body } }) => sum + body.length + 200, held.length * 32) < SURELY_FITS) throw error;
    return;
  }
  model.note('committed');
  const group: Group = { at: real.now, isDone: false, isLeftOpen: false, published: [], acked: [] };
  for (const { one, sent: out } of sent) enter(model, one.to, out, real.now, group);
  for (const holding of held) {
    model.release(holding);
    model.settled(holding.entry, real.now, group);
  }
  if (isAwaited) await real.until(() => isDone, 'a commit is answered');
  if (isDone) model.committed(group);
}

// Time, and ends.

const advance = (ms: number): Step => step(`${ms} ms pass`, (_model, real) => real.advance(ms));
const restart = (how: 'closed' | 'killed' | 'power'): Step =>
  step(how === 'power' ? 'the power fails' : `the broker is ${how}`, async (model, real) => {
    model.restart(how, real.now);
    if (how === 'closed') await real.close();
    else if (how === 'killed') real.kill();
    else real.losePower();
    for (const queue of model.declared.keys()) {
      const { least, most } = model.readyRange(queue, real.now);
      const count = real.ready(queue);
      if (count < least || count > most) model.complaints.push(`${queue}: ${count} are ready after the start, of ${least} to ${most}`);
    }
  });

const at = fc.nat({ max: 1 });
const queue = fc.constantFrom('a', 'a', 'b', 't');
const burst = fc.constantFrom(1, 1, 2, 5);

/** Each with its weight. */
const drawn: readonly [number, fc.Arbitrary<Step>][] = [
  [8, fc.tuple(at, wanted, burst, fc.boolean()).map(([who, one, times, isConfirmed]) => publish(who, one, times, isConfirmed))],
  [2, fc.constant(waitConfirms)],
  [4, fc.tuple(at, queue, fc.boolean()).map(([who, from, noAck]) => get(who, from, noAck))],
  [5, fc.tuple(at, queue, fc.nat({ max: 4 })).map(([who, from, prefetch]) => consume(who, from, prefetch))],
  [1, at.map(cancel)],
  [
    8,
    fc
      .tuple(at, fc.nat({ max: 9 }), fc.constantFrom<How>('ack', 'ack', 'ack', 'nack', 'reject', 'release'), fc.boolean())
      .map(([who, pick, how, isMultiple]) => settle(who, pick, how, isMultiple)),
  ],
  [1, queue.map(purge)],
  [1, at.map(close)],
  [2, fc.constantFrom(...QUEUES).map(declare)],
  [
    2,
    fc
      .tuple(queue, fc.nat({ max: 3 }), fc.array(wanted, { maxLength: 3 }), fc.constantFrom<End>('rollback', 'commit', 'commit, and wait'))
      .map(([from, gets, publishes, end]) => transaction(from, gets, publishes, end)),
  ],
  [4, fc.constantFrom(1, 3, 8, 20, 100, 500).map(advance)],
  [2, fc.constantFrom<'closed' | 'killed' | 'power'>('closed', 'killed', 'power').map(restart)],
];

/** As often as its weight says: fast-check draws a command from the list at an even chance. */
export const steps: fc.Arbitrary<Step>[] = drawn.flatMap(([weight, arbitrary]) => Array.from({ length: weight }, () => arbitrary));
