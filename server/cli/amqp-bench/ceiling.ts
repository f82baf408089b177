// The generator's own ceiling: the same plan, run against a sink in place of a broker.
// Always: what is measured is this process; the sink has another, and looks at next to nothing.

import { parseAddress } from './address.ts';
import { CHANNEL } from './link.ts';
import type { Plan } from './plan.ts';
import { encodePublish } from './publish-ring.ts';
import { type Report, type RunHooks, run } from './run.ts';
import { startSink } from './sink-process.ts';

// What the sink negotiates; the share of frame headers in a large body depends on it.
const FRAME_MAX = 128 * 1024;

export async function runCeiling(plan: Plan, hooks: RunHooks = {}): Promise<Report> {
  const [key = ''] = plan.routingKeys;
  const properties = { deliveryMode: plan.isPersistent ? 2 : 1 };
  const { bodyBytes, exchange } = plan;
  const publish = encodePublish({ channel: CHANNEL, exchange, properties, bodyBytes, frameMax: FRAME_MAX }, key);
  const sink = await startSink({ bodyBytes, publishBytes: publish.bytes.length, isSource: plan.publishers === 0 });
  try {
    // One key, for the sink counts bytes; and what it delivers says nothing of queues or copies.
    return await run(parseAddress(sink.url), { ...plan, routingKeys: [key], queues: ['sink'], copies: Math.min(plan.copies, 1) }, hooks);
  } finally {
    await sink.stop();
  }
}
