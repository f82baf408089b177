// The end of an epoch: one connection acks whatever is left in every queue, and makes sure that this is on disk.
// Always: it resolves when every queue is empty and every ack synced. Refuses: to publish before that.

import { type Connection, connect, type Message } from 'leveret-client';
import { nameIn } from './bodies.ts';
import { countersBalance } from './checkers.ts';
import type { History } from './history.ts';
import { ENDS, QUEUES } from './topology.ts';

const PREFETCH = 500;
// Between two looks at the queues. Nothing is measured by it.
const LOOK_MS = 20;

export interface DrainOptions {
  readonly url: string;
  readonly name: string;
  readonly history: History;
  readonly complain: (complaint: string) => void;
}

/** Answers how many messages there were. */
export async function drain({ url, name, history, complain }: DrainOptions): Promise<number> {
  const mq = await connect(url, { name, reconnect: false, requestTimeout: '60s' });
  history.tellAll({ kind: 'drain' });
  let count = 0;
  const take = (queue: string, message: Message): void => {
    const { name: body, fault } = nameIn(message.bytes);
    if (fault !== undefined) complain(`${queue}: ${body} ${fault}`);
    const { redelivered, attempt } = message;
    count++;
    history.tell(queue, { kind: 'delivered', body, consumer: name, redelivered, deliveryCount: attempt - 1, atMs: 0 });
    history.tell(queue, { kind: 'acked', body, consumer: name });
    message.ack();
  };
  const feeds = QUEUES.map(({ name: queue }) => ({ queue, feed: mq.queue(queue).consume({ prefetch: PREFETCH }) }));
  const loops = Promise.all(
    feeds.map(async ({ queue, feed }) => {
      for await (const message of feed) take(queue, message);
    }),
  );
  try {
    // the loops go on until they are cancelled, or fail
    await Promise.race([untilEmpty(mq, complain), loops]);
    await Promise.all(feeds.map(({ feed }) => feed.cancel()));
    await loops;
    await syncAll(mq);
  } finally {
    await mq.close();
  }
  return count;
}

/** One log for all: when a publish is confirmed, what the broker was sent before it is on disk too. */
export async function syncAll(mq: Connection): Promise<void> {
  await mq.queue(ENDS).publish('all that came before is stored');
}

async function untilEmpty(mq: Connection, complain: (complaint: string) => void): Promise<void> {
  for (;;) {
    const { queues } = await mq.call('stats', { queues: '*' });
    for (const sample of queues) for (const complaint of countersBalance(sample)) complain(complaint);
    const missing = QUEUES.filter(({ name }) => !queues.some(({ queue }) => queue === name));
    if (missing.length > 0) throw new Error(`queues that were declared are gone: ${missing.map(({ name }) => name).join(', ')}`);
    const left = queues.filter(({ queue }) => queue !== ENDS);
    if (left.every(({ ready, unacked, deadLetterWaiting }) => ready + unacked + deadLetterWaiting === 0)) return;
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}
