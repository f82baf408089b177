// Who may come in, as every protocol asks it. The answer is somebody else's (administrator.ts).
// Always: a refusal waits LOGIN_DELAY_MS before its peer hears of it, so that guessing is slow. Refuses: to know where users are kept.

/** security.md: auth failures, 1 s delay. */
export const LOGIN_DELAY_MS = 1000;

export interface Login {
  /** Throws an AmqpError 403. */
  check(user: string, password: string, remote: Remote): void;
  /** The user whom a client certificate that the server has verified stands for. Throws an AmqpError 403. */
  certified(commonName: string, remote: Remote): string;
}

/** Who is on the other side, as far as the transport can tell. */
export interface Remote {
  readonly name: string;
  /** Of its host, as text. */
  readonly address: string;
  readonly isLoopback: boolean;
}
