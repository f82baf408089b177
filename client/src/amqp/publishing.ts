// The channel that publishes, in confirm mode: what was sent and is not confirmed, what was returned, and what a soft error leaves to be sent again. hot
//
//   publish: method frame · header frame · body frames          unconfirmed: the n-th since the channel opened has the delivery tag n
//
// Always: (1) a publish is in exactly one of `held` (not sent on this channel) and `sent`, or is confirmed; both keep the order of the calls; (2) every
// publish is mandatory, so that its ack means that some queue took it, and a return before the ack that none did; (3) a soft error closes the channel and
// names no publish, so what might draw one goes alone: the first to an exchange, the first in a user's name, the first of a size. Then it is known which it was,
// and nothing else was on its way. (4) Where more were on their way (an exchange was deleted meanwhile), it is those whose exchange the text names; where that
// tells nothing, they are sent again one by one. What was before the culprit may then be stored twice, as after a reconnect; (5) requests go on a channel of
// their own, with the reply consumer that AMQP wants there: when that closes they are all refused, for a request is not sent twice. Their order among other
// publishes is not kept.
// Refuses: to know time, signals and limits (publisher.ts, on the other side of the frames, has them).

import { ReplyCode } from '../../../shared/error.ts';
import { Fifo } from '../fifo.ts';
import { type Ask, ask, type ChannelUser, type Content } from './channel.ts';
import type { Connection } from './connection.ts';
import { type Inbound, NO_CHANNEL, type Refusal, UNCOUNTED } from './inbound.ts';
import type { Unconfirmed } from './publish-frames.ts';

const PROVEN_MAX = 1_000; // names may be made up without end
const SMALL_BYTES = 1_048_576; // no broker has a limit below
const NACKED: Refusal = { reason: 'REFUSED - the broker did not take the message (basic.nack)', retryable: true };
export const REPLY_QUEUE = 'amq.rabbitmq.reply-to';
const REPLY_CONSUMER = {
  ...{ queue: REPLY_QUEUE, consumerTag: '', noLocal: false, noAck: true, exclusive: false, nowait: false },
  arguments: new Map(),
};

/** Who asked for replies. */
export interface Replies {
  content(content: Content, part: Uint8Array): void;
  /** The channel is gone, and with it all replies that were to come. Without an error: it was never open. */
  closed(error: Refusal | undefined): void;
}

export class Publishing implements ChannelUser {
  /** Of the channel; 0 before there was one. */
  number = 0;
  readonly #connection: Connection;
  readonly #inbound: Inbound;
  /** Whose replies come by this channel; undefined: nobody's. */
  readonly #replies: Replies | undefined;
  /** What was confirmed: Unconfirmed.trial, and the largest body. */
  readonly #proven = new Set<string>();
  #provenBytes = SMALL_BYTES;
  #isReady = false;
  #isBlocked = false;
  /** The one that was sent last goes alone. */
  #isTrying = false;
  #held = new Fifo<Unconfirmed>();
  #sent = new Fifo<Unconfirmed>();
  /** The delivery tag of sent.at(0). */
  #firstTag = 1;
  /** Returns come in the order of the publishes: the tag from which on to look for the next. */
  #returnTag = 1;

  constructor(connection: Connection, inbound: Inbound, replies?: Replies) {
    this.#connection = connection;
    this.#inbound = inbound;
    this.#replies = replies;
  }

  open(done: (error?: Refusal) => void): void {
    // The number stands in every frame that may be sent again.
    const channel = this.#connection.channel(this, this.number);
    this.number = channel?.number ?? 0;
    const ready = (error?: Refusal): void => {
      this.#isReady = error === undefined;
      this.pump();
      done(error);
    };
    if (channel === undefined) done(NO_CHANNEL);
    channel?.ask(ask('confirm.select', { nowait: false }, this.#replies === undefined ? ready : () => undefined));
    if (this.#replies !== undefined) channel?.ask(ask('basic.consume', REPLY_CONSUMER, ready));
  }

  /** Goes out with the next `pump`. */
  add(publish: Unconfirmed): void {
    this.#held.push(publish);
  }

  /** The broker takes publishes, or takes none. */
  block(isBlocked: boolean): void {
    this.#isBlocked = isBlocked;
    this.pump();
  }

  /** Sends what may be sent: what lies side by side in one piece. */
  pump(): void {
    let first: Unconfirmed | undefined;
    let end = 0;
    const send = (): void => {
      if (first) this.#connection.outbox.sendNow(first.bytes.subarray(first.start, end));
    };
    while (this.#isReady && !this.#isBlocked) {
      const publish = this.#held.at(0);
      if (publish === undefined) break;
      const isTrial = this.#isTrial(publish);
      if (this.#sent.length > 0 && (isTrial || this.#isTrying)) break;
      this.#isTrying = isTrial;
      this.#held.shift();
      if (publish.bytes !== first?.bytes || publish.start !== end) {
        send();
        first = publish;
      }
      end = publish.end;
      this.#sent.push(publish);
    }
    send();
  }

  /** Nothing like it was confirmed on this connection yet: the exchange, who says he sends it, or its size. */
  #isTrial({ isSuspect, trial, bodyBytes }: Unconfirmed): boolean {
    return isSuspect || bodyBytes > this.#provenBytes || !this.#proven.has(trial);
  }
  #prove({ trial, bodyBytes }: Unconfirmed): void {
    this.#provenBytes = Math.max(this.#provenBytes, bodyBytes);
    if (this.#proven.has(trial)) return;
    if (this.#proven.size >= PROVEN_MAX) this.#proven.clear();
    this.#proven.add(trial);
  }

  /** The held ones that are not refused. */
  #without(isRefused: (publish: Unconfirmed) => boolean, error: Refusal): Fifo<Unconfirmed> {
    const rest = new Fifo<Unconfirmed>();
    for (const publish of this.#held) {
      if (isRefused(publish)) this.#inbound.refused(publish.seq, error);
      else rest.push(publish);
    }
    return rest;
  }

  confirmed(tag: number, isMultiple: boolean, isStored: boolean): void {
    const sent = this.#sent;
    // 0 with multiple: all.
    const last = isMultiple && tag === 0 ? sent.length - 1 : tag - this.#firstTag;
    if (last >= sent.length || (last < 0 && !isMultiple)) throw new Error('a confirm of what was not published');
    for (let n = isMultiple ? 0 : last; n <= last; n++) {
      const publish = sent.at(n);
      if (publish === undefined || publish.isDone) continue;
      publish.isDone = true;
      this.#prove(publish);
      if (isStored && publish.refusal === undefined) this.#inbound.confirm(publish.seq, publish.isReturned ? 0 : UNCOUNTED);
      else this.#inbound.refused(publish.seq, publish.refusal ?? NACKED);
    }
    while (sent.at(0)?.isDone) {
      sent.shift();
      this.#firstTag++;
    }
    if (this.#held.length > 0) this.pump();
  }

  content(content: Content, part: Uint8Array): void {
    if (content.kind !== 'return') this.#replies?.content(content, part);
    else if (content.at === 0) this.#returned(content);
  }

  /** 312: no queue. 311, from Leveret: a queue that is full, whose nack follows. */
  #returned(content: Content): void {
    const { number: code, replyText } = content;
    // What is alike up to the body goes the same way. A broker may have put something into the header, such as where to reply.
    const n =
      this.#find((publish) => publish.hasNames(content) && publish.hasHeader(content)) ??
      this.#find((publish) => publish.hasNames(content));
    const publish = n === undefined ? undefined : this.#sent.at(n);
    if (n === undefined || publish === undefined) return;
    this.#returnTag = this.#firstTag + n + 1;
    if (code === ReplyCode.ContentTooLarge) publish.refusal = overflow(replyText);
    else publish.isReturned = true;
  }

  #find(isIt: (publish: Unconfirmed) => boolean): number | undefined {
    for (let n = Math.max(0, this.#returnTag - this.#firstTag); n < this.#sent.length; n++) {
      const publish = this.#sent.at(n);
      if (publish !== undefined && !publish.isDone && isIt(publish)) return n;
    }
    return undefined;
  }

  closed(error: Refusal, unanswered: readonly Ask[]): void {
    this.#isReady = false;
    const waiting = [...this.#sent].filter(({ isDone }) => !isDone);
    this.#sent = new Fifo();
    this.#firstTag = this.#returnTag = 1;
    const behind = this.#held;
    this.#held = new Fifo();
    for (const publish of [...waiting, ...behind]) this.#held.push(publish);
    for (const { done } of unanswered) done(error);
    if (this.#replies !== undefined) {
      this.#held = this.#without(() => true, error);
      this.#replies.closed(unanswered.length > 0 ? undefined : error);
    } else if (unanswered.length === 0) this.#again(error, waiting);
  }

  #again(error: Refusal, waiting: readonly Unconfirmed[]): void {
    const culprits = new Set(culpritsOf(error, waiting));
    if (culprits.size === 0) for (const publish of waiting) publish.isSuspect = true;
    // Of an exchange that is not there, those that were not sent need not be.
    const missing = new Set(error.code === ReplyCode.NotFound ? [...culprits].map(({ exchange }) => exchange) : []);
    this.#proven.clear();
    this.#held = this.#without((publish) => culprits.has(publish) || missing.has(publish.exchange), error);
    const failed = (failure: Refusal | undefined): void => {
      if (failure) this.#connection.fail(failure);
    };
    // What is confirmed cannot have closed it, and there is nothing else on this channel.
    if (waiting.length === 0) failed(error);
    else this.open(failed);
  }
}

/** Which of the publishes closed their channel; none: the text does not tell. */
function culpritsOf({ code, reason }: Refusal, waiting: readonly Unconfirmed[]): readonly Unconfirmed[] {
  if (waiting.length === 1) return waiting;
  if (code !== ReplyCode.NotFound && code !== ReplyCode.AccessRefused) return [];
  // All that is named goes at once: each of them would close the channel again.
  const isTopic = reason.includes("topic '");
  return waiting.filter(({ exchange, key }) => reason.includes(`'${exchange}'`) && (!isTopic || reason.includes(`'${key}'`)));
}

/** As the Leveret protocol tells it; a full queue has room again when its consumers have caught up. */
function overflow(text: string): Refusal {
  const reason = text.startsWith('CONTENT_TOO_LARGE') ? text : `CONTENT_TOO_LARGE - ${text}`;
  const [, queue] = /queue='(.*)'/.exec(text) ?? [];
  return { code: ReplyCode.ContentTooLarge, reason, retryable: true, ...(queue === undefined ? {} : { queue }) };
}
