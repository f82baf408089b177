// From a publisher's bytes to queues: check, route, admit, store, enqueue. hot
// Always: (1) a publish is stored once, for all the queues that take it, in one record, before any of them has it; (2) it ends in exactly one of
// stored and refused, in the publisher's sequence; (3) a queue that refuses makes the publish refused although others keep it (RabbitMQ does so);
// (4) the previous route is used again only while the topology and the exchange, key and extra keys are the same.
// Refuses: to throw for what one publish did wrong (that is its confirm); only content that does not parse throws.

import { Content, encodeContent } from '../../shared/content.ts';
import { AmqpError, ReplyCode } from '../../shared/error.ts';
import { Append, MessageFlag, REFUSED, Stored } from '../ports.ts';
import { hasTag } from './authorise.ts';
import type { Broker } from './broker.ts';
import { Clearance } from './clearance.ts';
import { enter } from './dead-letter.ts';
import type { Exchange } from './exchange.ts';
import { refusedByLength } from './held-publishes.ts';
import { checkHeaders } from './limit-checks.ts';
import { Discipline, type Publisher } from './publisher.ts';
import type { Queue } from './queue.ts';
import { isReplyName, REPLY_TO } from './reply-to.ts';
import { CachedRoute } from './route-cache.ts';
import { hasExtraKeys, type Route } from './router.ts';
import type { Session } from './session.ts';

const EXPIRATION_MS_MAX = 315_360_000_000; // 10 years, as RabbitMQ
const PERSISTENT = 2; // delivery-mode

/** What a queue that takes a message does with it. */
const Fate = {
  Enter: 0,
  /** Dead-letter it at once (reject-publish-dlx). */
  Die: 1,
  /** Hold it until there is room (block). */
  Wait: 2,
} as const;
type Fate = (typeof Fate)[keyof typeof Fate];

export class Intake {
  readonly #broker: Broker;
  readonly #session: Session;
  readonly #content = new Content();
  /** For a publish whose headers decide. */
  readonly #ownRoute = new CachedRoute();
  readonly #clearance: Clearance;
  readonly #append = new Append();
  readonly #stored = new Stored();
  /** The queues of `#append`, and what each does with the message. */
  readonly #takers: Queue[] = [];
  readonly #fates: Fate[] = [];
  #someWait = false;
  #previous: CachedRoute | undefined;
  #previousGeneration = 0;
  /** What allowed it, where that was a yes to its very exchange and key. */
  #previousYes: object | undefined;
  /** Of the content that was checked last. */
  #expirationMs = Number.POSITIVE_INFINITY;

  constructor(broker: Broker, session: Session) {
    this.#broker = broker;
    this.#session = session;
    this.#clearance = new Clearance(session);
  }

  /** Takes bytes[start, end), one whole content run. Throws 502 when it does not parse, 506 when credit is overdrawn. */
  publish(publisher: Publisher, bytes: Uint8Array, start: number, end: number, mandatory: boolean): void {
    publisher.spend(end - start + 1); // and the flags octet of its frame
    const content = this.parse(bytes, start, end);
    try {
      this.#take(publisher, content, mandatory);
    } catch (error) {
      if (!(error instanceof AmqpError)) throw error;
      publisher.refused(error);
    }
  }

  /** The content, until the next call. Throws 502. */
  parse(bytes: Uint8Array, start: number, end: number): Content {
    const content = this.#content.read(bytes, start, end);
    if (!content.isComplete) throw new AmqpError(ReplyCode.SyntaxError, 'malformed content: body shorter than its header says');
    return content;
  }

  #take(publisher: Publisher, sent: Content, mandatory: boolean): void {
    const broker = this.#broker;
    let content = sent;
    if (content.bodyBytes > broker.limits.messageBytes) throw oversize(content.bodyBytes, broker.limits.messageBytes);
    let route = this.#sameRoute(content);
    if (route === undefined) {
      const key = content.key;
      this.#clearance.check(content);
      if (content.keyStart === content.start + 1 && isReplyName(key)) {
        this.#session.reply(key, content.flags === 0 ? content : this.checked(content));
        publisher.stored(1, 0);
        return;
      }
      route = this.findRoute(content, key);
    }
    this.#expirationMs = Number.POSITIVE_INFINITY;
    if (content.flags !== 0) content = this.checked(content);
    const { queues, routedCount } = route;
    this.count(route.source, routedCount, publisher.confirm);
    if (this.#session.vhost.isTraced) broker.firehose.published(this.#session, content, queues);
    if (routedCount === 0) {
      broker.unroutableCount++;
      if (mandatory) {
        broker.totals.returned++;
        this.#session.sink.returned(publisher, publisher.nextSeq, ReplyCode.NoRoute, 'NO_ROUTE', content.bytes, content.start, content.end);
      }
      if (queues.length === 0) {
        publisher.stored(0, 0);
        return;
      }
    }
    if (broker.isBlocked && publisher.discipline === Discipline.Request)
      throw new AmqpError(ReplyCode.ResourceError, `publishers are blocked: ${broker.alarms.reason}`, {
        hint: 'wait for the unblocked event and publish again',
      });
    this.#store(publisher, content, queues, routedCount);
  }

  /** A publish to `source` is taken in. */
  count(source: Exchange | undefined, routed: number, isConfirmed: boolean): void {
    const { totals } = this.#broker;
    this.#broker.publishedCount++;
    totals.routed += routed;
    if (isConfirmed) totals.receivedConfirm++;
    if (source === undefined) return;
    source.publishedCount++;
    source.routedCount += routed;
  }

  /** Throws 403 where this session may not publish that. */
  authorise(content: Content): void {
    this.#clearance.check(content);
  }

  /** Finds the route of `content`, which was authorised: the previous one, one that was found before, or by asking the router. */
  findRoute(content: Content, key: string): Route {
    const { vhost } = this.#session;
    const hasExtras = content.headersStart !== 0 && hasExtraKeys(content);
    const slot = hasExtras ? this.#ownRoute : vhost.routes.slotFor(content);
    if (!hasExtras && slot.isFor(content, vhost.version)) {
      this.#remember(slot);
      return slot;
    }
    slot.forget();
    this.#broker.router.route(vhost, vhost.exchangeToPublish(content.exchange), key, content, slot);
    if (slot.cacheable) {
      slot.keep(content);
      this.#remember(slot);
    }
    return slot;
  }

  #remember(slot: CachedRoute): void {
    this.#previous = slot;
    this.#previousGeneration = slot.generation;
    this.#previousYes = this.#clearance.yes;
  }

  /** The previous publish's route, when it is this one's too. */
  #sameRoute(content: Content): Route | undefined {
    const previous = this.#previous;
    if (previous === undefined || !this.#clearance.covers(content)) return undefined;
    const { version } = this.#session.vhost;
    // A yes to an exchange and a key has just been compared with them: if it is the previous route's, its names need not be compared again.
    const isSame =
      this.#previousYes !== undefined && this.#previousYes === this.#clearance.yes
        ? previous.generation === this.#previousGeneration && previous.version === version
        : previous.isFor(content, version);
    if (!isSame) return undefined;
    return content.headersStart === 0 || !hasExtraKeys(content) ? previous : undefined;
  }

  /** Throws what a publish of this content would be refused for, whatever its queues say. */
  check(content: Content): void {
    const { messageBytes } = this.#broker.limits;
    this.#clearance.check(content);
    if (content.bodyBytes > messageBytes) throw oversize(content.bodyBytes, messageBytes);
    if (content.keyStart !== content.start + 1) this.#session.vhost.exchangeToPublish(content.exchange);
    if (content.flags !== 0) this.checked(content);
  }

  /** Checks the properties that mean something to the broker, and rewrites those that it owns. */
  checked(content: Content): Content {
    const { userId, replyTo } = content;
    const { account } = this.#session.identity;
    if (userId !== undefined && userId !== account.name && !hasTag(account, 'impersonator'))
      throw new AmqpError(
        ReplyCode.PreconditionFailed,
        `user_id property set to '${userId}' but authenticated user was '${account.name}'`,
        {
          path: '/properties/userId',
        },
      );
    const headers = content.headersStart === 0 || !hasExtraKeys(content) ? undefined : content.headers;
    checkHeaders(content, this.#broker.limits);
    this.#expirationMs = readExpiration(content.expiration);
    const isRequest = replyTo === REPLY_TO;
    if (!isRequest && !headers?.has('BCC')) return content;
    const properties = { ...content.properties };
    if (isRequest) properties.replyTo = this.#session.replyName();
    if (headers?.delete('BCC')) properties.headers = headers;
    const run = encodeContent(content.exchange, content.key, properties, content.bytes.subarray(content.bodyStart, content.end));
    return content.read(run, 0, run.length);
  }

  #store(publisher: Publisher, content: Content, queues: readonly Queue[], routedCount: number): void {
    const broker = this.#broker;
    const now = broker.now();
    const expirationMs = this.#expirationMs;
    const append = this.#append;
    append.begin(content.bytes, content.start, content.end, content.bodyBytes, messageFlags(content));
    const refusal = this.#admit(content, queues, expirationMs, now);
    let lsn = 0;
    if (append.count > 0) {
      lsn = broker.log.append(append);
      if (lsn === REFUSED) throw logFull();
    }
    if (this.#someWait) this.#enqueueAround(publisher, refusal, expirationMs, routedCount, lsn, now);
    else {
      for (let i = 0; i < append.count; i++) {
        const stored = enter(append, i, this.#stored);
        if (this.#fates[i] === Fate.Die) (this.#takers[i] as Queue).enqueueDead(stored, 'maxlen');
        else (this.#takers[i] as Queue).enqueue(stored, now);
      }
      if (refusal === undefined) publisher.stored(routedCount, lsn);
      else publisher.refused(refusal);
    }
  }

  /** Asks each queue, and puts those that take the message into the append. Answers why the publish is refused, if it is. */
  #admit(content: Content, queues: readonly Queue[], expirationMs: number, now: number): AmqpError | undefined {
    const append = this.#append;
    let refusal: AmqpError | undefined;
    this.#someWait = false;
    for (let i = 0; i < queues.length; i++) {
      const queue = queues[i] as Queue;
      let fate: Fate = Fate.Enter;
      if (content.bodyBytes > queue.settings.maxMessageBytes) {
        refusal = oversize(content.bodyBytes, queue.settings.maxMessageBytes, queue);
        queue.counts.refused++;
        continue;
      }
      if (queue.held?.mayWait(content.bodyBytes) && !queue.held.isOpen(content.bodyBytes, now)) {
        fate = Fate.Wait;
        this.#someWait = true;
      } else if (!queue.hasRoom(content.bodyBytes, now)) {
        refusal = refusedByLength(queue);
        if (queue.settings.overflow !== 'reject-publish-dlx' || queue.settings.deadLetterExchange === undefined) {
          queue.counts.refused++;
          continue;
        }
        fate = Fate.Die;
      }
      this.#takers[append.count] = queue;
      this.#fates[append.count] = fate;
      append.add(queue.number, queue.takeSeq(), queue.priorityFor(content.priority), queue.deadlineFor(expirationMs, now));
    }
    return refusal;
  }

  /** Some queue blocks: the others have the message now, that one when there is room, the confirm after that. */
  #enqueueAround(
    publisher: Publisher,
    refusal: AmqpError | undefined,
    expirationMs: number,
    routedCount: number,
    lsn: number,
    now: number,
  ): void {
    const run = publisher.storedAlone(routedCount, lsn);
    run.error = refusal;
    for (let i = 0; i < this.#append.count; i++) {
      const queue = this.#takers[i] as Queue;
      const stored = enter(this.#append, i, this.#stored);
      if (this.#fates[i] === Fate.Wait) queue.held?.add(stored, expirationMs, publisher, run, now);
      else if (this.#fates[i] === Fate.Die) queue.enqueueDead(stored, 'maxlen');
      else queue.enqueue(stored, now);
    }
  }
}

/** What queues keep of the properties. */
export function messageFlags(content: Content): number {
  return content.deliveryMode === PERSISTENT ? MessageFlag.Persistent : 0;
}

export function logFull(): AmqpError {
  return new AmqpError(ReplyCode.ResourceError, 'the message log is full', { hint: 'let consumers catch up and publish again' });
}

/** Milliseconds; Infinity when there is none. Refused with RabbitMQ's reasons, which are Erlang's reading of an integer. */
export function readExpiration(expiration: string | undefined): number {
  if (expiration === undefined) return Number.POSITIVE_INFINITY;
  const digits = /^[+-]?\d+/.exec(expiration)?.[0];
  const expirationMs = Number(digits);
  let why: string;
  if (digits === undefined) why = 'no_integer';
  else if (digits.length < expiration.length) why = `{leftover_string,${JSON.stringify(expiration.slice(digits.length))}}`;
  else if (expirationMs < 0) why = `{value_negative,${digits}}`;
  else if (expirationMs > EXPIRATION_MS_MAX) why = `{value_too_large,${digits}}`;
  else return expirationMs;
  throw new AmqpError(ReplyCode.PreconditionFailed, `invalid expiration '${expiration}': ${why}`, {
    hint: 'milliseconds as a decimal string, at most ten years',
    path: '/properties/expiration',
  });
}

/** RabbitMQ's text for a message above max_message_size. */
export function oversize(bodyBytes: number, bytesMax: number, queue?: Queue): AmqpError {
  const hint = 'send a reference to the data, or raise the limit';
  return new AmqpError(
    ReplyCode.PreconditionFailed,
    `message size ${bodyBytes} is larger than configured max size ${bytesMax}`,
    queue === undefined ? { hint } : { hint, queue: queue.name },
  );
}
