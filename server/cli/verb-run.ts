// What every verb does around its work: it can be interrupted, it ends when nobody reads it any more, and its exit code is set.
// Always: (1) an interrupt, and a reader that goes away, abort `stop`; (2) a reader that went away is a success; (3) an error of anything else is thrown on.
// Refuses: to know what the work is, and how its errors read.

import { ExitCode } from './exit-codes.ts';
import { Output } from './output.ts';
import type { Terminal } from './terminal.ts';

export async function runInTerminal(
  terminal: Terminal,
  isJson: boolean,
  work: (output: Output, stop: AbortSignal) => Promise<ExitCode>,
): Promise<void> {
  const stopping = new AbortController();
  const forget = terminal.onInterrupt(() => stopping.abort());
  terminal.output.on('error', (error) => stopping.abort(error));
  const output = new Output(terminal, isJson);
  try {
    const code = await work(output, stopping.signal);
    output.check();
    terminal.exit(output.isReaderGone ? ExitCode.Ok : code);
  } catch (error) {
    output.check();
    if (output.isReaderGone) terminal.exit(ExitCode.Ok);
    else if (stopping.signal.aborted) terminal.exit(ExitCode.Interrupted);
    else throw error;
  } finally {
    output.done();
    forget();
  }
}
