// Our own mistakes. An invariant that fails closes the connection it happened in with 541; in store/ it ends the process.
// Always: the text says what should have held, not what to do. Refuses: anything a peer can cause (error.ts).

export class InvariantError extends Error {
  constructor(text: string) {
    super(`invariant broken: ${text}`);
    this.name = 'InvariantError';
  }
}

export function invariant(condition: unknown, text: string): asserts condition {
  if (!condition) throw new InvariantError(text);
}
