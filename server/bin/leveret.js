#!/usr/bin/env node
// The `leveret` command. Committed, so that `npx leveret` exists before the first build; all it does is find the compiled program.
import { existsSync } from 'node:fs';

const program = new URL('../dist/server/main.js', import.meta.url);
if (existsSync(program)) {
  await import(program.href);
} else {
  process.stderr.write('leveret: not built yet: run `npm start` or `npm run build` first\n');
  process.exitCode = 70;
}
