// Plays situations against a broker.

import { type Situation, Stage, type Target } from './stage.ts';
import type { Transcript } from './transcript.ts';

const SIDE_BY_SIDE = 40; // many of them only wait
let runs = 0;

/** The transcript of each situation, by its name. */
export async function play(target: Target, situations: readonly Situation[]): Promise<Map<string, Transcript>> {
  const run = (process.pid * 100 + ++runs).toString(36).slice(-4).padStart(4, '0');
  const transcripts = new Map<string, Transcript>();
  const rest = situations.map((situation, place) => ({ situation, place }));
  const worker = async (): Promise<void> => {
    for (let next = rest.shift(); next !== undefined; next = rest.shift()) {
      const { name, play: script } = next.situation;
      transcripts.set(name, await new Stage(target, `${run}-${String(next.place).padStart(4, '0')}.`).run(script));
    }
  };
  await Promise.all(Array.from({ length: SIDE_BY_SIDE }, worker));
  return transcripts;
}
