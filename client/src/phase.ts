// Where a connection stands, and the only ways from one place to another.
//
//   Connecting -> Greeting -> Restoring -> Open        any of these four -> Waiting (the link is gone) -> Connecting
//   any of the first five -> Closed (for good)
//
// Always: one field holds the phase, and `checkEdge` is asked before it changes. Differs from what users see: stateNames.

/** Connecting: the link opens. Greeting: hello is sent. Restoring: topology, publishers and consumers are declared again. Waiting: until the next try. */
export const Phase = { Connecting: 0, Greeting: 1, Restoring: 2, Open: 3, Waiting: 4, Closed: 5 } as const;
export type Phase = (typeof Phase)[keyof typeof Phase];

/** The edge list: from each phase, where it may go. */
export const edges: readonly (readonly Phase[])[] = [[1, 4, 5], [2, 4, 5], [3, 4, 5], [4, 5], [0, 5], []];

/** What `state` listeners see. */
export type ConnectionState = 'connecting' | 'open' | 'waiting' | 'closed';
export const stateNames: readonly ConnectionState[] = ['connecting', 'connecting', 'connecting', 'open', 'waiting', 'closed'];

/** Answers `to`, if the edge exists. */
export function checkEdge(from: Phase, to: Phase): Phase {
  // Our own mistake; shared/assert.ts would be the way to say it, and costs a page a hundred bytes.
  if (!edges[from]?.includes(to)) throw new Error(`no edge ${from}-${to}`);
  return to;
}
