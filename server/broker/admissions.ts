// How many connections there may be: in all, from one address, and that have not logged in. One count for every protocol.
// Always: (1) a connection counts from its admission until it has left, once; (2) peers on loopback are exempt from the limit per address
// (security.md, 3). Refuses: to know sockets; who is refused is closed by its listener.

export interface AdmissionLimits {
  readonly connectionsMax: number;
  readonly connectionsPerIpMax: number;
  readonly unauthenticatedMax: number;
}

/** One connection that was let in. */
export interface Admission {
  /** It has logged in. */
  opened(): void;
  /** It is gone. */
  left(): void;
}

export class Admissions {
  readonly #limits: AdmissionLimits;
  readonly #countByAddress = new Map<string, number>();
  #count = 0;
  #unauthenticatedCount = 0;

  constructor(limits: AdmissionLimits) {
    this.#limits = limits;
  }

  /** Why one more from `address` would be too many; undefined: it would not. */
  refusal(address: string, isLoopback: boolean): string | undefined {
    const { connectionsMax, connectionsPerIpMax, unauthenticatedMax } = this.#limits;
    if (this.#count >= connectionsMax) return `more than ${connectionsMax} connections`;
    if (this.#unauthenticatedCount >= unauthenticatedMax) return `more than ${unauthenticatedMax} connections that have not logged in`;
    if (!isLoopback && (this.#countByAddress.get(address) ?? 0) >= connectionsPerIpMax)
      return `more than ${connectionsPerIpMax} connections from one address`;
    return undefined;
  }

  admit(address: string): Admission {
    this.#count++;
    this.#unauthenticatedCount++;
    this.#countByAddress.set(address, (this.#countByAddress.get(address) ?? 0) + 1);
    let state: 'new' | 'open' | 'gone' = 'new';
    return {
      opened: () => {
        if (state !== 'new') return;
        state = 'open';
        this.#unauthenticatedCount--;
      },
      left: () => {
        if (state === 'gone') return;
        if (state === 'new') this.#unauthenticatedCount--;
        state = 'gone';
        this.#count--;
        this.#forget(address);
      },
    };
  }

  #forget(address: string): void {
    const left = (this.#countByAddress.get(address) ?? 1) - 1;
    if (left > 0) this.#countByAddress.set(address, left);
    else this.#countByAddress.delete(address);
  }
}
