// What a run shall do: everything but where the broker is and what was declared there before.

export interface Plan {
  readonly publishers: number;
  readonly consumers: number;
  readonly bodyBytes: number;
  /** Publishes that a publisher leaves unconfirmed; 0: it asks for no confirms. */
  readonly confirmWindow: number;
  /** Publishes of all publishers together that may be on their way to the consumers; 0: any number. It needs to know `copies`. */
  readonly inFlight: number;
  /** Deliveries that a consumer leaves unacked; 0: any number. */
  readonly prefetch: number;
  /** 0: automatic. */
  readonly ackEvery: number;
  readonly isPersistent: boolean;
  /** Messages a second of all publishers together; 0: as fast as it goes. */
  readonly ratePerSecond: number;
  /** Counted, behind the warm-up; 0: until the limits are reached. */
  readonly seconds: number;
  readonly warmUpSeconds: number;
  /** Of all publishers together; 0: none. */
  readonly publishLimit: number;
  readonly consumeLimit: number;
  readonly exchange: string;
  /** Taken in turn. */
  readonly routingKeys: readonly string[];
  /** Consumer i of y takes queues i, i + y, ...; where there are fewer queues than consumers, they share. */
  readonly queues: readonly string[];
  /** Deliveries that follow from one publish; 0: it is not known, and nothing is waited for or compared. */
  readonly copies: number;
}

export const PLAN: Plan = {
  publishers: 1,
  consumers: 1,
  bodyBytes: 100,
  confirmWindow: 0,
  inFlight: 0,
  prefetch: 0,
  ackEvery: 0,
  isPersistent: false,
  ratePerSecond: 0,
  seconds: 10,
  warmUpSeconds: 0,
  publishLimit: 0,
  consumeLimit: 0,
  exchange: '',
  routingKeys: [],
  queues: [],
  copies: 1,
};

/** The queues of consumer `index`. */
export function queuesOf({ queues, consumers }: Pick<Plan, 'queues' | 'consumers'>, index: number): string[] {
  if (queues.length < consumers) return queues.length === 0 ? [] : [queues[index % queues.length] as string];
  return queues.filter((_, i) => i % consumers === index);
}

/** Of `limit`, the share of publisher `index`; a limit of 0 is none. */
export function shareOf(limit: number, index: number, publishers: number): number {
  if (limit === 0) return Number.POSITIVE_INFINITY;
  return Math.floor(limit / publishers) + (index < limit % publishers ? 1 : 0);
}
