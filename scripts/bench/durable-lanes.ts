// The durable runs, put together from their ends: appends, publishes with confirms, the whole way to the ack; by time or by count.
// Always: (1) a window of N means N that are not answered, never N at a time and then the next N; (2) a message is through the flow when it
// is both confirmed and acked.

import { AckingConsumer, Appender, ConfirmedPublisher, Dues, type Told } from './durable-ends.ts';
import { FrameStock, type StockOptions } from './frame-stock.ts';
import { Load } from './load.ts';
import type { Opened } from './pairs.ts';
import { RawSocket } from './raw-socket.ts';

/** Adapts an end to a load that does not exist yet when the end is opened. */
class Teller implements Told {
  load: Load | undefined;

  done(count: number, pieces: number): void {
    this.load?.received(count, pieces);
  }
  open(): void {
    this.load?.fill();
  }
  failed(reason: string): void {
    this.load?.failed(reason);
  }
}

/** `window` records on their way to the disk, over a bare socket. */
export async function openAppend(url: string, window: number): Promise<Opened> {
  const told = new Teller();
  const appender = await Appender.open(url, window, told);
  const load = new Load({ size: 1, send: () => appender.send(1) }, window);
  told.load = load;
  return { load, close: async () => appender.close() };
}

/** The same behind a bare ws server, with the very frames that a publisher sends: what is lost here is not the broker's. */
export async function openAppendWs(url: string, window: number, options: StockOptions): Promise<Opened> {
  const socket = await RawSocket.open(url);
  const stock = new FrameStock(options);
  const dues = new Dues((count) => socket.writeAll(stock.take(count)));
  const load = new Load({ size: 1, send: () => dues.add(1) }, window);
  socket.onMessage = (bytes) => load.received(bytes.readUInt32LE());
  socket.onClose = (reason) => load.failed(`append server: ${reason}`);
  return { load, close: () => socket.close() };
}

export interface PublishRun extends Omit<StockOptions, 'handle'> {
  readonly window: number;
  /** Messages that one step of the load sends. */
  readonly size?: number;
}

/** Publishes, confirmed; nobody consumes. The queues are there already. */
export async function openPublish(url: string, run: PublishRun): Promise<Opened> {
  const told = new Teller();
  const publisher = await ConfirmedPublisher.open(url, run, told);
  const size = run.size ?? 1;
  const load = new Load({ size, isOpen: () => publisher.canSend(size), send: () => publisher.send(size) }, run.window);
  told.load = load;
  return { load, close: () => publisher.socket.close() };
}

/** Publish, confirm, deliver, ack: a message is through when it is both confirmed and acked; at most `window` are not. */
export async function openFlow(url: string, run: PublishRun & { readonly queue: string; readonly prefetch: number }): Promise<Opened> {
  const told = new Teller();
  let confirmed = 0;
  let acked = 0;
  let through = 0;
  const advance = (): void => {
    const count = Math.min(confirmed, acked) - through;
    through += count;
    if (count > 0) told.done(count, 1);
    else told.open();
  };
  const failed = (reason: string): void => told.failed(reason);
  const consumer = await AckingConsumer.open(url, run.queue, run.prefetch, {
    done: (count) => {
      acked += count;
      advance();
    },
    open: () => told.open(),
    failed,
  });
  const publisher = await ConfirmedPublisher.open(url, run, {
    done: (count) => {
      confirmed += count;
      advance();
    },
    open: () => told.open(),
    failed,
  });
  const load = new Load({ size: 1, isOpen: () => publisher.canSend(1), send: () => publisher.send(1) }, run.window);
  told.load = load;
  return { load, close: async () => void (await Promise.all([publisher.socket.close(), consumer.socket.close()])) };
}

/** Publishes `count` messages, confirmed, and answers the seconds it took. */
export async function publishCount(url: string, run: PublishRun, count: number): Promise<number> {
  let sent = 0;
  let confirmed = 0;
  let fill: () => void = () => undefined;
  const finished = new Finish((some) => {
    confirmed += some;
    fill();
    return confirmed >= count;
  });
  finished.onOpen = () => fill();
  const publisher = await ConfirmedPublisher.open(url, run, finished);
  fill = () => {
    while (sent < count && sent - confirmed < run.window && publisher.canSend(1)) {
      sent++;
      publisher.send(1);
    }
  };
  const startedAt = performance.now();
  fill();
  await finished.reached;
  const seconds = (performance.now() - startedAt) / 1_000;
  await publisher.socket.close();
  return seconds;
}

/** Consumes and acks `count` messages that wait in `queue`, and answers the seconds it took. */
export async function consumeCount(url: string, queue: string, prefetch: number, count: number): Promise<number> {
  let acked = 0;
  const finished = new Finish((some) => (acked += some) >= count);
  const startedAt = performance.now();
  const consumer = await AckingConsumer.open(url, queue, prefetch, finished);
  await finished.reached;
  const seconds = (performance.now() - startedAt) / 1_000;
  await consumer.socket.close();
  return seconds;
}

/** Waits until a count is reached. */
class Finish implements Told {
  readonly reached: Promise<void>;
  onOpen: () => void = () => undefined;
  readonly #isReached: (count: number) => boolean;
  #resolve: () => void = () => undefined;
  #reject: (error: Error) => void = () => undefined;

  constructor(isReached: (count: number) => boolean) {
    this.#isReached = isReached;
    this.reached = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  done(count: number): void {
    if (this.#isReached(count)) this.#resolve();
  }
  open(): void {
    this.onOpen();
  }
  failed(reason: string): void {
    this.#reject(new Error(reason));
  }
}
