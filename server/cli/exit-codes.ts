// What the process's exit code tells a script. The numbers above 63 are those of sysexits(3), so that a supervisor may know them already.
// Always: a code, once released, keeps its meaning; docs/configuration.md lists every one.

export const ExitCode = {
  Ok: 0,
  /** What was asked could not be done: the broker refused it, or a message was not routed. */
  Failure: 1,
  /** The command line was not understood. */
  Usage: 64,
  /** Input that was named or piped in cannot be read, or a data directory is damaged. */
  BadInput: 65,
  /** No broker answers at the address. */
  Unreachable: 69,
  /** A fault of ours. */
  Internal: 70,
  /** Another process has the data directory. */
  DataInUse: 72,
  /** The port or the data directory cannot be had: taken, not permitted, not possible there. */
  Unavailable: 73,
  /** A disk or a pipe failed. */
  InputOutput: 74,
  /** It did not happen in the time that was given. */
  Timeout: 75,
  /** The broker refused the user or the password. */
  LoginRefused: 77,
  /** The configuration is wrong: file, environment or flag; or the data directory is of a newer version. */
  Configuration: 78,
  /** Ended by a second SIGINT, before it was done. */
  Interrupted: 130,
} as const;
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

/** Thrown by a verb: its text is for the person, its code for the script. */
export class CliError extends Error {
  readonly exitCode: ExitCode;
  /** What to do about it, in one sentence. */
  readonly hint: string | undefined;

  constructor(exitCode: ExitCode, text: string, hint?: string) {
    super(text);
    this.name = 'CliError';
    this.exitCode = exitCode;
    this.hint = hint;
  }
}
