// From an exchange and a key to queues: one pass over the graph of exchanges. hot
// Always: (1) a queue is in a route at most once, however many ways lead to it; (2) an exchange is visited at most once, so cycles end;
// (3) an alternate exchange is asked exactly when its exchange matched nothing itself (a tap is nothing); (4) keys in CC and BCC route like
// the routing key, at every exchange on the way.
// Refuses: storing, limits, mandatory, removing BCC (publisher.ts). RabbitMQ differs: a missing alternate is reported, not ignored.

import { decodeValue, findField } from '../../shared/amqp/table.ts';
import type { Content } from '../../shared/content.ts';
import { AmqpError, ReplyCode } from '../../shared/error.ts';
import type { Notices } from '../ports.ts';
import type { Destination, Exchange } from './exchange.ts';
import { typeName } from './field-values.ts';
import { Destinations } from './matchers/matcher.ts';
import type { Queue } from './queue.ts';
import type { Vhost } from './vhost.ts';

/** Where one message goes. Reused: routing into it again replaces what it said. */
export class Route {
  readonly queues: Queue[] = [];
  /** Queues without taps: what `mandatory` and the publisher count. */
  routedCount = 0;
  /** True when exchange and key alone decided, so that it holds for the next message without CC and BCC while vhost.version stays. */
  cacheable = false;
  /** Where it starts; undefined before it was used. */
  source: Exchange | undefined;
  /** vhost.version of the topology it was made from. */
  version = 0;
}

export class Router {
  readonly #notices: Notices;
  readonly #found = new Destinations<Destination>();
  readonly #waiting: Exchange[] = [];
  /** Keys in CC and BCC of the present message. */
  readonly #extraKeys: string[] = [];
  /** Numbers the passes; what carries this number was seen in this pass. */
  #pass = 0;
  /** Queues put into the route so far. */
  #count = 0;

  constructor(notices: Notices) {
    this.#notices = notices;
  }

  /** Throws 406 for a CC or BCC header that is no array; then `into` is not to be used. */
  route(vhost: Vhost, exchange: Exchange, key: string, content: Content, into: Route): void {
    this.#extraKeys.length = 0;
    into.cacheable = content.headersStart === 0 || !this.#readExtraKeys(content);
    into.version = vhost.version;
    into.routedCount = 0;
    into.source = exchange;
    this.#count = 0;
    exchange.routeMark = ++this.#pass;
    this.#waiting.length = 0;
    let next: Exchange | undefined = exchange;
    while (next !== undefined) {
      if (next.matcher.usesHeaders) into.cacheable = false;
      this.#found.clear();
      this.#match(next, key, content);
      if (next === vhost.defaultExchange) this.#findNamed(vhost, key);
      if (!this.#follow(into) && next.alternate !== undefined) this.#followAlternate(vhost, next, next.alternate);
      next = this.#waiting.pop();
    }
    if (into.queues.length !== this.#count) into.queues.length = this.#count;
  }

  #match(exchange: Exchange, key: string, content: Content): void {
    if (exchange.outgoing.size === 0) return;
    const { matcher } = exchange;
    matcher.match(key, content, this.#found);
    if (!matcher.usesKey) return;
    for (let i = 0; i < this.#extraKeys.length; i++) matcher.match(this.#extraKeys[i] as string, content, this.#found);
  }

  /** The default exchange: every queue is bound under its name. */
  #findNamed(vhost: Vhost, key: string): void {
    const queue = vhost.queues.get(key);
    if (queue !== undefined) this.#found.add(queue);
    for (let i = 0; i < this.#extraKeys.length; i++) {
      const copied = vhost.queues.get(this.#extraKeys[i] as string);
      if (copied !== undefined) this.#found.add(copied);
    }
  }

  /** Takes over what one exchange found; false when that was nothing but taps. */
  #follow(into: Route): boolean {
    const { found, count } = this.#found;
    let matched = false;
    for (let i = 0; i < count; i++) {
      const destination = found[i] as Destination;
      const isTap = destination.kind === 'queue' && destination.isTap;
      if (!isTap) matched = true;
      if (destination.routeMark === this.#pass) continue;
      destination.routeMark = this.#pass;
      if (destination.kind === 'exchange') {
        this.#waiting.push(destination);
      } else {
        into.queues[this.#count++] = destination;
        if (!isTap) into.routedCount++;
      }
    }
    return matched;
  }

  #followAlternate(vhost: Vhost, exchange: Exchange, name: string): void {
    const alternate = vhost.exchanges.get(name);
    if (alternate === undefined) {
      this.#reportMissing(vhost, exchange, name);
    } else if (alternate !== vhost.defaultExchange && alternate.routeMark !== this.#pass) {
      // As in RabbitMQ, the default exchange is only reached by publishing to it.
      alternate.routeMark = this.#pass;
      this.#waiting.push(alternate);
    }
  }

  /** Once an exchange and topology: the next message would say nothing new. */
  #reportMissing(vhost: Vhost, exchange: Exchange, alternate: string): void {
    if (exchange.alternateReportedIn === vhost.version) return;
    exchange.alternateReportedIn = vhost.version;
    const text = `exchange '${exchange.name}' in vhost '${vhost.name}' has no alternate exchange '${alternate}': what it cannot route is dropped`;
    this.#notices.notice({
      kind: 'alternate.missing',
      severity: 'warn',
      text,
      fields: { vhost: vhost.name, exchange: exchange.name, alternate },
    });
  }

  #readExtraKeys(content: Content): boolean {
    const copied = this.#addKeys(content, 'CC');
    return this.#addKeys(content, 'BCC') || copied;
  }

  #addKeys(content: Content, header: string): boolean {
    const at = findField(content.bytes, content.headersStart, content.headersEnd, header);
    if (at === -1) return false;
    const keys = decodeValue(content.bytes, at, content.headersEnd);
    if (!Array.isArray(keys)) {
      const text = `invalid message: {unacceptable_type_in_header,"${header}",${typeName(keys)}}`;
      throw new AmqpError(ReplyCode.PreconditionFailed, text, {
        path: `/properties/headers/${header}`,
        hint: 'Make it an array of routing keys.',
      });
    }
    // As RabbitMQ does: what is no string is no key.
    for (const key of keys) if (typeof key === 'string') this.#extraKeys.push(key);
    return true;
  }
}

/** Whether the message names more keys than its routing key. A route kept from an earlier message does not hold for such a one. */
export function hasExtraKeys(content: Content): boolean {
  if (content.headersStart === 0) return false;
  const { bytes, headersStart, headersEnd } = content;
  return findField(bytes, headersStart, headersEnd, 'CC') !== -1 || findField(bytes, headersStart, headersEnd, 'BCC') !== -1;
}

/** The keys in CC and BCC; what is no array there the router refuses. */
export function extraKeysOf(content: Content): string[] {
  const headers = hasExtraKeys(content) ? content.headers : undefined;
  const keys = [headers?.get('CC'), headers?.get('BCC')].flatMap((value) => (Array.isArray(value) ? value : []));
  return keys.filter((key) => typeof key === 'string');
}
