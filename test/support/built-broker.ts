// The built broker as a process of its own, as `leveret start` runs it: for tests whose other side is a process or a browser too.
// Always: (1) it listens on a free port of loopback, and keeps messages in memory unless told a directory; (2) `stop` asks it to end and fails when it does not end cleanly; (3) a broker that does
// not start fails with what it printed.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const SHIM = fileURLToPath(new URL('../../server/bin/leveret.js', import.meta.url));

export interface BuiltBroker {
  /** Its ws:// address. */
  readonly url: string;
  /** Its amqp:// address, with guest. */
  readonly amqpUrl: string;
  readonly pid: number;
  /** What it has written to stderr: its log. */
  errors(): string;
  stop(): Promise<void>;
  /** Ends it as a crash would. */
  kill(): Promise<void>;
}

/** `flags` say where messages are kept, and more. */
export async function startBuiltBroker(
  environment: Readonly<Record<string, string>> = {},
  flags: readonly string[] = ['--memory'],
): Promise<BuiltBroker> {
  const child = spawn(process.execPath, [SHIM, 'start', '--host', '127.0.0.1', '--http-port', '0', '--amqp-port', '0', ...flags], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...environment },
  });
  let printed = '';
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => {
    errors += chunk.toString();
  });
  const [url, amqpUrl] = await new Promise<[string, string]>((resolve, reject) => {
    const read = (chunk: Buffer): void => {
      printed += chunk.toString();
      const found = /(ws:\/\/\S+)[\s\S]*?amqp:\/\/(\S+)\s/.exec(printed);
      if (found !== null) resolve([String(found[1]), `amqp://guest:guest@${found[2]}`]);
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    child.once('error', reject);
    child.once('exit', (code, signal) => reject(new Error(`the broker ended with ${signal ?? code} before it was ready:\n${printed}`)));
  });
  return {
    url,
    amqpUrl,
    pid: child.pid ?? 0,
    errors: () => errors,
    async stop() {
      const ended = child.exitCode === null && child.signalCode === null ? once(child, 'exit') : undefined;
      child.kill('SIGTERM');
      await ended;
      if (child.exitCode !== 0) throw new Error(`the broker ended with ${child.signalCode ?? child.exitCode}:\n${printed}`);
    },
    async kill() {
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    },
  };
}
