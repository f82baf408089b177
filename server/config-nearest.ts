// "Did you mean ...?": the known name that is fewest edits away.
// Always: answers nothing rather than a name that shares little with what was typed: a third of its letters may be wrong, at most.

/** Insertions, deletions, replacements and swaps of neighbours that turn one name into the other (optimal string alignment). */
export function editDistance(from: string, to: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (let i = 1; i <= from.length; i++) {
    const row = [i];
    for (let j = 1; j <= to.length; j++) {
      const same = from[i - 1] === to[j - 1];
      let least = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + (same ? 0 : 1));
      if (i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1]) least = Math.min(least, (beforeLast[j - 2] ?? 0) + 1);
      row.push(least);
    }
    beforeLast = last;
    last = row;
  }
  return last[to.length] ?? 0;
}

export function nearest(name: string, known: readonly string[]): string | undefined {
  // Case and the choice between - _ and . are not what makes names different.
  const plain = (text: string): string => text.toLowerCase().replace(/[-_.]/g, '');
  let best: string | undefined;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const candidate of known) {
    // `connections` at the top of the file is meant as `limits.connections`.
    const tail = candidate.slice(candidate.lastIndexOf('.') + 1);
    const distance = Math.min(editDistance(plain(name), plain(candidate)), editDistance(plain(name), plain(tail)));
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return bestDistance <= Math.max(1, Math.floor(plain(name).length / 3)) ? best : undefined;
}
