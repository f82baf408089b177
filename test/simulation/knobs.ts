// What one seed draws before its life begins: sizes, faults, and which operations there are at all (swarm testing: a run that leaves something out
// goes further with the rest).
// Always: the same seed draws the same. Refuses: to draw anything later.

import type { StoreSizes } from '../../server/store/store-options.ts';
import type { SimFaults } from '../support/sim-machine.ts';
import { between, coin, type Random } from '../support/sim-random.ts';

export const OPERATIONS = ['publish', 'consume', 'get', 'cancel', 'reconnect', 'purge', 'delete', 'transaction', 'look'] as const;
export type Operation = (typeof OPERATIONS)[number];

export interface Knobs {
  readonly sizes: Partial<StoreSizes>;
  readonly faults: Partial<SimFaults>;
  readonly lives: number;
  readonly lifeMsMax: number;
  /** Between two operations. */
  readonly gapMsMax: number;
  readonly burstMax: number;
  readonly bodyBytesMax: number;
  readonly prefetchMax: number;
  readonly persistentShare: number;
  readonly expiringShare: number;
  readonly queueTtlMs: number;
  /** Of deliveries: the rest stays unacked. */
  readonly ackShare: number;
  readonly returnShare: number;
  readonly discardShare: number;
  readonly weights: Readonly<Record<Operation, number>>;
}

const USUAL: Readonly<Record<Operation, number>> = {
  publish: 10,
  consume: 3,
  get: 2,
  cancel: 0.5,
  reconnect: 0.7,
  purge: 0.3,
  delete: 0.4,
  transaction: 2,
  look: 0.5,
};

export function drawKnobs(random: Random, mayFail: boolean): Knobs {
  const pick = (low: number, high: number): number => between(random, low, high);
  const weights: Record<Operation, number> = { ...USUAL };
  for (const operation of OPERATIONS) if (random() < 0.25 && operation !== 'publish') weights[operation] = 0;
  const faults: Partial<SimFaults> = {};
  if (mayFail && coin(random)) {
    faults.shortWrite = coin(random) ? 0.1 : 0;
    faults.stall = random() < 0.2 ? 0.01 : 0;
    faults.syncError = random() < 0.3 ? 0.01 : 0;
    faults.writeError = random() < 0.2 ? 0.005 : 0;
    faults.readError = random() < 0.2 ? 0.005 : 0;
    if (random() < 0.15) faults.capacityBytes = pick(40, 120) << 10; // publishers are held back, or the disk is full for good
  }
  return {
    sizes: {
      walFileBytes: 8192 << pick(0, 1),
      walFilesMax: pick(1, 3),
      slabBytes: 1024 << pick(0, 2),
      cacheBytes: 4096 << pick(0, 4),
      batchBytesMax: 2048 << pick(0, 2),
      diskFreeBytesMin: 0,
      lazySyncMs: pick(20, 200),
    },
    faults,
    lives: pick(2, 5),
    lifeMsMax: pick(30, 220),
    gapMsMax: pick(1, 8),
    burstMax: pick(1, 8),
    bodyBytesMax: random() < 0.3 ? 1_500 : 250,
    prefetchMax: pick(1, 5),
    persistentShare: random() < 0.3 ? 0.5 : 0.9,
    expiringShare: coin(random) ? 0.15 : 0,
    queueTtlMs: pick(20, 300),
    ackShare: 0.3 + 0.6 * random(),
    returnShare: 0.3 * random(),
    discardShare: 0.3 * random(),
    weights,
  };
}
