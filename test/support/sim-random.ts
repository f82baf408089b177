// Chance that a seed repeats: the same seed, the same numbers.

/** Numbers in [0, 1). Mulberry32: 32 bits of state are plenty for what a test draws. */
export type Random = () => number;

export function seeded(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}

/** A whole number from `low` up to and including `high`. */
export const between = (random: Random, low: number, high: number): number => low + Math.floor(random() * (high - low + 1));
export const coin = (random: Random): boolean => random() < 0.5;
