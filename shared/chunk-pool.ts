// Buffers for outboxes, shared by all connections: an idle connection holds none, so 10,000 of them cost nothing here.
// Always: (1) sizes are four classes, each four times the one before; (2) what is kept for reuse is bounded; (3) a chunk is handed to one owner at a time.
// Refuses to clear chunks: an outbox sends only what it has written.

/** The largest class: what one binary message holds at most, and so one frame. 256 KiB: measured, more gains nothing. */
export const CHUNK_BYTES_MAX = 262_144;
const CLASS_BYTES = [4096, 16_384, 65_536, CHUNK_BYTES_MAX] as const;
const sizes: readonly number[] = CLASS_BYTES;
const KEPT_BYTES_MAX = 8 * 1024 * 1024; // of each class

const kept: Uint8Array[][] = CLASS_BYTES.map(() => []);

/** A chunk of at least `bytes`, which is at most CHUNK_BYTES_MAX. Its content is whatever it was. */
export function takeChunk(bytes: number): Uint8Array {
  let index = 0;
  while (index < CLASS_BYTES.length - 1 && (CLASS_BYTES[index] ?? 0) < bytes) index++;
  return kept[index]?.pop() ?? new Uint8Array(CLASS_BYTES[index] ?? CHUNK_BYTES_MAX);
}

export function giveChunk(chunk: Uint8Array): void {
  const index = sizes.indexOf(chunk.length);
  const list = kept[index];
  if (list !== undefined && list.length * chunk.length < KEPT_BYTES_MAX) list.push(chunk);
}
