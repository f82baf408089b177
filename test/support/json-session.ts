// The smallest client of leveret.v1 in its JSON form: what a person with a WebSocket console could type (docs/protocol.md).
// Always: (1) requests leave in call order; (2) an answer settles its own request; (3) events are kept in order of arrival until a test reads
// them; (4) an answer nobody asked for, or a second one, fails the session. It shares types with the broker, never code.
// Refuses: binary frames, reconnecting, and hiding an error: a refused operation throws OperationError.

import type {
  Answer,
  DeliveryJson,
  ErrorJson,
  EventMessage,
  JsonObject,
  OperationName,
  PropertiesJson,
  Request,
} from '../../shared/protocol/control.ts';

/** A WebSocket as this driver needs it: text in order, and one end. */
export interface TextSocket {
  send(text: string): void;
  close(): void;
  /** As a torn cable would. */
  terminate(): void;
  /** Called once, before anything arrives. */
  listen(text: (text: string) => void, closed: (code: number, reason: string) => void): void;
}

export class OperationError extends Error {
  readonly code: number;
  readonly reason: string;
  readonly path: string | undefined;
  readonly hint: string | undefined;

  constructor(op: string, error: ErrorJson) {
    super(`${op}: ${error.code} ${error.reason}`);
    this.name = 'OperationError';
    this.code = error.code;
    this.reason = error.reason;
    this.path = error.path;
    this.hint = error.hint;
  }
}

interface Waiting {
  readonly op: string;
  readonly resolve: (ok: JsonObject) => void;
  readonly reject: (error: Error) => void;
}

export type Delivery = DeliveryJson & { handle: number };
export type Returned = Extract<EventMessage, { event: 'return' }>;

/** What one consumer or tap got. */
export class Inbox {
  readonly handle: number;
  consumerTag = '';
  readonly deliveries: Delivery[] = [];
  readonly cancelled: string[] = [];
  readonly active: boolean[] = [];

  constructor(handle: number) {
    this.handle = handle;
  }
  get bodies(): string[] {
    return this.deliveries.map((delivery) => delivery.body ?? '');
  }
  get tags(): number[] {
    return this.deliveries.map((delivery) => delivery.tag);
  }
  /** The n-th delivery, from 0; fails the test when there is none. */
  at(n: number): Delivery {
    const delivery = this.deliveries[n];
    if (delivery === undefined) throw new Error(`consumer ${this.handle} got ${this.deliveries.length} deliveries, not ${n + 1}`);
    return delivery;
  }
  /** Forgets what came so far. */
  clear(): void {
    this.deliveries.length = 0;
  }
}

export class JsonSession {
  readonly #socket: TextSocket;
  readonly #waiting = new Map<number, Waiting>();
  readonly #inboxes = new Map<number, Inbox>();
  readonly #closed: Promise<{ code: number; reason: string }>;
  readonly #rest: (() => Promise<void>) | undefined;
  #nextId = 1;
  #nextHandle = 1;
  #isOpen = true;
  /** Every event that no inbox took: return, blocked, error ... */
  readonly events: EventMessage[] = [];
  /** Answers that fit no request. Empty in every correct run; the broker helper looks. */
  readonly faults: string[] = [];

  /** `rest`, where there is one, resolves when the broker has nothing left to do: a request unanswered then never will be. */
  constructor(socket: TextSocket, rest?: () => Promise<void>) {
    this.#socket = socket;
    this.#rest = rest;
    this.#closed = new Promise((resolve) => {
      socket.listen(
        (text) => this.#onText(text),
        (code, reason) => {
          this.#isOpen = false;
          for (const { op, reject } of this.#waiting.values()) reject(new Error(`closed (${code} ${reason}) before ${op} was answered`));
          this.#waiting.clear();
          resolve({ code, reason });
        },
      );
    });
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }
  get closed(): Promise<{ code: number; reason: string }> {
    return this.#closed;
  }

  do<Name extends OperationName>(op: Name, fields: Request<Name>): Promise<Answer<Name>> {
    return this.raw(op, fields) as Promise<Answer<Name>>;
  }

  /** Any operation with any fields: for requests that the types forbid. */
  raw(op: string, fields: object): Promise<unknown> {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { op, resolve, reject });
      this.#socket.send(JSON.stringify({ id, op, ...fields }));
      this.#rest?.().then(() => this.#giveUp(id), reject);
    });
  }

  #giveUp(id: number): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    waiting?.reject(new Error(`the broker came to rest and had not answered ${waiting.op} (request ${id})`));
  }

  /** The id that the next request will bear. */
  get nextId(): number {
    return this.#nextId;
  }

  /** The operation must fail; its error. */
  async fails(op: OperationName, fields: object): Promise<OperationError> {
    try {
      await this.raw(op, fields);
    } catch (error) {
      if (error instanceof OperationError) return error;
      throw error;
    }
    throw new Error(`${op} ${JSON.stringify(fields)} was expected to fail, and did not`);
  }

  hello(fields: Partial<Request<'hello'>> = {}): Promise<Answer<'hello'>> {
    return this.do('hello', { version: 1, user: 'guest', password: 'guest', ...fields });
  }

  async declare(queue: string, args: JsonObject = {}, more: Partial<Request<'queue.declare'>> = {}): Promise<string> {
    return (await this.do('queue.declare', { queue, arguments: args, ...more })).queue;
  }
  async exchange(exchange: string, type: string, more: Partial<Request<'exchange.declare'>> = {}): Promise<void> {
    await this.do('exchange.declare', { exchange, type, ...more });
  }
  async bind(queue: string, exchange: string, key = '', args: JsonObject = {}): Promise<void> {
    await this.do('queue.bind', { queue, exchange, key, arguments: args });
  }

  /** How many queues took it. */
  async publish(exchange: string, key: string, body = '', properties: PropertiesJson = {}, mandatory = false): Promise<number> {
    const { routed } = await this.do('publish', { exchange, key, body, properties, mandatory });
    await this.#rest?.();
    return routed;
  }
  /** Publishes each body straight to the queue, through the default exchange. */
  async send(queue: string, ...bodies: string[]): Promise<void> {
    await Promise.all(bodies.map((body) => this.publish('', queue, body)));
  }

  async get(queue: string, noAck = false): Promise<DeliveryJson | undefined> {
    return (await this.do('get', { queue, noAck })).message ?? undefined;
  }
  /** As `get`, where there must be a message. */
  async take(queue: string): Promise<DeliveryJson> {
    const message = await this.get(queue);
    if (message === undefined) throw new Error(`queue '${queue}' has nothing to get`);
    return message;
  }
  /** Gets and acks until the queue is empty. */
  async drain(queue: string): Promise<DeliveryJson[]> {
    const messages: DeliveryJson[] = [];
    for (;;) {
      const message = await this.get(queue, true);
      if (message === undefined) return messages;
      messages.push(message);
    }
  }
  async drainBodies(queue: string): Promise<string[]> {
    return (await this.drain(queue)).map((message) => message.body ?? '');
  }

  async consume(queue: string, more: Partial<Request<'consume'>> = {}): Promise<Inbox> {
    const handle = more.handle ?? this.#nextHandle++;
    const inbox = new Inbox(handle);
    this.#inboxes.set(handle, inbox);
    const ok = await this.do('consume', { encoding: 'json', ...more, handle, queue });
    inbox.consumerTag = ok.consumerTag;
    return inbox;
  }
  async tap(exchange: string, key: string, more: Partial<Request<'tap.open'>> = {}): Promise<Inbox> {
    const inbox = new Inbox(this.#nextHandle++);
    this.#inboxes.set(inbox.handle, inbox);
    await this.do('tap.open', { encoding: 'json', ...more, handle: inbox.handle, exchange, key });
    return inbox;
  }
  async cancel(inbox: Inbox): Promise<void> {
    await this.do('consumer.cancel', { handle: inbox.handle });
  }

  // Dead letters and dispatch come at the end of a turn, so these wait until the broker rests, where they can.

  async ack(tag: number, multiple = false): Promise<void> {
    await this.do('ack', { tag, multiple });
    await this.#rest?.();
  }
  async nack(tag: number, more: { multiple?: boolean; requeue?: boolean } = {}): Promise<void> {
    await this.do('nack', { tag, ...more });
    await this.#rest?.();
  }
  async reject(tag: number, requeue: boolean): Promise<void> {
    await this.do('reject', { tag, requeue });
    await this.#rest?.();
  }

  inspect(queue: string): Promise<Answer<'queue.inspect'>> {
    return this.do('queue.inspect', { queue });
  }
  async ready(queue: string): Promise<number> {
    return (await this.inspect(queue)).ready;
  }

  get returns(): Returned[] {
    return this.events.filter((event) => event.event === 'return');
  }

  /** Resolves when the broker knows that this session is gone. */
  async close(): Promise<void> {
    if (this.#isOpen) this.#socket.close();
    await this.#closed;
    await this.#rest?.();
  }
  async terminate(): Promise<void> {
    if (this.#isOpen) this.#socket.terminate();
    await this.#closed;
    await this.#rest?.();
  }

  #onText(text: string): void {
    const message: unknown = JSON.parse(text);
    if (typeof message !== 'object' || message === null) {
      this.faults.push(text);
    } else if ('event' in message) {
      this.#onEvent(message as EventMessage);
    } else {
      this.#onAnswer(message as { id: number | null; ok?: JsonObject; error?: ErrorJson }, text);
    }
  }

  #onAnswer(message: { id: number | null; ok?: JsonObject; error?: ErrorJson }, text: string): void {
    const waiting = message.id === null ? undefined : this.#waiting.get(message.id);
    if (waiting === undefined || message.id === null) {
      this.faults.push(text);
      return;
    }
    this.#waiting.delete(message.id);
    if (message.error !== undefined) waiting.reject(new OperationError(waiting.op, message.error));
    else waiting.resolve(message.ok ?? {});
  }

  #onEvent(event: EventMessage): void {
    const inbox = 'handle' in event ? this.#inboxes.get(event.handle) : undefined;
    if (inbox === undefined) this.events.push(event);
    else if (event.event === 'deliver') inbox.deliveries.push(event);
    else if (event.event === 'cancelled') inbox.cancelled.push(event.reason);
    else if (event.event === 'active') inbox.active.push(event.active);
    else this.events.push(event);
  }
}
