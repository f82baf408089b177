// A list of the newest messages of one exchange, from a tap: no queue is kept for it, and nothing is taken from anybody.
// Always: (1) everything a message holds is shown as text; (2) at most ROWS_MAX rows, redrawn once a frame however fast messages come; (3) an
// exchange that is missing or goes away is looked for again, until the list is stopped.

import { type Connection, LeveretError, type Message } from 'leveret-client';

const ROWS_MAX = 60;
const RETRY_MS = 1_000;

/** What a row shows of a message. */
export interface Line {
  readonly tag: string;
  readonly text: string;
}

export class MessageList {
  readonly #list: HTMLElement;
  readonly #note: HTMLElement;
  readonly #describe: (message: Message) => Line;
  readonly #fresh: HTMLLIElement[] = [];
  #seen = 0;

  constructor(list: HTMLElement, note: HTMLElement, describe: (message: Message) => Line) {
    this.#list = list;
    this.#note = note;
    this.#describe = describe;
  }

  /** Watches until `signal` aborts. */
  async watch(connection: Connection, exchange: string, keys: string, signal: AbortSignal): Promise<void> {
    this.#list.replaceChildren();
    this.#seen = 0;
    while (!signal.aborted) {
      this.#note.textContent = `${exchange}, ${keys}`;
      const tap = connection.exchange(exchange).subscribe(keys, { buffer: 200 });
      const stop = (): void => void tap.cancel();
      signal.addEventListener('abort', stop, { once: true });
      try {
        for await (const message of tap) this.#add(message);
      } catch (error) {
        this.#note.textContent = `${exchange}: ${error instanceof LeveretError ? error.reason : String(error)}`;
      }
      signal.removeEventListener('abort', stop);
      if (!signal.aborted) await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }

  #add(message: Message): void {
    const { tag, text } = this.#describe(message);
    const row = document.createElement('li');
    const time = document.createElement('time');
    time.textContent = new Date().toLocaleTimeString('en-GB');
    const label = document.createElement('b');
    label.textContent = tag;
    const rest = document.createElement('span');
    rest.textContent = text;
    rest.title = text;
    row.append(time, label, rest);
    this.#seen += 1;
    this.#fresh.unshift(row);
    if (this.#fresh.length > ROWS_MAX) this.#fresh.length = ROWS_MAX;
    if (this.#fresh.length === 1) requestAnimationFrame(() => this.#draw());
  }

  #draw(): void {
    this.#list.prepend(...this.#fresh);
    this.#fresh.length = 0;
    while (this.#list.childElementCount > ROWS_MAX) this.#list.lastElementChild?.remove();
    this.#list.dataset['seen'] = String(this.#seen);
  }
}
