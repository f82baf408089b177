// The entry of every client process of the demo: connects, says that it is ready, plays its part when told to, and leaves.
// Always: (1) the journal is on disk before the process says that it is done or ends; (2) Ctrl-C is the main process's to handle, so it is
// ignored here; (3) a process whose main process is gone ends by itself.

import { connect } from 'leveret-client';
import { Journal } from './journal.ts';
import { isOrder, parsePart, type Word } from './part.ts';
import { publishAll } from './service.ts';
import { startWorker } from './worker.ts';

const part = parsePart(process.argv[2]);
process.on('SIGINT', () => undefined);
process.on('disconnect', () => process.exit(1));

const journal = new Journal(part.journals, part.name);
const connection = await connect(part.url, { name: `demo-${part.name}` });
const enough = new AbortController();
const stopping = new AbortController();
const tell = (word: Word): void => {
  process.send?.(word);
};

process.on('message', (order: unknown) => {
  if (!isOrder(order)) throw new Error(`unknown order ${JSON.stringify(order)}`);
  if (order !== 'start') enough.abort();
  if (order === 'stop') stopping.abort();
  if (order === 'start') {
    play().then(
      () => process.exit(0),
      (error: unknown) => {
        journal.flush();
        console.error(`${part.name}:`, error);
        process.exit(1);
      },
    );
  }
});
tell({ tell: 'ready' });

async function play(): Promise<void> {
  if (part.role === 'service') {
    await publishAll(connection, journal, part, tell, enough.signal);
    journal.flush();
    tell({ tell: 'done' });
    await stopped();
  } else {
    const worker = startWorker(connection, journal, part, tell);
    await stopped();
    await worker.drain();
  }
  await connection.drain();
  journal.flush();
}

function stopped(): Promise<void> {
  return new Promise((resolve) => {
    if (stopping.signal.aborted) resolve();
    else stopping.signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
