// One AMQP channel: a session of the broker with a number, from channel.open to its close. hot
//
//   Open ──► Closing ──► Closed        Closing: we have closed it for what its client did; until close-ok all else on it is dropped
//     └────────────────────► Closed    its client has closed it, or the connection ended
//
// Always: (1) replies leave in the order of the requests: what changed topology is answered when it is durable, and a request that could overtake
// such an answer waits (`mustWait`); (2) a channel that fails gives everything back at once, and says so after the replies that are due;
// (3) a delivery never precedes its consume-ok. Refuses: to parse frames (connection.ts) and to know methods (handlers/).

import { type MethodFields, methodFrame } from '../../shared/amqp/methods.ts';
import type { MethodName } from '../../shared/amqp/spec.ts';
import { encodeTable, TABLE_BYTES_MAX, Typed } from '../../shared/amqp/table.ts';
import { invariant } from '../../shared/assert.ts';
import { Content, ContentParts } from '../../shared/content.ts';
import { type AmqpError, ReplyCode } from '../../shared/error.ts';
import { shortStringBytes, writeShortString } from '../../shared/text.ts';
import type { Broker } from '../broker/broker.ts';
import type { Consumer } from '../broker/consumer.ts';
import type { Identity, Remote } from '../broker/login.ts';
import { Discipline, type Publisher } from '../broker/publisher.ts';
import type { Session } from '../broker/session.ts';
import type { SessionSink } from '../broker/session-sink.ts';
import type { Assembly } from './assembly.ts';
import { isHard, replyText } from './errors.ts';
import { Hold } from './held-input.ts';
import type { Outbox } from './outbox.ts';

/** What a channel asks of its connection. */
export interface ChannelHost {
  readonly broker: Broker;
  readonly outbox: Outbox;
  readonly identity: Identity;
  readonly remote: Remote;
  /** The client announced consumer_cancel_notify. */
  readonly isCancelNotified: boolean;
  readonly messageBytesMax: number;
  /** The server shuts down: nothing more is delivered. */
  readonly isDraining: boolean;
  /** What the unfinished bodies of all channels hold. */
  assemblingBytes: number;
  /** And their names and headers. */
  assemblingHeaderBytes: number;
  /** Nothing more is carried out until `release` with the same reason. */
  hold(why: Hold): void;
  release(why: Hold): void;
  /** The channel takes no more part: its number may be opened again. */
  ended(channel: Channel): void;
  /** Ends the connection. `key` is the class and method that is to blame, 0 for none. */
  fail(error: unknown, key: number): void;
}

const Phase = { Open: 0, Closing: 1, Closed: 2 } as const;
type Phase = (typeof Phase)[keyof typeof Phase];
const edges: { readonly [From in Phase]: readonly Phase[] } = {
  [Phase.Open]: [Phase.Closing, Phase.Closed],
  [Phase.Closing]: [Phase.Closed],
  [Phase.Closed]: [],
};

const NO_ROUTE = shortString('NO_ROUTE');
// So many declarations may wait for the disk together.
const WAITING_REPLIES_MAX = 1_000;
const DELIVERY_COUNT = 'x-delivery-count';
const DELIVERY_COUNT_BYTES = 64; // what it adds to a header table, at most

export class Channel implements SessionSink {
  readonly number: number;
  readonly host: ChannelHost;
  readonly session: Session;
  /** The publish whose content is still coming in. */
  assembly: Assembly | undefined;
  /** Of consumers that are started from now on. */
  prefetch = 0;
  publisher: Publisher;
  /** Its client stopped the flow: it gets no deliveries. */
  isPaused = false;
  /** What a commit sets free comes after its answer. */
  isCommitting = false;
  /** By consumer tag. */
  readonly consumers = new Map<string, Consumer>();
  #phase: Phase = Phase.Open;
  /** By handle: the consumer tag as a short string. */
  readonly #tags = new Map<number, Uint8Array>();
  #nextHandle = 1;
  /** Replies that wait until a change of topology is durable. */
  #waitingReplies = 0;
  /** A get or a commit is under way. */
  #isBusy = false;
  readonly #parts = new ContentParts();
  readonly #content = new Content();

  constructor(number: number, host: ChannelHost) {
    this.number = number;
    this.host = host;
    this.session = host.broker.openSession(this, host.identity, host);
    this.publisher = this.session.openPublisher(0, false, Discipline.Stream);
  }

  get isOpen(): boolean {
    return this.#phase === Phase.Open;
  }

  // Replies.

  /** Answers a request that changed nothing, or asked for no answer. */
  reply<Name extends MethodName>(name: Name, fields: MethodFields<Name>): void {
    this.host.outbox.frame(methodFrame(this.number, name, fields));
    this.host.broker.touchSession(this.session);
  }

  /** Answers a request about topology, once what it changed is durable; with nowait nobody waits. */
  confirmed<Name extends MethodName>(nowait: boolean, name: Name, fields: MethodFields<Name>): void {
    if (nowait) return;
    this.#afterTopology(() => {
      if (this.#phase !== Phase.Closed) this.reply(name, fields);
    });
  }

  /** Whether this request must not be carried out yet. */
  mustWait(isTopology: boolean): boolean {
    return this.#isBusy || (this.#waitingReplies > 0 && !isTopology) || this.#waitingReplies >= WAITING_REPLIES_MAX;
  }

  /** A request whose answer may come later: nothing else that is answered is begun before. */
  begin(): void {
    this.#isBusy = true;
  }
  done(): void {
    this.#isBusy = false;
    this.host.release(Hold.Reply);
  }

  #afterTopology(then: () => void): void {
    this.#waitingReplies++;
    this.session.whenDurable(() => {
      this.#waitingReplies--;
      then();
      if (this.#waitingReplies === 0) this.host.release(Hold.Reply);
    });
  }

  // Publishing.

  /** From now on publishes are confirmed, from 1. */
  selectConfirms(): void {
    if (this.publisher.confirm) return;
    const publisher = this.session.openPublisher(0, true, Discipline.Stream); // refuses where a transaction is selected
    this.session.closePublisher(this.publisher);
    this.publisher = publisher;
  }

  /** One whole content run: bytes[start, end). */
  publish(bytes: Uint8Array, start: number, end: number, mandatory: boolean): void {
    this.session.publish(this.publisher, bytes, start, end, mandatory);
    if (this.host.broker.isBlocked) this.host.hold(Hold.Alarm);
    if (this.publisher.heldBytes > this.host.broker.limits.publisherWindowBytes) this.host.hold(Hold.Full);
  }

  confirm(_publisher: Publisher, firstSeq: number, count: number): void {
    this.host.outbox.ack(this.number, firstSeq + count - 1, count);
  }
  refuse(_publisher: Publisher, seq: number): void {
    this.host.outbox.nack(this.number, seq);
  }
  returned(_publisher: Publisher, _seq: number, code: number, text: string, bytes: Uint8Array, start: number, end: number): void {
    const reply = code === ReplyCode.NoRoute ? NO_ROUTE : shortString(text);
    this.host.outbox.returned(this.number, code, reply, this.#parts.read(bytes, start, end));
  }
  /** AMQP 0-9-1 has no credit: the connection goes on reading. */
  credit(publisher: Publisher): void {
    if (publisher.heldBytes <= this.host.broker.limits.publisherWindowBytes / 2) this.host.release(Hold.Full);
  }
  failed(): void {
    // a queue refused a publish that is not confirmed: it is dropped without a word, as in RabbitMQ
  }
  blocked(): void {
    // the connection tells of it when it holds a publisher back, and of its end whatever became of the channel
  }

  // Consuming.

  /** A number for a consumer that is about to be made, and its tag for deliveries. */
  newHandle(): number {
    return this.#nextHandle++;
  }
  added(consumer: Consumer): void {
    this.consumers.set(consumer.tag, consumer);
    this.#tags.set(consumer.handle, shortString(consumer.tag));
  }
  removed(consumer: Consumer): void {
    this.consumers.delete(consumer.tag);
    this.#tags.delete(consumer.handle);
  }

  deliver(
    consumer: Consumer,
    tag: number,
    redelivered: boolean,
    deliveryCount: number,
    _queueNumber: number,
    _seq: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void {
    const consumerTag = this.#tags.get(consumer.handle);
    invariant(consumerTag !== undefined, 'a consumer that gets a delivery has a tag');
    const parts = deliveryCount > 0 ? this.#counted(deliveryCount, bytes, start, end) : this.#parts.read(bytes, start, end);
    this.host.outbox.deliver(this.number, consumerTag, tag, redelivered, parts);
  }

  got(tag: number, redelivered: boolean, deliveryCount: number, messageCount: number, bytes: Uint8Array, start: number, end: number): void {
    const parts = deliveryCount > 0 ? this.#counted(deliveryCount, bytes, start, end) : this.#parts.read(bytes, start, end);
    this.host.outbox.getOk(this.number, tag, redelivered, messageCount, parts);
    this.host.broker.touchSession(this.session);
  }

  cancelled(consumer: Consumer): void {
    this.removed(consumer);
    if (this.host.isCancelNotified) this.reply('basic.cancel', { consumerTag: consumer.tag, nowait: true });
  }
  active(): void {
    // nothing in AMQP 0-9-1 says so
  }

  writable(): boolean {
    return !this.isPaused && !this.isCommitting && !this.host.isDraining && this.host.outbox.isWritable;
  }
  takesReplies(): boolean {
    return this.host.outbox.isWritable;
  }
  flush(): void {
    this.host.outbox.flush();
  }

  /** How often the message came back, where its consumer looks for it (semantics D7). */
  #counted(deliveryCount: number, bytes: Uint8Array, start: number, end: number): ContentParts {
    const content = this.#content.read(bytes, start, end);
    if (content.headersEnd - content.headersStart + DELIVERY_COUNT_BYTES > TABLE_BYTES_MAX) return this.#parts.read(bytes, start, end);
    const headers = new Map(content.headers).set(DELIVERY_COUNT, new Typed('l', deliveryCount));
    const run = content.withHeaders(encodeTable(headers));
    return this.#parts.read(run, 0, run.length);
  }

  // Ends.

  /** The broker ends the session: what its client did wrong closes the channel, anything else the connection. */
  close(error: AmqpError): void {
    if (isHard(error.code)) this.host.fail(error, 0);
    else this.fail(error, 0);
  }

  /** Closes the channel for what its client did; `key` is the class and method that did it. */
  fail(error: AmqpError, key: number): void {
    if (this.#phase !== Phase.Open) return;
    this.#transition(Phase.Closing);
    this.#release();
    const { code } = error;
    this.#afterTopology(() => {
      if (this.#phase !== Phase.Closing) return;
      const fields = { replyCode: code, replyText: replyText(error), failedClassId: key >>> 16, failedMethodId: key & 0xffff };
      this.host.outbox.frame(methodFrame(this.number, 'channel.close', fields));
      this.host.outbox.flush();
    });
  }

  /** Its client closes it. */
  closeAsked(): void {
    this.end();
    this.host.outbox.frame(methodFrame(this.number, 'channel.close-ok', {}));
    this.host.outbox.flush();
  }

  /** It is done with, or the connection is. */
  end(): void {
    if (this.#phase === Phase.Closed) return;
    const wasOpen = this.#phase === Phase.Open;
    this.#transition(Phase.Closed);
    if (wasOpen) this.#release();
    this.host.ended(this);
  }

  /** The body is whole, or nobody waits for the rest. */
  dropAssembly(): void {
    const { length = 0, bodyBytesHere = 0 } = this.assembly ?? {};
    this.host.assemblingBytes -= bodyBytesHere;
    this.host.assemblingHeaderBytes -= length - bodyBytesHere;
    this.assembly = undefined;
  }

  #release(): void {
    this.dropAssembly();
    this.session.close();
    this.host.release(Hold.Full); // nobody waits for what queues hold of its publishes
    this.consumers.clear();
    this.#tags.clear();
    this.#isBusy = false;
  }

  #transition(to: Phase): void {
    invariant(edges[this.#phase].includes(to), `a channel does not go from phase ${this.#phase} to ${to}`);
    this.#phase = to;
  }
}

function shortString(text: string): Uint8Array {
  const bytes = new Uint8Array(shortStringBytes(text));
  writeShortString(bytes, 0, text);
  return bytes;
}
