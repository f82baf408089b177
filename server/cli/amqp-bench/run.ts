// One run of a plan: opens the links, publishes and consumes, waits until what is on its way has arrived, and answers what it counted.
// Always: (1) rates are counted between two moments in full flow, behind the warm-up and before the publishers stop; (2) totals count everything, so that
// published and received can be compared; (3) an early end (Ctrl-C) has figures too; (4) every link is closed, also when one fails.
// Refuses to declare: queues and exchanges are there before, and whoever made them takes them away.

import type { Address } from './address.ts';
import { ConfirmWindow } from './confirm-window.ts';
import { Consumer } from './consumer.ts';
import { Latency } from './latency.ts';
import { CHANNEL, Link } from './link.ts';
import { type Plan, queuesOf, shareOf } from './plan.ts';
import { PublishRing } from './publish-ring.ts';
import { Publisher } from './publisher.ts';
import { Schedule, Ticker } from './schedule.ts';
import { nowUs } from './stamp.ts';

// Together: what fits a processor's cache is sent fastest.
const RINGS_BYTES = 2 << 20;
const RING_BYTES_MIN = 64 << 10;
// Without progress for so long, what has not come is lost.
const DRAIN_MS_MAX = 10_000;
const LOOK_MS = 5;
// Until the thread that ticks is up: what falls due before would count as late.
const THREAD_START_US = 100_000;
const NAME = 'leveret bench';

export interface Totals {
  readonly published: number;
  readonly received: number;
  readonly confirmed: number;
  readonly nacked: number;
}

export interface Sample extends Totals {
  /** Since the sample before. */
  readonly seconds: number;
  /** Since the run began. */
  readonly atSeconds: number;
  /** The broker's reason while it holds publishers back. */
  readonly blockedReason: string | undefined;
}

export interface Report extends Totals {
  readonly broker: string;
  /** That the rates were taken in. */
  readonly seconds: number;
  readonly publishedPerSecond: number;
  readonly receivedPerSecond: number;
  readonly confirmedPerSecond: number;
  readonly confirmLatency: Latency;
  readonly deliveryLatency: Latency;
  /** The share of one core that this process used meanwhile. */
  readonly generatorBusy: number;
  /** All that was published was received, where that can be said. */
  readonly isComplete: boolean;
}

export interface RunHooks {
  readonly stop?: AbortSignal;
  readonly everySeconds?: number;
  readonly sampled?: (sample: Sample) => void;
}

export async function run(address: Address, plan: Plan, hooks: RunHooks = {}): Promise<Report> {
  const links: Link[] = [];
  const open = async (): Promise<Link> => {
    const link = await Link.open(address, NAME, hooks.stop);
    links.push(link);
    return link;
  };
  try {
    const bench = new Run(plan, hooks);
    for (let i = 0; i < plan.consumers; i++) await bench.addConsumer(await open());
    for (let i = 0; i < plan.publishers; i++) await bench.addPublisher(await open());
    return await bench.measure();
  } finally {
    await Promise.all(links.map((link) => link.close()));
  }
}

interface Mark extends Totals {
  readonly us: number;
  readonly cpu: NodeJS.CpuUsage;
}

class Run {
  readonly #plan: Plan;
  readonly #hooks: RunHooks;
  readonly #links: Link[] = [];
  readonly #publishers: Publisher[] = [];
  readonly #consumers: Consumer[] = [];
  readonly #confirmLatency = new Latency();
  readonly #deliveryLatency = new Latency();
  #reached: () => void = () => undefined;

  constructor(plan: Plan, hooks: RunHooks) {
    this.#plan = plan;
    this.#hooks = hooks;
  }

  async addConsumer(link: Link): Promise<void> {
    const { prefetch, ackEvery } = this.#plan;
    if (prefetch > 0) await link.request('basic.qos', { prefetchSize: 0, prefetchCount: prefetch, global: false }, 'basic.qos-ok');
    this.#consumers.push(new Consumer(link, { ackEvery, latency: this.#deliveryLatency, delivered: () => this.#delivered() }));
    this.#links.push(link);
  }

  async addPublisher(link: Link): Promise<void> {
    const { confirmWindow, exchange, routingKeys, isPersistent, bodyBytes, publishers, publishLimit } = this.#plan;
    if (confirmWindow > 0) await link.request('confirm.select', { nowait: false }, 'confirm.select-ok');
    const ring = new PublishRing({
      channel: CHANNEL,
      exchange,
      keys: routingKeys,
      properties: { deliveryMode: isPersistent ? 2 : 1 },
      bodyBytes,
      frameMax: link.frameMax,
      ringBytes: Math.max(RING_BYTES_MIN, RINGS_BYTES / publishers),
    });
    const window = confirmWindow > 0 ? new ConfirmWindow(confirmWindow, this.#confirmLatency) : undefined;
    const limit = shareOf(publishLimit, this.#publishers.length, publishers);
    this.#publishers.push(new Publisher(link, ring, { window, limit, room: () => this.#room(), progressed: () => this.#look() }));
    this.#links.push(link);
  }

  async measure(): Promise<Report> {
    const failing = Promise.race(this.#links.map((link) => link.failed));
    const { seconds, warmUpSeconds } = this.#plan;
    let ticker: Ticker | undefined;
    const began = this.#mark();
    const sampling = this.#sample(began);
    try {
      const reached = new Promise<void>((resolve) => {
        this.#reached = resolve;
      });
      await Promise.race([this.#consume(), failing]);
      ticker = this.#publish();
      if (warmUpSeconds > 0) await Promise.race([this.#pause(warmUpSeconds), reached, failing]);
      this.#confirmLatency.reset();
      this.#deliveryLatency.reset();
      const from = warmUpSeconds > 0 ? this.#mark() : began;
      this.#look();
      await Promise.race([seconds > 0 ? this.#pause(seconds) : this.#stopped(), reached, failing]);
      const to = this.#mark();
      for (const publisher of this.#publishers) publisher.stop();
      await Promise.race([this.#drain(), failing]);
      return this.#report(from, to);
    } finally {
      clearInterval(sampling);
      await ticker?.stop();
    }
  }

  async #consume(): Promise<void> {
    const { consumers, ackEvery } = this.#plan;
    await Promise.all(
      this.#links.slice(0, consumers).map(async (link, index) => {
        for (const [at, queue] of queuesOf(this.#plan, index).entries()) {
          const flags = { noLocal: false, noAck: ackEvery === 0, exclusive: false, nowait: false };
          await link.request('basic.consume', { queue, consumerTag: `c${at}`, ...flags, arguments: new Map() }, 'basic.consume-ok');
        }
      }),
    );
  }

  #publish(): Ticker | undefined {
    const { ratePerSecond, publishers } = this.#plan;
    if (ratePerSecond === 0) {
      for (const publisher of this.#publishers) publisher.start(undefined);
      return undefined;
    }
    const startUs = nowUs() + THREAD_START_US;
    for (const [i, publisher] of this.#publishers.entries()) {
      // Each takes its turn: together they make an even stream.
      publisher.start(new Schedule(startUs + (i * 1e6) / ratePerSecond, ratePerSecond / publishers));
    }
    return new Ticker(startUs, ratePerSecond, () => this.#publishers.forEach((each) => each.pump()));
  }

  /** Publishes that may be under way beside those that are. */
  #room(): number {
    const { inFlight, copies } = this.#plan;
    return inFlight === 0 ? Number.POSITIVE_INFINITY : inFlight - Math.ceil((this.#expected() - this.#received()) / copies);
  }

  #delivered(): void {
    this.#look();
    if (this.#plan.inFlight > 0) for (const publisher of this.#publishers) publisher.pump();
  }

  /** Ends the run where its limits are reached. */
  #look(): void {
    const { publishLimit, consumeLimit, consumers, publishers } = this.#plan;
    if (publishLimit === 0 && consumeLimit === 0) return;
    const isSent = publishers === 0 || publishLimit === 0 || this.#publishers.every((each) => each.isDone);
    const wanted = consumeLimit > 0 ? consumeLimit : this.#expected();
    const isReceived = consumers === 0 || this.#received() >= wanted;
    if (isReceived && isSent) this.#reached();
  }

  #expected(): number {
    return this.#sum(this.#publishers, (each) => each.published) * this.#plan.copies;
  }

  #received(): number {
    return this.#sum(this.#consumers, (each) => each.received);
  }

  #sum<Each>(all: readonly Each[], of: (each: Each) => number): number {
    return all.reduce((sum, each) => sum + of(each), 0);
  }

  #mark(): Mark {
    return {
      us: nowUs(),
      cpu: process.cpuUsage(),
      published: this.#sum(this.#publishers, (each) => each.published),
      received: this.#received(),
      confirmed: this.#sum(this.#publishers, (each) => each.confirmed),
      nacked: this.#sum(this.#publishers, (each) => each.nacked),
    };
  }

  /** Tells the hooks how it goes, once in a while. */
  #sample(began: Mark): NodeJS.Timeout | undefined {
    const { sampled, everySeconds = 1 } = this.#hooks;
    if (sampled === undefined) return undefined;
    let before = began;
    return setInterval(() => {
      const now = this.#mark();
      sampled({
        seconds: (now.us - before.us) / 1e6,
        atSeconds: (now.us - began.us) / 1e6,
        published: now.published - before.published,
        received: now.received - before.received,
        confirmed: now.confirmed - before.confirmed,
        nacked: now.nacked - before.nacked,
        blockedReason: this.#links.find((link) => link.blockedReason !== undefined)?.blockedReason,
      });
      before = now;
    }, everySeconds * 1_000);
  }

  #pause(seconds: number): Promise<void> {
    return Promise.race([pause(seconds * 1_000), this.#stopped()]);
  }

  #stopped(): Promise<void> {
    const { stop } = this.#hooks;
    if (stop?.aborted === true) return Promise.resolve();
    return new Promise((resolve) => stop?.addEventListener('abort', () => resolve(), { once: true }));
  }

  /** Nothing is under way any more that could still arrive. */
  get #isDrained(): boolean {
    const { copies, consumers, consumeLimit, publishers } = this.#plan;
    if (this.#publishers.some((each) => each.openConfirms > 0)) return false;
    const isComparable = copies > 0 && consumers > 0 && publishers > 0 && consumeLimit === 0;
    return !isComparable || this.#received() >= this.#expected();
  }

  async #drain(): Promise<void> {
    let progress = -1;
    let giveUpAt = 0;
    while (!this.#isDrained && this.#hooks.stop?.aborted !== true) {
      const { received, confirmed, nacked } = this.#mark();
      if (received + confirmed + nacked !== progress) {
        progress = received + confirmed + nacked;
        giveUpAt = performance.now() + DRAIN_MS_MAX;
      } else if (performance.now() > giveUpAt) break;
      await pause(LOOK_MS);
    }
    for (const consumer of this.#consumers) consumer.settleRest();
  }

  #report(from: Mark, to: Mark): Report {
    const seconds = (to.us - from.us) / 1e6;
    const { published, received, confirmed, nacked } = this.#mark();
    const { user, system } = to.cpu;
    const rate = (count: (mark: Mark) => number): number => (count(to) - count(from)) / seconds;
    return {
      broker: this.#links[0]?.broker ?? '',
      published,
      received,
      confirmed,
      nacked,
      seconds,
      publishedPerSecond: rate((mark) => mark.published),
      receivedPerSecond: rate((mark) => mark.received),
      confirmedPerSecond: rate((mark) => mark.confirmed),
      confirmLatency: this.#confirmLatency,
      deliveryLatency: this.#deliveryLatency,
      generatorBusy: (user + system - from.cpu.user - from.cpu.system) / 1e6 / seconds,
      isComplete: this.#isDrained,
    };
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
