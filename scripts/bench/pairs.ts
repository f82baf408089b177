// Runs a baseline and a subject in turn, and makes one figure of the pairs.
// Always: (1) no run inherits a connection or a queue from the one before; (2) the ratio is taken pair by pair, and its median counts; (3) the
// generator's own ceiling stands beside the result.

import type { Run, RunLength } from './load.ts';
import { display, type Effort, type Figure, median } from './row.ts';

export interface Subject {
  run(length: RunLength): Promise<Run>;
}

/** A load with its connections. */
export interface Opened {
  readonly load: Subject;
  close(): Promise<void>;
}

/** Opens a subject, uses it once, closes it. */
export const once = (open: () => Promise<Opened>): Subject => ({
  async run(length) {
    const opened = await open();
    const run = await opened.load.run(length);
    await opened.close();
    return run;
  },
});

export interface Pairing {
  readonly baseline: Subject;
  readonly subject: Subject;
  /** What the note calls the baseline. */
  readonly name: string;
  /** Messages that the broker moves for one that the load counts, and so for the baseline. */
  readonly each?: { readonly baseline: number; readonly subject: number };
  /** More of them, for the note alone. */
  readonly asides?: readonly { readonly name: string; readonly subject: Subject }[];
  /** More for the note, from all runs of each. */
  readonly note?: (subjects: readonly Run[], baselines: readonly Run[]) => string;
}

export async function against(effort: Effort, pairing: Pairing): Promise<Figure> {
  const { baseline: times, subject: timesSubject } = pairing.each ?? { baseline: 1, subject: 1 };
  const baselines: Run[] = [];
  const subjects: Run[] = [];
  const asides = (pairing.asides ?? []).map(({ name, subject }) => ({ name, subject, runs: [] as Run[] }));
  for (let round = 0; round < effort.rounds; round++) {
    baselines.push(await pairing.baseline.run(effort));
    subjects.push(await pairing.subject.run(effort));
    for (const { subject, runs } of asides) runs.push(await subject.run(effort));
  }
  const ratios = subjects.map((run, round) => (run.perSecond * timesSubject) / ((baselines[round]?.perSecond ?? 0) * times));
  const rate = median(subjects.map((run) => run.perSecond)) * timesSubject;
  const ceiling = median(subjects.map((run) => run.perSecond / run.busy)) * timesSubject;
  const notes = [`${display(rate)} messages/s`, `${pairing.name} ${display(median(baselines.map((run) => run.perSecond)) * times)}`];
  for (const { name, runs } of asides) notes.push(`${name} ${display(median(runs.map((run) => run.perSecond)))}`);
  if (pairing.note !== undefined) notes.push(pairing.note(subjects, baselines));
  return {
    value: median(ratios),
    note: notes.join('; '),
    ceiling,
    generatorBound: ceiling < 1.2 * rate,
  };
}
