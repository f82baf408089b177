// A service of the demo: publishes its share of the webhooks at a steady pace, every one with a confirm, and writes each down.
// Always: (1) which webhooks, in which order and under which ids follows from the seed alone; (2) a publish is in the journal once it is
// confirmed, or refused; (3) told that it is enough, it publishes no more and waits for what is on its way.

import { setTimeout as sleep } from 'node:timers/promises';
import type { Connection } from 'leveret-client';
import { seededRandom, shuffled } from './chance.ts';
import type { Journal } from './journal.ts';
import type { Part, Word } from './part.ts';
import { readWebhooks, type Webhook } from './payloads.ts';
import { destinations, SERVICES, WEBHOOKS } from './plan.ts';

// Often enough that the pace looks even, seldom enough to cost nothing.
const TICK_MS = 20;

/** One webhook with its number in the whole run. */
interface Numbered {
  readonly number: number;
  readonly webhook: Webhook;
}

export async function publishAll(
  connection: Connection,
  journal: Journal,
  part: Part,
  tell: (word: Word) => void,
  enough: AbortSignal,
): Promise<void> {
  const share = shareOf(part);
  const exchange = connection.exchange(WEBHOOKS);
  const startedAt = performance.now();
  const open = new Set<Promise<void>>();
  let next = 0;
  let handled = 0;
  const publish = async ({ number, webhook }: Numbered): Promise<void> => {
    const message = `${part.name}-${number}`;
    const headers = { ...webhook.headers, 'sent-at': Date.now() };
    try {
      const { routed } = await exchange.publish(webhook.key, webhook.payload, { id: message, priority: webhook.priority, headers });
      journal.write({ did: 'published', message, key: webhook.key, routed, queues: destinations(webhook) });
    } catch (error) {
      journal.write({ did: 'refused', message, reason: error instanceof Error ? error.message : String(error) });
    }
    handled += 1;
  };
  while (next < share.length && !enough.aborted) {
    const elapsedMs = performance.now() - startedAt;
    for (; next < share.length; next++) {
      const numbered = share[next];
      // The whole run's number decides the time, so all services keep one pace.
      if (numbered === undefined || (numbered.number * 1_000) / part.perSecond > elapsedMs) break;
      const publishing = publish(numbered);
      open.add(publishing);
      void publishing.then(() => open.delete(publishing));
    }
    tell({ tell: 'progress', handled });
    await sleep(TICK_MS);
  }
  await Promise.all(open);
  tell({ tell: 'progress', handled });
}

/** The webhooks of this service among the `messages` of all, which go round the package's examples in one shuffled order. */
function shareOf(part: Part): Numbered[] {
  const areas = SERVICES.find((service) => service.name === part.name)?.areas;
  if (areas === undefined) throw new Error(`the plan has no service '${part.name}'`);
  const webhooks = shuffled(readWebhooks(), seededRandom(part.seed));
  const share: Numbered[] = [];
  for (let number = 0; number < part.messages; number++) {
    const webhook = webhooks[number % webhooks.length];
    if (webhook !== undefined && areas.includes(webhook.area)) share.push({ number, webhook });
  }
  return share;
}
