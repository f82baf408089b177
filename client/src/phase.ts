// Where a connection stands, and the only ways from one place to another.
//
//   Connecting -> Greeting -> Restoring -> Open        any of these four -> Waiting (the link is gone) -> Connecting
//   any of the first five -> Closed (for good)
//
// Always: one field holds the phase, and `checkEdge` is asked before it changes. Differs from what users see: stateNames.

import { invariant } from '../../shared/assert.ts';

/** Connecting: the link opens. Greeting: hello is sent. Restoring: topology, publishers and consumers are declared again. Waiting: until the next try. */
export const Phase = { Connecting: 0, Greeting: 1, Restoring: 2, Open: 3, Waiting: 4, Closed: 5 } as const;
export type Phase = (typeof Phase)[keyof typeof Phase];

const { Connecting, Greeting, Restoring, Open, Waiting, Closed } = Phase;

/** The edge list: from each phase, where it may go. */
export const edges: readonly (readonly Phase[])[] = [
  [Greeting, Waiting, Closed],
  [Restoring, Waiting, Closed],
  [Open, Waiting, Closed],
  [Waiting, Closed],
  [Connecting, Closed],
  [],
];

/** What `state` listeners see. */
export type ConnectionState = 'connecting' | 'open' | 'waiting' | 'closed';
export const stateNames: readonly ConnectionState[] = ['connecting', 'connecting', 'connecting', 'open', 'waiting', 'closed'];

/** Answers `to`, if the edge exists. */
export function checkEdge(from: Phase, to: Phase): Phase {
  invariant(edges[from]?.includes(to), `a connection goes from phase ${from} to ${to}`);
  return to;
}
