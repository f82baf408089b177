// The states of a connection: every edge there is, and no other.
import { expect, test } from 'vitest';
import { checkEdge, edges, Phase, stateNames } from '../../../client/src/phase.ts';

const phases = Object.values(Phase);

test('every edge may be walked, and no other', () => {
  for (const from of phases) {
    for (const to of phases) {
      if (edges[from]?.includes(to)) expect(checkEdge(from, to)).toBe(to);
      else expect(() => checkEdge(from, to)).toThrow('no edge');
    }
  }
});

test('every phase but the last can end, and every one is reached from the first', () => {
  expect(edges[Phase.Closed]).toEqual([]);
  for (const phase of phases) if (phase !== Phase.Closed) expect(edges[phase]).toContain(Phase.Closed);
  const reached = new Set<number>([Phase.Connecting]);
  for (const phase of reached) for (const next of edges[phase] ?? []) reached.add(next);
  expect(reached.size).toBe(phases.length);
  expect(stateNames).toHaveLength(phases.length);
});
