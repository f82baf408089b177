// The time that a message carries in the first eight bytes of its body: microseconds as a double, 0 for none.
// Always: the clock is the machine's monotonic one, so that publisher and consumer may be two processes of one machine.

export const STAMP_BYTES = 8;

// A body that somebody else wrote begins with anything; what it says counts as a time only if it is one of the last hour.
const AGE_US_MAX = 3_600e6;

// performance.now() costs no garbage, and counts from this process's start: what is added makes it the machine's clock. Of several tries the one counts
// between whose ends least time passed, for the first calls are slow.
const originUs = calibrate();

function calibrate(): number {
  let origin = 0;
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 100; i++) {
    const before = performance.now();
    const [seconds, nanoseconds] = process.hrtime();
    const passed = performance.now() - before;
    if (passed >= least) continue;
    least = passed;
    origin = seconds * 1e6 + nanoseconds / 1e3 - (before + passed / 2) * 1e3;
  }
  return origin;
}

export function nowUs(): number {
  return originUs + performance.now() * 1e3;
}

export function isStamp(stamp: number, now: number): boolean {
  return stamp > Math.max(0, now - AGE_US_MAX) && stamp <= now;
}
