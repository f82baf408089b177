// How a driver says what it saw, where neither Vitest nor node:assert is: the same code runs in a page.
// Always: (1) a check that fails throws, and names what it looked at; (2) waiting for what should come ends with an error, never with a guess.

/** Compares by JSON with sorted fields, which is enough for what drivers compare. */
export function same(what: string, actual: unknown, expected: unknown): void {
  const [is, wanted] = [text(actual), text(expected)];
  if (is !== wanted) throw new Error(`${what} is ${is}, not ${wanted}`);
}

function text(value: unknown): string {
  return String(
    JSON.stringify(value, (_field, each: unknown) =>
      typeof each === 'object' && each !== null && !Array.isArray(each)
        ? Object.fromEntries(Object.entries(each).sort(([a], [b]) => (a < b ? -1 : 1)))
        : each,
    ),
  );
}

export function holds(what: string, condition: boolean): void {
  if (!condition) throw new Error(`not so: ${what}`);
}

/** The error that `action` must reject with; its text must match. */
export async function refused(what: string, action: () => Promise<unknown>, text: RegExp): Promise<void> {
  let message: string;
  try {
    await action();
    message = '';
  } catch (error) {
    message = String(error instanceof Error ? error.message : error);
  }
  if (message === '') throw new Error(`${what} was not refused`);
  if (!text.test(message)) throw new Error(`${what} was refused with ${JSON.stringify(message)}, not with ${text}`);
}

/** What comes in, in order, for who waits for it. */
export class Inbox<Item> {
  readonly #items: Item[] = [];
  readonly #patienceMs: number;
  #arrived: () => void = () => {};

  constructor(patienceMs: number) {
    this.#patienceMs = patienceMs;
  }

  put(item: Item): void {
    this.#items.push(item);
    this.#arrived();
  }

  get waiting(): number {
    return this.#items.length;
  }

  async take(what: string): Promise<Item> {
    if (this.#items.length === 0) await within(this.#patienceMs, what, new Promise<void>((resolve) => (this.#arrived = resolve)));
    const item = this.#items.shift();
    if (item === undefined) throw new Error(`${what} did not come`);
    return item;
  }
}

/** What comes after a connection was lost: the message before it may come again, as its ack may not have reached the broker. */
export async function takeBehind(inbox: Inbox<string | null>, before: string): Promise<string | null> {
  const first = await inbox.take(`what comes behind ${before}`);
  return first === before ? inbox.take(`what comes behind a second ${before}`) : first;
}

/** The promise's value, or an error when it does not come in time. */
export async function within<Value>(patienceMs: number, what: string, promise: Promise<Value>): Promise<Value> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not come in ${patienceMs} ms`)), patienceMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Asks again and again, until it is so. */
export async function until(patienceMs: number, what: string, condition: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + patienceMs;
  while (!(await condition())) if (performance.now() > end) throw new Error(`${what} did not come in ${patienceMs} ms`);
}

/** A name that no other scenario has. */
export function fresh(word: string): string {
  return `foreign.${word}.${Math.random().toString(36).slice(2, 10)}`;
}

export const LARGE_BYTES = 10 * 1024 * 1024;

/** Bytes without a pattern that a lost or doubled piece could hide in. */
export function largeBody(): Uint8Array<ArrayBuffer> {
  const words = new Uint32Array(LARGE_BYTES / 4);
  let state = 0x2545f491;
  for (let index = 0; index < words.length; index++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[index] = state;
  }
  return new Uint8Array(words.buffer);
}

/** SHA-256 in hex, in Node and in pages alike. */
export async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return [...digest].map((octet) => octet.toString(16).padStart(2, '0')).join('');
}
