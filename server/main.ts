// Where the process starts: one command line in, one exit code out.
// Always: the exit code is set, never forced, so that what is still being written gets written.

import { run } from './cli/program.ts';

process.exitCode = await run(process.argv.slice(2));
