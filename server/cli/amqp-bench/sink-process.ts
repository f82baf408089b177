// The sink as a process of its own, so that it shares no thread with the generator that it is to measure; and, in that process, its main program.
// Always: the process ends with its parent's channel, whatever became of the parent.

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Sink, type SinkOptions } from './sink.ts';

const CHILD = 'leveret-sink';

export interface SinkProcess {
  readonly url: string;
  stop(): Promise<void>;
}

export async function startSink(options: SinkOptions): Promise<SinkProcess> {
  const child = fork(fileURLToPath(import.meta.url), [CHILD, JSON.stringify(options)], {
    stdio: 'inherit',
    detached: true, // a Ctrl-C is the generator's: it has figures to print, and ends this one
  });
  const failed = once(child, 'exit').then(([code]) => {
    throw new Error(`the sink ended with ${code} before it was ready`);
  });
  const [port] = await Promise.race([once(child, 'message'), failed]);
  return {
    url: `amqp://127.0.0.1:${port}`,
    async stop() {
      const ended = child.exitCode === null ? once(child, 'exit') : undefined;
      child.disconnect();
      await ended;
    },
  };
}

function optionsOf(text: string | undefined): SinkOptions {
  const read: unknown = JSON.parse(text ?? '');
  if (typeof read === 'object' && read !== null && 'bodyBytes' in read && 'publishBytes' in read && 'isSource' in read) {
    const { bodyBytes, publishBytes, isSource } = read;
    if (typeof bodyBytes === 'number' && typeof publishBytes === 'number' && typeof isSource === 'boolean')
      return { bodyBytes, publishBytes, isSource };
  }
  throw new Error(`no options of a sink: ${text}`);
}

if (process.argv[2] === CHILD && process.send !== undefined) {
  process.on('disconnect', () => process.exit(0));
  process.send(await new Sink(optionsOf(process.argv[3])).listen());
}
