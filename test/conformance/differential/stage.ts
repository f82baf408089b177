// Where a situation plays: connections and channels to one broker, everything that comes on them written down.
// Always: (1) names are the situation's own (`name`), so that situations may run side by side and in any order; (2) before the transcript ends every
// open channel has answered once more, so that what the broker still had to say is in it; (3) what does not come in time, or can no longer come, is
// a line and ends the situation: a broker that answers wrongly makes a difference, never an error of the script.
// Refuses to compare.

import type { MethodFields } from '../../../shared/amqp/methods.ts';
import type { MethodName } from '../../../shared/amqp/spec.ts';
import type { FieldTable, FieldValue } from '../../../shared/amqp/table.ts';
import {
  AmqpClient,
  type AmqpContent,
  type AmqpItem,
  isMethod,
  type LoginOptions,
  NothingCame,
  type PublishOptions,
} from '../../support/amqp-client.ts';
import { Lane, mapLine, normalized, plainLine, type Transcript } from './transcript.ts';

export interface Target {
  readonly port: number;
  /** Begins or ends what holds publishers back, where a situation asks for it. Such situations play alone. */
  readonly alarm?: (isOn: boolean) => Promise<void>;
}

export type Play = (stage: Stage) => Promise<void>;

export interface Situation {
  /** A sentence; unique. */
  readonly name: string;
  readonly play: Play;
}

/** A list of situations, from their names and scripts. */
export function situations(scripts: Readonly<Record<string, Play>>): Situation[] {
  return Object.entries(scripts).map(([name, play]) => ({ name, play }));
}

/** Arguments or headers. */
export function table(fields: Readonly<Record<string, FieldValue>>): FieldTable {
  return new Map(Object.entries(fields));
}

const POLL_MS = 10;
const POLLS_MAX = 1_000;

export class Stage {
  readonly #target: Target;
  readonly #prefix: string;
  readonly #connections: Connection[] = [];
  readonly #notes: string[] = [];
  #probes: Connection | undefined;

  /** `prefix` makes the names of this situation its own. */
  constructor(target: Target, prefix: string) {
    this.#target = target;
    this.#prefix = prefix;
  }

  /** The name of a queue, an exchange or a consumer of this situation. */
  name(short: string): string {
    return this.#prefix + short;
  }

  /** A connection that has sent nothing yet. */
  async dial(): Promise<Connection> {
    const connection: Connection = new Connection(
      `${this.#connections.length + 1}`,
      await AmqpClient.dial(this.#target.port, (number, item) => connection.came(number, item)),
    );
    this.#connections.push(connection);
    return connection;
  }

  /** A connection that is open. Its handshake is not written down where it goes well. */
  async connect(options: LoginOptions = {}): Promise<Connection> {
    const connection = await this.dial();
    const { hidden } = connection.at(0).lane;
    for (const name of ['connection.start', 'connection.tune', 'connection.open-ok'] as const) hidden.add(name);
    await connection.client.login(options);
    hidden.clear();
    return connection;
  }

  /** An open channel of a connection of its own. */
  async channel(options: LoginOptions = {}): Promise<Channel> {
    return (await this.connect(options)).channel();
  }

  /** One method on a channel of its own, on a connection that all probes share. */
  async probe<Name extends MethodName>(name: Name, fields: Partial<MethodFields<Name>> = {}): Promise<void> {
    this.#probes ??= await this.connect();
    const channel = await this.#probes.channel();
    await channel.call(name, fields);
    if (channel.isOpen) await channel.close();
  }

  /** Until a queue that has no consumers is gone. Publishing is what does not count as its use. */
  async gone(queue: string): Promise<void> {
    const client = await AmqpClient.dial(this.#target.port);
    try {
      await client.login();
      client.send(1, 'channel.open');
      let isThere = true;
      for (let polls = 0; isThere; polls++) {
        if (polls === POLLS_MAX) throw new NothingCame(`${queue} does not go`);
        client.publish(1, { routingKey: queue, mandatory: true });
        client.send(1, 'access.request');
        for (let item = await client.next(1); !isMethod(item, 'access.request-ok'); item = await client.next(1)) {
          if (isMethod(item, 'basic.return')) isThere = false;
        }
        await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      }
      this.note(`${queue} is gone`);
    } finally {
      client.destroy();
    }
  }

  /** The broker is short of memory, or no longer. */
  async alarm(isOn: boolean): Promise<void> {
    if (this.#target.alarm === undefined) throw new Error('this target has no alarm');
    await this.#target.alarm(isOn);
  }

  /** Something the script saw for itself. */
  note(text: string): void {
    this.#notes.push(text);
  }

  async run(play: Play): Promise<Transcript> {
    try {
      await play(this);
    } catch (error) {
      if (!(error instanceof NothingCame)) throw error;
      this.note(`the script ended early: ${error.message}`);
    }
    await Promise.all(this.#connections.map((connection) => connection.settle()));
    const lines = [...this.#notes.map(plainLine), ...this.#connections.flatMap((connection) => connection.transcript())];
    for (const connection of this.#connections) connection.client.destroy();
    return lines.map((line) => mapLine(line, (text) => normalized(text, this.#prefix)));
  }
}

/** One connection of a stage. */
export class Connection {
  readonly name: string;
  readonly client: AmqpClient;
  readonly #channels = new Map<number, Channel>();
  #isClosing = false;

  constructor(name: string, client: AmqpClient) {
    this.name = name;
    this.client = client;
  }

  came(number: number, item: AmqpItem): boolean {
    if (isMethod(item, 'connection.close')) this.#isClosing = true;
    return this.at(number).came(item);
  }

  /** A channel, whether it is open or not. */
  at(number: number): Channel {
    const channel = this.#channels.get(number) ?? new Channel(this, number);
    this.#channels.set(number, channel);
    return channel;
  }

  /** Opens a channel, by default with a number that was not used yet. A good answer is not written down. */
  async channel(number?: number): Promise<Channel> {
    const channel = this.at(number ?? Math.max(0, ...this.#channels.keys()) + 1);
    channel.lane.hidden.add('channel.open-ok');
    await channel.call('channel.open');
    channel.lane.hidden.clear();
    return channel;
  }

  /** Until the broker has ended the socket. */
  async ended(): Promise<void> {
    await this.client.until(() => this.client.hasEnded);
  }

  /** Sends connection.close, waits for what comes of it, and ends the socket: who closes is who may end it first. */
  async close(): Promise<void> {
    this.client.send(0, 'connection.close', { replyCode: 200, replyText: 'done' });
    await this.at(0).next();
    this.client.destroy();
    await this.ended();
  }

  /** Until all that the broker has to say is here. */
  async settle(): Promise<void> {
    const { client } = this;
    try {
      if (this.#isClosing && client.answersCloses) await this.ended();
      for (const channel of this.#channels.values()) if (channel.isOpen && !client.hasEnded) await channel.fence();
    } catch (error) {
      if (!(error instanceof NothingCame)) throw error;
      if (!client.hasEnded) this.at(0).lane.note('gives no answer any more');
    }
  }

  transcript(): Transcript {
    const channels = [...this.#channels.values()].sort((a, b) => a.number - b.number);
    const open = channels.filter((channel) => channel.isOpen).map((channel) => channel.number);
    const state = this.client.hasEnded ? 'is gone' : `is open with channels ${open.join(', ') || 'none'}`;
    return [
      ...channels.flatMap(({ number, lane }) => lane.lines().map((line) => mapLine(line, (text) => `${this.name}.${number} ${text}`))),
      plainLine(`${this.name} ${state}`),
    ];
  }
}

const COUNT_MS_MAX = 2_000;
// A channel that does not answer a fence within this never will.
const FENCE_MS_MAX = 5_000;

export class Channel {
  readonly connection: Connection;
  readonly number: number;
  readonly lane = new Lane();
  /** As the broker said last. */
  isOpen = false;
  #published = 0;
  #fences = 0;
  #fencesAnswered = 0;
  #lastContent: AmqpContent | undefined;

  constructor(connection: Connection, number: number) {
    this.connection = connection;
    this.number = number;
  }

  /** False: nobody waits for it. */
  came(item: AmqpItem): boolean {
    this.lane.add(item);
    if (item.kind === 'method') this.#lastContent = item.content ?? this.#lastContent;
    if (isMethod(item, 'channel.open-ok')) this.isOpen = true;
    if (isMethod(item, 'channel.close') || isMethod(item, 'channel.close-ok')) this.isOpen = false;
    if (isMethod(item, 'access.request-ok') && this.#fencesAnswered < this.#fences) {
      this.#fencesAnswered++;
      return false;
    }
    // Confirms are waited for as a whole (`confirmed`).
    return this.lane.unconfirmed === undefined || !(isMethod(item, 'basic.ack') || isMethod(item, 'basic.nack'));
  }

  send<Name extends MethodName>(name: Name, fields: Partial<MethodFields<Name>> = {}): void {
    this.connection.client.send(this.number, name, fields);
    if (name === 'confirm.select') this.lane.unconfirmed ??= new Set();
  }

  /** Sends, and takes the next item. */
  async call<Name extends MethodName>(name: Name, fields: Partial<MethodFields<Name>> = {}): Promise<AmqpItem> {
    this.send(name, fields);
    return this.next();
  }

  next(waitMs?: number): Promise<AmqpItem> {
    return this.connection.client.next(this.number, waitMs);
  }

  async take(count: number): Promise<AmqpItem[]> {
    const items: AmqpItem[] = [];
    while (items.length < count) items.push(await this.next());
    return items;
  }

  publish(options: PublishOptions): void {
    this.connection.client.publish(this.number, options);
    // Counting begins with confirm.select.
    this.lane.unconfirmed?.add(++this.#published);
  }

  /** Publishes each body to a queue by the default exchange. */
  put(queue: string, ...bodies: string[]): void {
    for (const body of bodies) this.publish({ routingKey: queue, body });
  }

  /** The content that came last. */
  lastContent(): AmqpContent | undefined {
    return this.#lastContent;
  }

  /** In confirm mode: until everything published is confirmed. */
  async confirmed(): Promise<void> {
    await this.connection.client.until(() => this.lane.unconfirmed?.size === 0 || !this.isOpen);
  }

  async declare(
    queue: string,
    args: Readonly<Record<string, FieldValue>> = {},
    fields: Partial<MethodFields<'queue.declare'>> = {},
  ): Promise<AmqpItem> {
    return this.call('queue.declare', { queue, arguments: table(args), ...fields });
  }

  async exchange(
    exchange: string,
    type: string,
    args: Readonly<Record<string, FieldValue>> = {},
    fields: Partial<MethodFields<'exchange.declare'>> = {},
  ): Promise<AmqpItem> {
    return this.call('exchange.declare', { exchange, type, arguments: table(args), ...fields });
  }

  async bind(queue: string, exchange: string, routingKey = '', args: Readonly<Record<string, FieldValue>> = {}): Promise<AmqpItem> {
    return this.call('queue.bind', { queue, exchange, routingKey, arguments: table(args) });
  }

  /**
   * Counts. With `ready` they are asked for again until that many messages are ready, or never will be: RabbitMQ counts what has arrived, and
   * what was published before may not have.
   */
  async counts(queue: string, ready?: number): Promise<AmqpItem> {
    const deadline = performance.now() + COUNT_MS_MAX;
    for (;;) {
      this.lane.hidden.add('queue.declare-ok');
      const item = await this.call('queue.declare', { queue, passive: true });
      this.lane.hidden.clear();
      if (!isMethod(item, 'queue.declare-ok')) return item;
      if (ready === undefined || item.method.fields.messageCount === ready || performance.now() > deadline) {
        this.lane.add(item);
        return item;
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  async get(queue: string, noAck = true): Promise<AmqpItem> {
    return this.call('basic.get', { queue, noAck });
  }

  async consume(queue: string, fields: Partial<MethodFields<'basic.consume'>> = {}): Promise<AmqpItem> {
    return this.call('basic.consume', { queue, consumerTag: 'c', ...fields });
  }

  /** Takes what is ready, and is told that it was all. */
  async drain(queue: string): Promise<AmqpItem[]> {
    const items: AmqpItem[] = [];
    for (;;) {
      const item = await this.get(queue);
      if (!isMethod(item, 'basic.get-ok')) return items;
      items.push(item);
    }
  }

  async close(): Promise<void> {
    this.lane.hidden.add('channel.close-ok');
    await this.call('channel.close', { replyCode: 200, replyText: 'done' });
    this.lane.hidden.clear();
  }

  /** Until the channel has handled all that was sent, and what it had to say is here. */
  async fence(): Promise<void> {
    if (!this.isOpen) return;
    this.#fences++;
    this.lane.hidden.add('access.request-ok');
    this.connection.client.send(this.number, 'access.request');
    const wanted = this.#fences;
    await this.connection.client.until(() => this.#fencesAnswered >= wanted || !this.isOpen, FENCE_MS_MAX);
  }
}
