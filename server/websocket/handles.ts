// The numbered handles of one connection: publishers, consumers, taps and statistics subscriptions in one space, 1 to 65,535.
// Always: (1) a number means one open thing, or none; (2) a consumer that the broker cancelled leaves its number as `Gone`: what the peer sent
// before it knew is ignored, and the number may be opened again.
// Refuses: to open more than the limit that hello told.

import { AmqpError, ReplyCode } from '../../shared/error.ts';
import type { Consumer } from '../broker/consumer.ts';
import type { Publisher } from '../broker/publisher.ts';
import type { Assembly } from './assembly.ts';
import type { StatsFeed } from './stats-feed.ts';

export class PublisherHandle {
  readonly kind = 'publisher';
  readonly publisher: Publisher;
  /** The message whose body is still coming in. */
  assembly: Assembly | undefined = undefined;

  constructor(publisher: Publisher) {
    this.publisher = publisher;
  }
}

export class ConsumerHandle {
  readonly kind: 'consumer' | 'tap';
  readonly consumer: Consumer;
  readonly isJson: boolean;

  constructor(kind: 'consumer' | 'tap', consumer: Consumer, isJson: boolean) {
    this.kind = kind;
    this.consumer = consumer;
    this.isJson = isJson;
  }
}

export class StatsHandle {
  readonly kind = 'stats';
  readonly feed: StatsFeed;

  constructor(feed: StatsFeed) {
    this.feed = feed;
  }
}

export class GoneHandle {
  readonly kind = 'gone';
}

export type Handle = PublisherHandle | ConsumerHandle | StatsHandle | GoneHandle;

const GONE = new GoneHandle();

export class Handles {
  readonly #limit: number;
  readonly #handles = new Map<number, Handle>();
  #goneCount = 0;
  #assemblingBytes = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get(number: number): Handle | undefined {
    return this.#handles.get(number);
  }

  /** Throws where `number` cannot be opened. Called before what it stands for is made. */
  checkFree(number: number): void {
    const open = this.#handles.get(number);
    if (open !== undefined && open.kind !== 'gone') {
      throw new AmqpError(ReplyCode.ChannelError, `handle ${number} is open already, as a ${open.kind}`, {
        hint: 'close it first, or take another number',
        path: '/handle',
      });
    }
    if (open === undefined && this.#handles.size - this.#goneCount >= this.#limit) {
      throw new AmqpError(ReplyCode.NotAllowed, `more than ${this.#limit} handles on one connection`, {
        hint: 'close some, or open another connection',
        path: '/handle',
      });
    }
  }

  open(number: number, handle: Handle): void {
    if (this.#handles.get(number) === GONE) this.#goneCount--;
    this.#handles.set(number, handle);
  }

  close(number: number): void {
    const handle = this.#handles.get(number);
    if (handle === GONE) this.#goneCount--;
    else if (handle?.kind === 'publisher') this.endBody(handle);
    this.#handles.delete(number);
  }

  /** The broker took away what `number` stood for. */
  lose(number: number): void {
    if (this.#handles.get(number) !== GONE) this.#goneCount++;
    this.#handles.set(number, GONE);
  }

  /** What the unfinished bodies of all publishers will hold. */
  get assemblingBytes(): number {
    return this.#assemblingBytes;
  }

  beginBody(handle: PublisherHandle, assembly: Assembly): void {
    handle.assembly = assembly;
    this.#assemblingBytes += assembly.reservedBytes;
  }

  /** It is whole, or nobody waits for the rest. */
  endBody(handle: PublisherHandle): void {
    this.#assemblingBytes -= handle.assembly?.reservedBytes ?? 0;
    handle.assembly = undefined;
  }

  values(): IterableIterator<Handle> {
    return this.#handles.values();
  }
}

/** What an operation or a frame says when its handle is not what it takes. */
export function wrongHandle(number: number, wanted: Handle['kind'], found: Handle | undefined): AmqpError {
  const is = found === undefined || found.kind === 'gone' ? 'is not open' : `is a ${found.kind}`;
  return new AmqpError(ReplyCode.ChannelError, `handle ${number} ${is}, not a ${wanted}`, { path: '/handle' });
}
