// `leveret top`: the busiest queues of a broker, looked at again every second; once, as plain lines, where no terminal shows it.
// Always: (1) the terminal is as it was afterwards: cursor, echo and what was on it; (2) one look at a time: a slow broker is asked less often;
// (3) an interrupt and the key q end it as a success. Refuses: to change anything.

import { type Command, InvalidArgumentError } from 'commander';
import { type Api, path } from './api.ts';
import { type ApiFlags, type ApiWork, addApiFlags, runApiVerb } from './api-verb.ts';
import { wholeNumber } from './arguments.ts';
import { ExitCode } from './exit-codes.ts';
import { processTerminal, styled, type Terminal } from './terminal.ts';
import { fitted, headLines, type Look, ORDERS, type Order, QUEUE_FIELDS, rowsOf, SORT_FIELDS, tableLines } from './top-screen.ts';

interface Flags extends ApiFlags {
  readonly vhost?: string;
  readonly interval: number;
  readonly sort: Order;
  readonly once?: true;
}

// Of a screen that does not tell its size.
const COLUMNS = 80;
const ROWS = 24;
const QUEUES_MAX = 100; // of one look; more than fit most screens
const TABLE_LINE = 4; // below three lines of head and one of help
const OPEN = '\x1b[?1049h\x1b[?25l';
const CLOSE = '\x1b[?25h\x1b[?1049l';
const HOME = '\x1b[H';
const CLEAR_LINE = '\x1b[K';
const CLEAR_BELOW = '\x1b[J';

export function configure(command: Command, terminal: Terminal = processTerminal()): void {
  command
    .option('-p, --vhost <name>', 'the queues of this virtual host alone')
    .option('--interval <seconds>', 'between two looks', wholeNumber(1, 3_600), 1)
    .option('--sort <order>', `${ORDERS.join(', ')}: what comes first`, readOrder, 'rate')
    .option('--once', 'one look, as plain lines')
    .action(async (flags: Flags) => {
      await runApiVerb(terminal, flags, (work) =>
        flags.once === true || terminal.output.isTTY !== true || flags.json === true ? once(work, flags) : live(work, terminal, flags),
      );
    });
  addApiFlags(command, terminal);
}

async function once({ api, output }: ApiWork, { sort, vhost }: Flags): Promise<ExitCode> {
  const look = await take(api, sort, false, vhost);
  const rows = rowsOf(look, undefined, sort, false);
  if (output.json) for (const row of rows) await output.result({ ...row }, () => '');
  else for (const line of [...headLines(look.overview), '', ...tableLines(rows)]) await output.result({}, () => line);
  return ExitCode.Ok;
}

async function live({ api, stop }: ApiWork, terminal: Terminal, flags: Flags): Promise<ExitCode> {
  const screen = new Screen(terminal, flags.sort);
  screen.open(stop);
  try {
    for (let before: Look | undefined; !screen.isOver; ) {
      const look = await take(api, screen.order, screen.isReversed, flags.vhost);
      screen.show(look, before);
      before = look;
      await screen.wait(flags.interval * 1_000);
    }
  } catch (error) {
    if (!screen.isOver) throw error; // else the look that the end cut off
  } finally {
    screen.close();
  }
  return ExitCode.Ok;
}

async function take(api: Api, order: Order, isReversed: boolean, vhost: string | undefined): Promise<Look> {
  const isDescending = (order !== 'name') !== isReversed;
  const query = { columns: QUEUE_FIELDS, sort: SORT_FIELDS[order], sort_reverse: String(isDescending), page: 1, page_size: QUEUES_MAX };
  const [overview, queues] = await Promise.all([
    api.get(path('overview')),
    api.page(vhost === undefined ? path('queues') : path('queues', vhost), query),
  ]);
  return { atMs: performance.now(), overview, queues };
}

/** A terminal as a screen: what is on it, and the keys. */
class Screen {
  order: Order;
  isReversed = false;
  isOver = false;
  readonly #terminal: Terminal;
  #shown: { readonly look: Look; readonly before: Look | undefined } | undefined;
  #wake: () => void = () => undefined;
  #forget: () => void = () => undefined;

  constructor(terminal: Terminal, order: Order) {
    this.#terminal = terminal;
    this.order = order;
  }

  open(stop: AbortSignal): void {
    const { input, output } = this.#terminal;
    const pressed = (chunk: unknown): void => {
      for (const key of String(chunk)) this.#press(key);
    };
    const end = (): void => this.#end();
    input.setRawMode?.(true);
    input.on('data', pressed);
    stop.addEventListener('abort', end);
    output.write(OPEN);
    this.#forget = () => {
      stop.removeEventListener('abort', end);
      input.off('data', pressed);
      input.pause();
      input.setRawMode?.(false);
      output.write(CLOSE);
    };
  }

  close(): void {
    this.#forget();
  }

  show(look: Look, before: Look | undefined): void {
    this.#shown = { look, before };
    this.#draw();
  }

  /** Until the time is over, or a key wants another look. */
  wait(ms: number): Promise<void> {
    if (this.isOver) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #press(key: string): void {
    if (key === 'q' || key === '\x03') this.#end();
    else if (key === 's') this.order = ORDERS[(ORDERS.indexOf(this.order) + 1) % ORDERS.length] ?? 'rate';
    else if (key === 'r') this.isReversed = !this.isReversed;
    else return;
    this.#draw();
    this.#wake();
  }

  #end(): void {
    this.isOver = true;
    this.#wake();
  }

  #draw(): void {
    if (this.#shown === undefined || this.isOver) return;
    const { look, before } = this.#shown;
    const { columns = COLUMNS, rows = ROWS } = this.#terminal.output;
    const help = `q ends   s sorts: ${this.order}   r turns the order${this.isReversed ? ' (turned)' : ''}`;
    const lines = [...headLines(look.overview), help, ...tableLines(rowsOf(look, before, this.order, this.isReversed))];
    const shown = fitted(lines, { columns, rows });
    const styledLines = shown.map((line, index) => (index === TABLE_LINE ? styled(this.#terminal, 'output', 'inverse', line) : line));
    this.#terminal.output.write(`${HOME}${styledLines.map((line) => line + CLEAR_LINE).join('\r\n')}${CLEAR_BELOW}`);
  }
}

function readOrder(text: string): Order {
  const order = ORDERS.find((each) => each === text);
  if (order !== undefined) return order;
  throw new InvalidArgumentError(`there are ${ORDERS.join(', ')}.`);
}
