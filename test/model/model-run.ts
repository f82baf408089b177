// Carries one list of commands out on a broker and on the model, and compares the two after every command.
// Compared: each answer; deliveries, their order, redelivered and delivery count; tags; who may get what; ready, unacked, bytes, consumers and
// counters of every queue; the counter identity of docs/protocol.md; at the end the order of all that is left.

import { expect } from 'vitest';
import { countersBalance } from '../../scripts/kill-loop/checkers.ts';
import type { DeliveryJson, PropertiesJson } from '../../shared/protocol/control.ts';
import type { TestBroker } from '../support/broker.ts';
import { type Inbox, type JsonSession, OperationError } from '../support/json-session.ts';
import { argumentsOf, type Command, SESSIONS } from './commands.ts';
import { countersOf, heldAs, nameOf, outcome, sameSpec, seenAs } from './comparable.ts';
import {
  type Held,
  type ModelConsumer,
  type ModelQueue,
  type ModelUnacked,
  ModelQueue as Queue,
  ReferenceBroker,
  roomOf,
} from './reference-broker.ts';

interface Consumer {
  readonly model: ModelConsumer;
  readonly inbox: Inbox;
  seen: number;
  /** Cancelled by its own session. */
  isCancelled: boolean;
}

export class ModelRun {
  readonly #broker: TestBroker;
  readonly #model = new ReferenceBroker(SESSIONS);
  readonly #observer: JsonSession;
  readonly #sessions: JsonSession[];
  #consumers: Consumer[] = [];
  #bodies = 0;
  #returned: number[] = [];
  /** Commands compared so far. */
  compared = 0;

  get tally(): ReadonlyMap<string, number> {
    return this.#model.tally;
  }

  private constructor(broker: TestBroker, sessions: JsonSession[], observer: JsonSession) {
    this.#broker = broker;
    this.#sessions = sessions;
    this.#observer = observer;
    this.#returned = sessions.map(() => 0);
  }

  static async begin(broker: TestBroker): Promise<ModelRun> {
    const sessions: JsonSession[] = [];
    for (let i = 0; i < SESSIONS; i++) sessions.push(await broker.connect());
    return new ModelRun(broker, sessions, await broker.connect());
  }

  /** False: the specification does not say what comes next, the run ends here. */
  async step(command: Command): Promise<boolean> {
    await this.#carryOut(command);
    if (this.#model.isAmbiguous) return false;
    await this.#broker.idle();
    this.#compareDeliveries();
    await this.#compareCounters();
    this.compared++;
    return true;
  }

  /** Everything that is left comes out in order. */
  async end(): Promise<void> {
    for (let i = 0; i < SESSIONS; i++) {
      await this.#close(i);
      if (this.#model.isAmbiguous) return;
      await this.#broker.idle();
      this.#compareDeliveries();
      await this.#compareCounters();
    }
    for (const queue of this.#model.queues.values()) {
      const inbox = await this.#observer.consume(queue.name, { noAck: true });
      await this.#broker.idle();
      expect(inbox.deliveries.map(seenAs), `what is left in ${queue.name}`).toEqual(queue.ready.map(heldAs));
    }
  }

  async #carryOut(command: Command): Promise<void> {
    switch (command.do) {
      case 'declare':
        return this.#declare(command);
      case 'bind':
      case 'unbind':
        return this.#bind(command);
      case 'publish':
        return this.#publish(command);
      case 'get':
        return this.#get(command);
      case 'consume':
        return this.#consume(command);
      case 'cancel':
        return this.#cancel(command.pick);
      case 'grant':
        return this.#grant(command.pick, command.messages);
      case 'settle':
        return this.#settle(command);
      case 'settle all':
        return this.#settleAll(command);
      case 'unknown tag': {
        const error = await this.#session(command.session).fails('ack', { tag: 1_000_000, multiple: command.multiple });
        expect([error.code, error.reason]).toEqual([406, 'PRECONDITION_FAILED - unknown delivery tag 1000000']);
        return;
      }
      case 'purge':
      case 'delete':
        return this.#purgeOrDelete(command);
      case 'advance':
        return this.#advance(command.ms);
      case 'close':
        await this.#close(command.session);
        this.#sessions[command.session] = await this.#broker.connect();
        this.#returned[command.session] = 0;
    }
  }

  async #declare({ queue: index, spec }: Extract<Command, { do: 'declare' }>): Promise<void> {
    const name = nameOf(index);
    const present = this.#model.queues.get(name);
    const fields = { queue: name, autoDelete: spec.autoDelete ?? false, arguments: argumentsOf(spec) };
    if (present !== undefined && !sameSpec(present.spec, spec)) {
      expect((await this.#observer.fails('queue.declare', fields)).code).toBe(406);
      return;
    }
    if (present === undefined) this.#model.queues.set(name, new Queue(name, spec));
    expect(await this.#observer.do('queue.declare', fields)).toEqual({
      queue: name,
      messageCount: present?.ready.length ?? 0,
      consumerCount: present?.consumers.length ?? 0,
    });
  }

  async #bind({ do: what, queue, exchange, key }: Extract<Command, { do: 'bind' | 'unbind' }>): Promise<void> {
    const name = nameOf(queue);
    const fields = { queue: name, exchange, key };
    if (!this.#model.queues.has(name)) {
      if (what === 'bind') expect((await this.#observer.fails('queue.bind', fields)).code).toBe(404);
      return;
    }
    await this.#observer.do(`queue.${what}`, fields);
    const others = this.#model.bindings.filter((one) => one.queue !== name || one.exchange !== exchange || one.key !== key);
    this.#model.bindings = what === 'bind' ? [...others, { queue: name, exchange, key }] : others;
  }

  async #publish({ exchange, key, ...command }: Extract<Command, { do: 'publish' }>): Promise<void> {
    // a millisecond between publishes: no two queues' messages expire at once but copies of one
    await this.#advance(1);
    if (this.#model.isAmbiguous) return;
    const session = this.#session(command.session);
    const body = `m${this.#bodies++}${'.'.repeat(command.padding)}`;
    const properties: PropertiesJson = { priority: command.priority, deliveryMode: command.persistent ? 2 : 1 };
    if (command.expirationMs !== undefined) properties.expiration = String(command.expirationMs);
    this.#model.priorities.set(body, command.priority);
    const routed = this.#model.publish(exchange, key, body, command.priority, command.expirationMs ?? Infinity);
    let answered: number | undefined;
    try {
      answered = await session.publish(exchange, key, body, properties, command.mandatory);
    } catch (error) {
      if (!(error instanceof OperationError)) throw error;
    }
    expect(answered, `${body} to '${exchange}' '${key}': how many queues took it`).toBe(routed);
    if (routed === 0 && command.mandatory) this.#model.count('returned');
    if (routed === 0 && command.mandatory) this.#returned[command.session] = (this.#returned[command.session] ?? 0) + 1;
    expect(session.returns.length, 'messages returned').toBe(this.#returned[command.session]);
  }

  async #get({ session: index, queue, noAck }: Extract<Command, { do: 'get' }>): Promise<void> {
    const session = this.#session(index);
    const model = this.#model.queues.get(nameOf(queue));
    if (model === undefined) {
      expect((await session.fails('get', { queue: nameOf(queue) })).code).toBe(404);
      return;
    }
    if (model.spec.single === true) {
      // whoever is active, a get is not
      expect((await session.fails('get', { queue: model.name })).code).toBe(405);
      return;
    }
    const held = this.#model.get(model, index, noAck);
    const message = await session.get(model.name, noAck);
    expect(message && seenAs(message), `got from ${model.name}`).toEqual(held && heldAs(held));
    if (message === undefined) return;
    this.#model.count('got');
    this.#checkTag(index, message.tag, noAck);
    if (!noAck) this.#model.gotTag(message.tag);
  }

  async #consume({ session: index, queue, ...command }: Extract<Command, { do: 'consume' }>): Promise<void> {
    const session = this.#session(index);
    const model = this.#model.queues.get(nameOf(queue));
    if (model === undefined) {
      expect((await session.fails('consume', { queue: nameOf(queue), handle: 2_000 })).code).toBe(404);
      return;
    }
    const { noAck, prefetch } = command;
    // who takes over from whom by priority is a matter for conformance tests
    const priority = model.spec.single === true ? 0 : command.priority;
    const more = command.credit === undefined ? {} : { credit: command.credit };
    const inbox = await session.consume(model.name, { noAck, prefetch, priority, ...more });
    const consumer = {
      session: index,
      handle: inbox.handle,
      queue: model,
      noAck,
      prefetch,
      priority,
      credit: command.credit ?? Infinity,
      unacked: 0,
    };
    this.#consumers.push({ model: consumer, inbox, seen: 0, isCancelled: false });
    this.#model.consume(consumer);
  }

  async #cancel(pick: number): Promise<void> {
    const consumer = this.#pickConsumer(pick);
    if (consumer === undefined) return;
    await this.#session(consumer.model.session).cancel(consumer.inbox);
    consumer.isCancelled = true;
    this.#model.cancel(consumer.model);
  }

  async #grant(pick: number, messages: number): Promise<void> {
    const consumer = this.#pickConsumer(pick);
    if (consumer === undefined || consumer.model.credit === Infinity) return;
    consumer.model.credit += messages;
    this.#model.settle(consumer.model.session, [], 'ack');
    await this.#session(consumer.model.session).do('credit', { handle: consumer.inbox.handle, messages });
  }

  #pickConsumer(pick: number): Consumer | undefined {
    const alive = this.#consumers.filter(({ model }) => model.queue.consumers.includes(model) && !model.queue.isDeleted);
    return alive[pick % Math.max(1, alive.length)];
  }

  async #settle({ session, pick, how, requeue, multiple }: Extract<Command, { do: 'settle' }>): Promise<void> {
    const all = this.#model.unacked[session] ?? [];
    const one = all[pick % Math.max(1, all.length)];
    if (one === undefined) return;
    const many = multiple && how !== 'reject';
    const chosen = this.#model.select(session, one.tag, many) ?? [];
    const fields =
      how === 'reject'
        ? { tag: one.tag, requeue }
        : how === 'nack'
          ? { tag: one.tag, multiple: many, requeue }
          : { tag: one.tag, multiple: many };
    await this.#session(session).raw(how, fields);
    this.#model.settle(session, chosen, outcome(how, requeue));
  }

  async #settleAll({ session, how, requeue }: Extract<Command, { do: 'settle all' }>): Promise<void> {
    const chosen: ModelUnacked[] = this.#model.select(session, 0, true) ?? [];
    await this.#session(session).raw(how, { tag: 0, multiple: true, ...(how === 'nack' ? { requeue } : {}) });
    this.#model.settle(session, chosen, outcome(how, requeue));
  }

  async #purgeOrDelete({ do: what, queue }: Extract<Command, { do: 'purge' | 'delete' }>): Promise<void> {
    const model = this.#model.queues.get(nameOf(queue));
    const fields = { queue: nameOf(queue) };
    if (model === undefined) {
      if (what === 'purge') expect((await this.#observer.fails('queue.purge', fields)).code).toBe(404);
      else expect(await this.#observer.do('queue.delete', fields)).toEqual({ messageCount: 0 });
      return;
    }
    const messageCount = what === 'purge' ? this.#model.purge(model) : model.ready.length;
    if (what === 'delete') this.#model.delete(model);
    expect(await this.#observer.do(`queue.${what}`, fields)).toEqual({ messageCount });
  }

  async #advance(ms: number): Promise<void> {
    this.#model.advanceTo(this.#model.nowMs + ms);
    await this.#broker.advance(ms);
  }

  async #close(session: number): Promise<void> {
    this.#model.close(session);
    this.#consumers = this.#consumers.filter(({ model }) => model.session !== session);
    await this.#session(session).close();
  }

  #compareDeliveries(): void {
    const taken = new Map<ModelQueue, Map<ModelConsumer, number>>();
    for (const consumer of this.#consumers) {
      let after = -1;
      for (; consumer.seen < consumer.inbox.deliveries.length; consumer.seen++) {
        after = this.#match(consumer, consumer.inbox.at(consumer.seen), after, taken);
      }
      const { queue } = consumer.model;
      const told = queue.isDeleted && !consumer.isCancelled ? ['queue deleted'] : [];
      expect(consumer.inbox.cancelled, `what a consumer of ${queue.name} was told`).toEqual(told);
    }
    for (const [queue, count] of taken) this.#checkPriorities(queue, count);
    for (const queue of this.#model.queues.values()) {
      const missing = queue.handedOver.filter((held) => !this.#matched.has(held));
      expect(missing.map(heldAs), `messages of ${queue.name} that a free consumer did not get`).toEqual([]);
      queue.handedOver = [];
    }
    this.#matched.clear();
  }
  readonly #matched = new Set<Held>();

  /** Finds the delivery among those the model handed over; answers its place there. */
  #match(
    { model, isCancelled }: Consumer,
    delivery: DeliveryJson,
    after: number,
    taken: Map<ModelQueue, Map<ModelConsumer, number>>,
  ): number {
    const { queue } = model;
    const wanted = JSON.stringify(seenAs(delivery));
    const at = queue.handedOver.findIndex((held, i) => i > after && !this.#matched.has(held) && JSON.stringify(heldAs(held)) === wanted);
    const held = queue.handedOver[at];
    if (held === undefined) {
      expect(seenAs(delivery), `an unexpected delivery of ${queue.name}`).toEqual(queue.handedOver.filter((_, i) => i > after).map(heldAs));
      throw new Error(`an unexpected delivery of ${queue.name}: ${wanted}`);
    }
    expect(isCancelled, `a delivery to a cancelled consumer of ${queue.name}`).toBe(false);
    expect(queue.eligible.includes(model), `a delivery of ${queue.name} to a consumer that is not active`).toBe(true);
    expect(roomOf(model), `a delivery of ${queue.name} beyond prefetch or credit`).toBeGreaterThan(0);
    this.#matched.add(held);
    this.#model.count(held.redelivered ? 'redelivered' : 'delivered');
    if (queue.spec.single === true && model !== queue.firstConsumer) this.#model.count('taken by the next single consumer');
    this.#checkTag(model.session, delivery.tag, model.noAck);
    model.credit--;
    if (model.noAck) queue.acked++;
    else {
      model.unacked++;
      this.#model.unacked[model.session]?.push({ tag: delivery.tag, held, queue, consumer: model });
      this.#model.unacked[model.session]?.sort((a, b) => a.tag - b.tag);
    }
    const count = taken.get(queue) ?? new Map<ModelConsumer, number>();
    taken.set(queue, count.set(model, (count.get(model) ?? 0) + 1));
    return at;
  }

  #checkPriorities(queue: ModelQueue, count: ReadonlyMap<ModelConsumer, number>): void {
    for (const consumer of count.keys()) {
      for (const other of queue.eligible) {
        if (other.priority > consumer.priority)
          expect(roomOf(other), `room of a consumer of ${queue.name} above one that was served`).toBe(0);
      }
    }
  }

  #checkTag(session: number, tag: number, noAck: boolean): void {
    if (noAck) {
      expect(tag, 'the tag of what needs no ack').toBe(0);
      return;
    }
    // a consumer's deliveries are read one consumer at a time, so tags of one session are unique, not sorted
    expect(tag).toBeGreaterThan(0);
    expect(
      this.#model.unacked[session]?.some((one) => one.tag === tag),
      `tag ${tag} was used before`,
    ).toBe(false);
  }

  async #compareCounters(): Promise<void> {
    const sample = await this.#observer.do('stats', {});
    const samples = new Map(sample.queues.map((queue) => [queue.queue, queue]));
    expect([...samples.keys()].sort()).toEqual([...this.#model.queues.keys()].sort());
    for (const queue of this.#model.queues.values()) {
      const seen = samples.get(queue.name);
      if (seen === undefined) continue;
      expect(countersBalance(seen)).toEqual([]);
      const unacked = this.#model.unacked.flat().filter((one) => one.queue === queue).length;
      expect(countersOf(seen), `counters of ${queue.name}`).toEqual({
        ready: queue.ready.length,
        readyBytes: queue.readyBytes,
        unacked,
        deadLetterWaiting: 0,
        consumers: queue.consumers.length,
        published: queue.published,
        acked: queue.acked,
        purged: queue.purged,
        refused: queue.refused,
        lost: queue.lost,
      });
    }
  }

  #session(index: number): JsonSession {
    const session = this.#sessions[index];
    if (session === undefined) throw new Error(`no session ${index}`);
    return session;
  }
}
