// POSTs alerts to an address, one after the other.
// Always: (1) nobody waits for it: `push` only queues; (2) at most WAITING_MAX wait, the oldest goes first when there are more; (3) a try ends after
// `timeoutMs`; what the other side may take later (no answer, 408, 429, 5xx) is tried again, at growing distances, TRIES_MAX times in all;
// (4) with a secret each request carries x-leveret-signature: sha256=, the HMAC of its timestamp, a dot and its body. A retry has the same
// x-leveret-delivery, so that a receiver can tell it from another alert.
// Refuses: to follow redirects, to read answers, and to show the address's path or the secret in a notice.

import { createHmac, randomUUID } from 'node:crypto';
import { Ring } from '../shared/ring.ts';
import type { Clock, Notices, Timer } from './ports.ts';

const WAITING_MAX = 100;
const TRIES_MAX = 6;
const BACKOFF_MS = 1_000; // then 2, 4, 8 and 16 s
const TIMEOUT_MS = 5_000;

export interface WebhookOptions {
  readonly url: string;
  readonly secret?: string;
  readonly clock: Clock;
  readonly notices: Notices;
  readonly timeoutMs?: number;
}

interface Item {
  readonly id: string;
  readonly body: string;
}

export class Webhook {
  sent = 0;
  failed = 0;
  dropped = 0;
  readonly #options: WebhookOptions;
  readonly #waiting = new Ring<Item>();
  #tries = 0;
  #isBusy = false;
  #isClosed = false;
  #timer: Timer | undefined;
  #abort = new AbortController();

  /** Throws a TypeError for what is no http or https URL. */
  constructor(options: WebhookOptions) {
    const { protocol } = new URL(options.url);
    if (protocol !== 'http:' && protocol !== 'https:') throw new TypeError(`a webhook is http: or https:, not ${protocol}`);
    this.#options = options;
  }

  push(payload: object): void {
    if (this.#isClosed) return;
    this.#waiting.push({ id: randomUUID(), body: JSON.stringify(payload) });
    if (this.#waiting.length > WAITING_MAX) {
      this.#waiting.shift();
      this.#tries = 0;
      this.dropped++;
    }
    this.#next();
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#abort.abort();
  }

  #next(): void {
    const item = this.#waiting.peek();
    if (item === undefined || this.#isBusy || this.#isClosed || this.#timer !== undefined) return;
    this.#isBusy = true;
    this.#tries++;
    this.#post(item).then(
      (status) => this.#answered(item, status),
      () => this.#answered(item, 0), // no answer
    );
  }

  async #post({ id, body }: Item): Promise<number> {
    const { url, secret, clock, timeoutMs = TIMEOUT_MS } = this.#options;
    const timestamp = String(Math.floor(clock.now() / 1000));
    const headers: Record<string, string> = {
      'content-type': 'application/json',
      'user-agent': 'Leveret',
      'x-leveret-delivery': id,
      'x-leveret-timestamp': timestamp,
    };
    if (secret !== undefined) headers['x-leveret-signature'] = `sha256=${sign(secret, timestamp, body)}`;
    const signal = AbortSignal.any([this.#abort.signal, AbortSignal.timeout(timeoutMs)]);
    const response = await fetch(url, { method: 'POST', headers, body, signal, redirect: 'manual' });
    await response.body?.cancel();
    return response.status;
  }

  #answered(item: Item, status: number): void {
    this.#isBusy = false;
    if (this.#isClosed) return;
    const isTaken = status >= 200 && status < 300;
    const isFirst = this.#waiting.peek() === item; // else it was dropped meanwhile
    if (!isTaken && isFirst && this.#tries < TRIES_MAX && mayPass(status)) {
      const { clock } = this.#options;
      this.#timer = clock.setTimer(clock.now() + BACKOFF_MS * 2 ** (this.#tries - 1), () => {
        this.#timer = undefined;
        this.#next();
      });
      return;
    }
    if (isFirst) this.#waiting.shift();
    this.#tries = 0;
    if (isTaken) this.sent++;
    else if (isFirst) {
      this.failed++;
      this.#options.notices.notice({
        kind: 'webhook.failed',
        severity: 'warn',
        text: 'an alert could not be delivered to its webhook',
        fields: { host: new URL(this.#options.url).host, status },
      });
    }
    this.#next();
  }
}

/** What the receiver computes to compare. */
export function sign(secret: string, timestamp: string, body: string): string {
  return createHmac('sha256', secret).update(`${timestamp}.${body}`).digest('hex');
}

/** 0: no answer. */
function mayPass(status: number): boolean {
  return status === 0 || status === 408 || status === 429 || status >= 500;
}
