// What recovery tells a person: how far it is when it takes long, and at the end one line about what was found.
// Always: (1) nothing in the first second, then a line a second at most; (2) what a log file is for goes on to the log, without the progress.
// The lines are written while recovery has the thread: `tell` has to write at once.

import type { Notice, Notices } from '../ports.ts';

const QUIET_MS = 1000;
const MEGABYTE = 1_000_000;

export interface RecoveryReportOptions {
  readonly directory: string;
  readonly notices: Notices;
  readonly tell: (line: string) => void;
  /** Milliseconds of any clock. */
  readonly now: () => number;
}

export class RecoveryReport implements Notices {
  /** What was recovered, for a person; undefined when there was nothing. */
  summary: string | undefined;
  readonly #options: RecoveryReportOptions;
  #toldAt: number;

  constructor(options: RecoveryReportOptions) {
    this.#options = options;
    this.#toldAt = options.now();
  }

  notice(notice: Notice): void {
    if (notice.kind === 'recovery.progress') {
      this.#progress(notice);
      return;
    }
    if (notice.kind === 'recovered') this.#recovered(notice);
    this.#options.notices.notice(notice);
  }

  #progress({ fields }: Notice): void {
    const { directory, tell, now } = this.#options;
    const at = now();
    if (at - this.#toldAt < QUIET_MS) return;
    this.#toldAt = at;
    const [done, total] = [Number(fields['done']), Number(fields['total'])];
    const percent = total > 0 ? Math.floor((100 * done) / total) : 0;
    tell(`Recovering ${directory}: ${Math.floor(done / MEGABYTE)} of ${Math.ceil(total / MEGABYTE)} MB (${percent} %)`);
  }

  #recovered({ fields }: Notice): void {
    const [messages, queues] = [Number(fields['messages']), Number(fields['queues'])];
    if (messages === 0 && queues === 0) return;
    const found = `${counted(messages, 'message')} in ${counted(queues, 'queue')}`;
    this.summary = `Recovered ${found} from ${this.#options.directory} (${isClean(fields['clean']) ? 'clean' : 'unclean'} stop)`;
  }
}

/** Fields of a notice are texts and numbers. */
function isClean(field: string | number | undefined): boolean {
  return field === 1 || field === 'true' || field === 'yes';
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
