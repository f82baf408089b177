// A worker of the demo: takes messages from one queue, works on each for a while, and writes down how it ended.
// Always: (1) a line for every delivery; (2) what it decides is written before the client library carries it out; (3) failures come from the
// seed. The worker of the dead letters also writes down where and why each message died, as its x-death header says.
// Prefetch equals concurrency: what waits should wait in the queue, where priority and expiry can still act on it.

import { setTimeout as sleep } from 'node:timers/promises';
import { type Connection, Drop, type Message, type Worker } from 'leveret-client';
import { seededRandom } from './chance.ts';
import type { Journal } from './journal.ts';
import type { Part, Word } from './part.ts';
import { isRecord } from './payloads.ts';
import { DEAD_QUEUE, WORKERS } from './plan.ts';

export function startWorker(connection: Connection, journal: Journal, part: Part, tell: (word: Word) => void): Worker {
  const plan = WORKERS.find((worker) => worker.name === part.name);
  if (plan === undefined) throw new Error(`the plan has no worker '${part.name}'`);
  const { queue, concurrency, workMs, throwShare = 0, dropShare = 0 } = plan;
  const random = seededRandom(part.seed);
  let handled = 0;
  return connection.queue(queue).work({ concurrency, prefetch: concurrency }, async (message) => {
    const startedAt = Date.now();
    const name = message.messageId ?? message.id;
    if (workMs > 0) await sleep(workMs);
    tell({ tell: 'progress', handled: ++handled });
    const chance = random();
    if (chance < throwShare) {
      journal.write({ did: 'threw', queue, message: name });
      throw new Error(`no luck with ${message.key}`);
    }
    if (chance > 1 - dropShare) {
      journal.write({ did: 'dropped', queue, message: name });
      throw new Drop(`nothing can be done about ${message.key}`);
    }
    if (queue === DEAD_QUEUE) journal.write({ did: 'died', ...lastDeath(message), message: name });
    const sentAt = message.headers['sent-at'];
    const waitMs = typeof sentAt === 'number' ? startedAt - sentAt : 0;
    journal.write({ did: 'acked', queue, message: name, priority: message.properties.priority ?? 0, waitMs });
  });
}

/** The newest entry of x-death. */
function lastDeath(message: Message): { queue: string; reason: string } {
  const deaths = message.headers['x-death'];
  const last: unknown = Array.isArray(deaths) ? deaths[0] : undefined;
  if (!isRecord(last)) throw new Error(`dead letter ${message.id} has no x-death`);
  return { queue: String(last['queue']), reason: String(last['reason']) };
}
