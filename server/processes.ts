// The processes of this machine, as the lock of a data directory names them: is the one that holds it still there?
// Always: (1) on Linux a process is its number, when it started and in which boot: a number that was given to another process since is not
// taken for it; (2) where that cannot be read (another system, a /proc that hides others) the number alone decides, and a process that
// cannot be asked counts as running: a refusal is better than two writers; (3) one that has ended but was not waited for is not running; (4) two
// brokers in one process are two holders: the second one finds the first alive.
// Refuses to look into other containers: a process that has no number here is not seen, so one data directory belongs to one container.

import { readFileSync } from 'node:fs';
import type { Processes } from './store/store-options.ts';

// Where Linux shows its processes.
const PROC = '/proc';

const UNKNOWN = '-';
// Of the fields after the name in /proc/<pid>/stat, which start with the third of proc(5): state is there, starttime is the 22nd.
const STATE = 0;
const START_TIME = 19;
const ENDED = new Set(['Z', 'X', 'x']); // zombie, dead

let holders = 0;

export class SystemProcesses implements Processes {
  readonly self: string;
  readonly #proc: string;
  readonly #boot: string;

  constructor(pid = process.pid, proc = PROC) {
    this.#proc = proc;
    this.#boot = readText(`${proc}/sys/kernel/random/boot_id`)?.trim().slice(0, 8) ?? UNKNOWN;
    const start = this.#stat(pid)?.[START_TIME];
    this.self = `${pid} ${start === undefined ? UNKNOWN : `${start}/${this.#boot}`} ${++holders}`;
  }

  isAlive(text: string): boolean {
    const [number = '', started = UNKNOWN] = text.trim().split(' ');
    const pid = Number(number);
    if (!Number.isSafeInteger(pid) || pid <= 0) return false; // no process wrote that
    const fields = this.#stat(pid);
    if (fields === undefined) return answers(pid);
    if (ENDED.has(fields[STATE] ?? '')) return false;
    return started === UNKNOWN || started === `${fields[START_TIME]}/${this.#boot}`;
  }

  /** The fields behind the name, which stands in parentheses and may hold blanks and parentheses itself. */
  #stat(pid: number): string[] | undefined {
    const text = readText(`${this.#proc}/${pid}/stat`);
    return text?.slice(text.lastIndexOf(')') + 2).split(' ');
  }
}

/** Signal 0 asks whether there is such a process: EPERM is another user's. */
function answers(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return !(error instanceof Error && 'code' in error && error.code === 'ESRCH');
  }
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    // Not this system's way, or the process has gone: the other way of asking decides.
    if (error instanceof Error && 'code' in error) return undefined;
    throw error;
  }
}
