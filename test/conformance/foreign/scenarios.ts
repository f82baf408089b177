// What every foreign client is put through, and what a driver of one is: the columns and the rows of the table.
// Always: (1) a scenario that holds answers with a note of what was seen, one that does not throws; (2) only an extra scenario may be beyond a
// client, and then says why. Imports nothing, so that the browser's driver carries it too.

/** Every client does all of these. */
export const REQUIRED = ['confirms', 'ack and nack', 'topology', 'rpc', 'ttl and dlx', '10 MB', 'restart'] as const;
/** Whoever can express it does these. */
export const EXTRA = ['killed', 'headers', 'priority', 'returned', 'exclusive', 'cancelled', 'get', 'blocked'] as const;
export const SCENARIOS = [...REQUIRED, ...EXTRA] as const;
export type Scenario = (typeof SCENARIOS)[number];

/** What a driver may ask of the broker that it talks to. */
export interface Target {
  /** amqp://guest:guest@127.0.0.1:port */
  readonly amqpUrl: string;
  /** ws://127.0.0.1:port/ws */
  readonly webSocketUrl: string;
  /** How long a driver waits for what should come: a rescue, not a measure. */
  readonly patienceMs: number;
  /** Ends the broker in good order, which closes all connections, and starts it again: same ports, same data. */
  restart(): Promise<void>;
  /** The same with a broker that is killed. */
  kill(): Promise<void>;
  /** A broker of the same kind, or the same one, whose memory alarm stands until `relieve`: publishers are held back. */
  squeeze(): Promise<Pick<Target, 'amqpUrl' | 'webSocketUrl'>>;
  relieve(): Promise<void>;
}

/** A client that is ready to be put through scenarios. */
export interface Driver {
  /** Resolves with a note. Rejects when the scenario does not hold, and with Beyond when the client has no means to express it. */
  run(scenario: Scenario): Promise<string>;
  close(): Promise<void>;
}

/** Scenarios of a client that runs in this process (or in a page). */
export type Scripts = Readonly<Record<Scenario, (target: Target) => Promise<string>>>;

/** An extra scenario that a client has no means to express. */
export class Beyond extends Error {}

export function driverOf(scripts: Scripts, target: Target): Driver {
  return { run: (scenario) => scripts[scenario](target), close: async () => {} };
}
