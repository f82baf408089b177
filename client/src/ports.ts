// Time and chance, as the client asks for them: the only place that touches timers, Date and Math.random, so that tests own them.

export interface ClientPorts {
  /** Milliseconds since 1970. */
  now(): number;
  /** 0 <= x < 1. */
  random(): number;
  /** Calls `run` once, `ms` from now; what it answers takes that back. */
  after(ms: number, run: () => void): () => void;
}

// setTimeout takes 31 bits: 24 days. What is due later is due then: for a client, for ever.
const TIMER_MS_MAX = 2_147_483_647;

export const realPorts: ClientPorts = {
  now: () => Date.now(),
  random: () => Math.random(),
  after(ms, run) {
    const timer = setTimeout(run, Math.min(ms, TIMER_MS_MAX));
    return () => clearTimeout(timer);
  },
};
