// Plays situations against a broker, and tells two brokers' transcripts apart.
// Always: (1) a difference is named to the line, in order; (2) headers that one broker adds are told apart from all else, so that they hide
// nothing; (3) what is meant must be exactly what is found: neither more nor less.
// Refuses to know what is meant: meant.ts does.

import { type Situation, Stage, type Target } from './stage.ts';
import type { Transcript } from './transcript.ts';

const SIDE_BY_SIDE = 40; // many of them only wait
let runs = 0;

/** The transcript of each situation, by its name. */
export async function play(target: Target, situations: readonly Situation[], sideBySide = SIDE_BY_SIDE): Promise<Map<string, Transcript>> {
  const run = (process.pid * 100 + ++runs).toString(36).slice(-4).padStart(4, '0');
  const transcripts = new Map<string, Transcript>();
  const rest = situations.map((situation, place) => ({ situation, place }));
  const worker = async (): Promise<void> => {
    for (let next = rest.shift(); next !== undefined; next = rest.shift()) {
      const { name, play: script } = next.situation;
      // Of one length, for texts are cut at 255 bytes.
      transcripts.set(name, await new Stage(target, `${run}-${String(next.place).padStart(4, '0')}.`).run(script));
    }
  };
  await Promise.all(Array.from({ length: sideBySide }, worker));
  return transcripts;
}

export interface Difference {
  /** Headers that only the second broker adds. */
  readonly added: readonly string[];
  /** Lines of the first broker alone (`- `) and of the second alone (`+ `), apart from those headers. */
  readonly lines: readonly string[];
}

/** undefined: there is none. */
export function differenceOf(first: Transcript, second: Transcript): Difference | undefined {
  if (joined(first.map(({ text }) => text)) === joined(second.map(({ text }) => text))) return undefined;
  const known = new Set(first.flatMap(({ added }) => added));
  const added = [...new Set(second.flatMap((line) => line.added))].filter((name) => !known.has(name)).sort();
  // Where both add the same header it is compared like any other.
  const seconds = second.map((line) => (line.added.some((name) => known.has(name)) ? line.text : line.plain));
  return {
    added,
    lines: lineDifference(
      first.map(({ text }) => text),
      seconds,
    ),
  };
}

const joined = (lines: readonly string[]): string => lines.join('\n');

/** What has to go and to come to make one list of the other: the longest common subsequence stays. */
function lineDifference(first: readonly string[], second: readonly string[]): string[] {
  // common[i][j]: how much first[i..] and second[j..] have in common
  const common = Array.from({ length: first.length + 1 }, () => new Array<number>(second.length + 1).fill(0));
  const at = (i: number, j: number): number => common[i]?.[j] ?? 0;
  for (let i = first.length - 1; i >= 0; i--) {
    for (let j = second.length - 1; j >= 0; j--) {
      const row = common[i] as number[];
      row[j] = first[i] === second[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const lines: string[] = [];
  for (let i = 0, j = 0; i < first.length || j < second.length; ) {
    if (i < first.length && j < second.length && first[i] === second[j]) {
      i++;
      j++;
    } else if (j >= second.length || (i < first.length && at(i + 1, j) >= at(i, j + 1))) lines.push(`- ${first[i++]}`);
    else lines.push(`+ ${second[j++]}`);
  }
  return lines;
}
