// The deliveries of one session that wait to be settled, addressed by delivery tag. hot
// Always: (1) tags grow by one; the slot of a tag is tag modulo capacity; (2) the ring holds every open tag in [#oldest, #next) except
// stragglers: when a few old tags would make the ring grow without end, they move into a map; (3) `size` counts both; (4) one that never held a
// delivery has no ring: an AMQP connection may have 2,047 of these.
// Refuses: to know what a tag's settling means (session.ts, queue.ts).

import { invariant } from '../../shared/assert.ts';
import { Stored } from '../ports.ts';
import type { Consumer } from './consumer.ts';
import type { Queue } from './queue.ts';

/** One open delivery. A reused object: read it before the next call. */
export class Delivery {
  tag = 0;
  queue: Queue | undefined;
  /** undefined: it came from a get. */
  consumer: Consumer | undefined;
  deliveredAt = 0;
  readonly stored = new Stored();
}

const CAPACITY_MIN = 64;
const FIELDS = 6;
const NO_WORDS = new Uint32Array(0);
const NO_TIMES = new Float64Array(0);

export class Unacked {
  /** 0: nothing was held yet. */
  #capacity = 0;
  #queues: (Queue | undefined)[] = [];
  #consumers: (Consumer | undefined)[] = [];
  /** slab, offset, length, body bytes, flags << 24 | delivery count, priority */
  #words = NO_WORDS;
  /** seq, deadline, delivered at */
  #times = NO_TIMES;
  readonly #stragglers = new Map<number, Delivery>();
  #oldest = 1;
  #next = 1;
  #inRing = 0;

  /** Slots of the ring: what the open deliveries cost. */
  get capacity(): number {
    return this.#capacity;
  }

  get size(): number {
    return this.#inRing + this.#stragglers.size;
  }

  /** Takes the next tag without an open delivery behind it (auto-ack). */
  skip(): number {
    if (this.#inRing === 0) this.#oldest = this.#next + 1;
    else if (this.#next - this.#oldest >= this.#capacity - 1) this.#makeRoom();
    return this.#next++;
  }

  add(queue: Queue, consumer: Consumer | undefined, stored: Stored, now: number): number {
    if (this.#capacity === 0) this.#grow();
    if (this.#inRing === 0) this.#oldest = this.#next;
    else if (this.#next - this.#oldest >= this.#capacity) this.#makeRoom();
    const tag = this.#next++;
    const slot = tag & (this.#capacity - 1);
    this.#queues[slot] = queue;
    this.#consumers[slot] = consumer;
    const word = slot * FIELDS;
    this.#words[word] = stored.slab;
    this.#words[word + 1] = stored.offset;
    this.#words[word + 2] = stored.length;
    this.#words[word + 3] = stored.bodyBytes;
    this.#words[word + 4] = (stored.flags << 24) | stored.deliveryCount;
    this.#words[word + 5] = stored.priority;
    const time = slot * 3;
    this.#times[time] = stored.seq;
    this.#times[time + 1] = stored.deadline;
    this.#times[time + 2] = now;
    this.#inRing++;
    return tag;
  }

  /** Whether `tag` is open. */
  has(tag: number): boolean {
    const isInRing = tag >= this.#oldest && tag < this.#next && this.#queues[tag & (this.#capacity - 1)] !== undefined;
    return isInRing || this.#stragglers.has(tag);
  }

  /** Fills `into` and leaves `tag` open; false when it is not. */
  find(tag: number, into: Delivery): boolean {
    const slot = tag & (this.#capacity - 1);
    const straggler = this.#stragglers.get(tag);
    if (straggler !== undefined) copy(straggler, into);
    else if (this.has(tag)) this.#fill(tag, slot, into);
    else return false;
    return true;
  }

  /** Removes `tag` and fills `into`; false when it is not open. */
  take(tag: number, into: Delivery): boolean {
    const slot = tag & (this.#capacity - 1);
    if (tag >= this.#oldest && tag < this.#next && this.#queues[slot] !== undefined) {
      this.#fill(tag, slot, into);
      this.#free(tag, slot);
      return true;
    }
    const straggler = this.#stragglers.get(tag);
    if (straggler === undefined) return false;
    this.#stragglers.delete(tag);
    copy(straggler, into);
    return true;
  }

  /** The tag that the latest delivery got; 0 before the first. */
  get latestTag(): number {
    return this.#next - 1;
  }

  /** The open tags up to `last`, oldest first. */
  upTo(last: number): number[] {
    const tags: number[] = [];
    for (const tag of this.#stragglers.keys()) {
      if (tag > last) break; // a map keeps the order in which they came
      tags.push(tag);
    }
    this.#addRingTags(last, tags);
    return tags;
  }

  #addRingTags(last: number, tags: number[]): void {
    if (this.#inRing === 0) return;
    for (let tag = this.#oldest; tag <= Math.min(last, this.#next - 1); tag++) {
      if (this.#queues[tag & (this.#capacity - 1)] !== undefined) tags.push(tag);
    }
  }

  /** Every open delivery, oldest first. `visit` must not settle. */
  forEach(visit: (delivery: Delivery) => void): void {
    const delivery = new Delivery();
    for (const straggler of this.#stragglers.values()) visit(straggler);
    if (this.#inRing === 0) return;
    for (let tag = this.#oldest; tag < this.#next; tag++) {
      const slot = tag & (this.#capacity - 1);
      if (this.#queues[slot] === undefined) continue;
      this.#fill(tag, slot, delivery);
      visit(delivery);
    }
  }

  #fill(tag: number, slot: number, into: Delivery): void {
    into.tag = tag;
    into.queue = this.#queues[slot];
    into.consumer = this.#consumers[slot];
    const { stored } = into;
    const word = slot * FIELDS;
    stored.slab = this.#words[word] as number;
    stored.offset = this.#words[word + 1] as number;
    stored.length = this.#words[word + 2] as number;
    stored.bodyBytes = this.#words[word + 3] as number;
    const meta = this.#words[word + 4] as number;
    stored.flags = meta >>> 24;
    stored.deliveryCount = meta & 0xff_ffff;
    stored.priority = this.#words[word + 5] as number;
    const time = slot * 3;
    stored.seq = this.#times[time] as number;
    stored.deadline = this.#times[time + 1] as number;
    into.deliveredAt = this.#times[time + 2] as number;
  }

  #free(tag: number, slot: number): void {
    this.#queues[slot] = undefined;
    this.#consumers[slot] = undefined;
    this.#inRing--;
    if (tag !== this.#oldest) return;
    if (this.#inRing === 0) this.#oldest = this.#next;
    else while (this.#queues[this.#oldest & (this.#capacity - 1)] === undefined) this.#oldest++;
  }

  /** The ring is full from oldest to next: move the few that hold it open aside, or double it. */
  #makeRoom(): void {
    if (this.#inRing * 4 <= this.#capacity) {
      const tags: number[] = [];
      this.#addRingTags(this.#next - 1, tags);
      for (const tag of tags) {
        const straggler = new Delivery();
        invariant(this.take(tag, straggler), 'an open tag can be taken');
        this.#stragglers.set(tag, straggler);
      }
      this.#oldest = this.#next;
      return;
    }
    this.#grow();
  }

  #grow(): void {
    const capacity = Math.max(CAPACITY_MIN, this.#capacity * 2);
    const queues = new Array<Queue | undefined>(capacity).fill(undefined);
    const consumers = new Array<Consumer | undefined>(capacity).fill(undefined);
    const words = new Uint32Array(capacity * FIELDS);
    const times = new Float64Array(capacity * 3);
    for (let tag = this.#oldest; tag < this.#next; tag++) {
      const from = tag & (this.#capacity - 1);
      const to = tag & (capacity - 1);
      queues[to] = this.#queues[from];
      consumers[to] = this.#consumers[from];
      words.set(this.#words.subarray(from * FIELDS, (from + 1) * FIELDS), to * FIELDS);
      times.set(this.#times.subarray(from * 3, (from + 1) * 3), to * 3);
    }
    this.#capacity = capacity;
    this.#queues = queues;
    this.#consumers = consumers;
    this.#words = words;
    this.#times = times;
  }
}

function copy(from: Delivery, into: Delivery): void {
  into.tag = from.tag;
  into.queue = from.queue;
  into.consumer = from.consumer;
  into.deliveredAt = from.deliveredAt;
  into.stored.copyFrom(from.stored);
}
