// How much memory the process has resident, as the system tells it.
// Always: an answer: a system that cannot say it now (no file descriptor is left to ask with) is taken to say what it said last.
// Refuses: to throw; a timer that reads it must not end the process.

/** A reader of `read` that stands in with the last figure. */
export function lastKnown(read: () => number): () => number {
  let last = 0;
  return () => {
    try {
      last = read();
    } catch {
      // EMFILE: asked again next time
    }
    return last;
  };
}

export const residentBytes = lastKnown(process.memoryUsage.rss);
