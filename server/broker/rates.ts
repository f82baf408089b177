// Rates per second of a queue or of the whole broker, by the names that message_stats and queue_totals of RabbitMQ's management API have.
// Always: (1) they are of the last two samples, 0 until there are two; (2) what is counted for a rate is what RabbitMQ counts: `ack` is a consumer's, not
// auto-ack, and `publish` of the broker counts a message once, however many queues took it.
// Refuses: to measure (sampler.ts).

import type { Queue } from './queue.ts';
import type { Sampler } from './sampler.ts';
import type { LevelTrack } from './tracks.ts';

export type Rates = Readonly<Record<string, number>>;

const SHOWN = ['publish', 'deliver', 'deliver_no_ack', 'get', 'get_no_ack', 'get_empty', 'ack', 'redeliver'] as const;
const NONE: Rates = {};

/** What nobody has sampled yet has none. */
export function ratesOf(sampler: Sampler, what: Queue | 'broker'): Rates {
  if (what === 'broker') {
    const { publishers } = sampler;
    const own = Object.fromEntries(publishers.names.map((name) => [name, publishers.rate(name)]));
    return { ...shown(sampler.all), ...own };
  }
  const track = sampler.queue(what);
  return track === undefined ? NONE : shown(track);
}

function shown(track: LevelTrack): Rates {
  const rates: Record<string, number> = {};
  for (const name of SHOWN) rates[name] = track.rate(name);
  rates['deliver_get'] = track.rate('deliver') + track.rate('deliver_no_ack') + track.rate('get') + track.rate('get_no_ack');
  rates['messages_ready'] = track.readyRate;
  rates['messages_unacknowledged'] = track.unackedRate;
  rates['messages'] = track.readyRate + track.unackedRate;
  return rates;
}
