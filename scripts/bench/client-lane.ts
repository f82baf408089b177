// The subject of row "client": services written with leveret-client, in this process. One awaits batches of publishes, one consumes.
// Always: (1) every publish is confirmed and awaited; (2) publisher and consumer have a connection each; (3) bodies are bytes, so the
// row measures the client and not a serializer.

import { type Connection, connect } from 'leveret-client';
import { pause, type Run, type RunLength } from './load.ts';

const BATCH = 500;
const BATCHES_AT_ONCE = 2; // while one batch is awaited the next is made, as two workers would

class ClientLoad {
  readonly #publisher: Connection;
  readonly #queue: string;
  readonly #body: Uint8Array;
  #sent = 0;
  #received = 0;
  #sending = true;

  constructor(publisher: Connection, queue: string, bodyBytes: number) {
    this.#publisher = publisher;
    this.#queue = queue;
    this.#body = new Uint8Array(bodyBytes).fill(0x78);
  }

  async run({ runMs, warmUpMs }: RunLength): Promise<Run> {
    const publishing = Promise.all(Array.from({ length: BATCHES_AT_ONCE }, () => this.#publish()));
    await pause(warmUpMs);
    const before = { at: performance.now(), cpu: process.cpuUsage(), received: this.#received };
    await pause(runMs);
    const seconds = (performance.now() - before.at) / 1_000;
    const cpu = process.cpuUsage(before.cpu);
    const messages = this.#received - before.received;
    this.#sending = false;
    await publishing;
    for (let waited = 0; this.#received < this.#sent && waited < 20_000; waited += 10) await pause(10);
    if (this.#received !== this.#sent) throw new Error(`${this.#sent} messages went, ${this.#received} came back`);
    return { messages, perSecond: messages / seconds, busy: (cpu.user + cpu.system) / 1e6 / seconds };
  }

  /** Counts what comes, until the loop is cancelled. */
  async consume(deliveries: AsyncIterable<unknown>): Promise<void> {
    for await (const _ of deliveries) this.#received++;
  }

  async #publish(): Promise<void> {
    const exchange = this.#publisher.exchange('');
    while (this.#sending) {
      this.#sent += BATCH;
      await Promise.all(Array.from({ length: BATCH }, () => exchange.publish(this.#queue, this.#body)));
    }
  }
}

export async function openClient(url: string, queue: string, bodyBytes: number): Promise<{ load: ClientLoad; close(): Promise<void> }> {
  const [publisher, consumer] = await Promise.all([connect(url, { reconnect: false }), connect(url, { reconnect: false })]);
  await consumer.declareQueue(queue, { durable: false, autoDelete: true });
  const load = new ClientLoad(publisher, queue, bodyBytes);
  const deliveries = consumer.queue(queue).consume({ noAck: true });
  const consuming = load.consume(deliveries);
  return {
    load,
    close: async () => {
      await deliveries.cancel();
      await consuming;
      await Promise.all([publisher.close(), consumer.close()]);
    },
  };
}
