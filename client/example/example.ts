// The example page: watches a broker live through leveret-client, as any page could. Statistics fill the figures and the table of queues, a tap
// on an exchange the list of events, another the dead letters.
// Always: (1) the page only looks: it declares, publishes and consumes nothing; (2) a lost broker is waited for, without end, and said so;
// (3) what comes from the broker becomes text, never markup.
// The fields can be given in the address: ?url=ws://HOST:PORT/ws&queues=GLOB&exchange=NAME&keys=PATTERN&dead=NAME. The page connects by itself.

import { type Connection, connect, LeveretError, type Message, type Stats } from 'leveret-client';
import { Chart } from './chart.ts';
import { type Line, MessageList } from './message-list.ts';
import { QueueTable, rounded } from './queue-table.ts';

const SAMPLE_MS = 500;
const POINTS_MAX = 60_000 / SAMPLE_MS;

/** An element that index.html has, or the page is broken. */
function part<T extends Element>(selector: string, kind: new () => T): T {
  const element = document.querySelector(selector);
  if (!(element instanceof kind)) throw new Error(`index.html has no ${selector}`);
  return element;
}

const form = part('#connect', HTMLFormElement);
const button = part('#connect button', HTMLButtonElement);
const stateLine = part('#state', HTMLElement);
const totals = (['publish', 'deliver', 'ack', 'waiting'] as const).map((name) => ({
  output: part(`#total-${name}`, HTMLOutputElement),
  chart: new Chart(part(`#chart-${name}`, HTMLCanvasElement), POINTS_MAX),
}));
const table = new QueueTable(part('#queues tbody', HTMLTableSectionElement), POINTS_MAX);
const noQueues = part('#queues-empty', HTMLElement);
const events = new MessageList(part('#events', HTMLElement), part('#events-note', HTMLElement), describeEvent);
const dead = new MessageList(part('#dead', HTMLElement), part('#dead-note', HTMLElement), describeDeath);

/** What is being watched now; aborted to stop. */
let watching: AbortController | undefined;

form.addEventListener('submit', (submitted) => {
  submitted.preventDefault();
  if (watching === undefined) start();
  else stop();
});
for (const [name, value] of new URLSearchParams(location.search)) {
  const field = form.elements.namedItem(name);
  if (field instanceof HTMLInputElement) field.value = value;
}
start();

function start(): void {
  const controller = new AbortController();
  watching = controller;
  button.textContent = 'Disconnect';
  for (const { chart } of totals) chart.clear();
  watch(controller.signal).then(
    () => showState('closed', 'not connected'),
    (error: unknown) => {
      // A broker that refuses this page's login will do so again.
      showState(
        'failed',
        error instanceof LeveretError ? `${error.reason}${error.hint === undefined ? '' : ` (${error.hint})`}` : String(error),
      );
      if (watching === controller) stop();
    },
  );
}

function stop(): void {
  watching?.abort();
  watching = undefined;
  button.textContent = 'Connect';
}

async function watch(signal: AbortSignal): Promise<void> {
  const field = fields();
  showState('connecting', `connecting to ${field('url')}`);
  let connection: Connection;
  try {
    connection = await connect(field('url'), { name: 'example page', signal, reconnect: { max: '3s' }, onState: tellState });
  } catch (error) {
    if (signal.aborted) return;
    throw error;
  }
  try {
    await Promise.all([
      watchStats(connection, field('queues'), signal),
      events.watch(connection, field('exchange'), field('keys'), signal),
      dead.watch(connection, field('dead'), '#', signal),
    ]);
  } finally {
    await connection.close();
  }
}

async function watchStats(connection: Connection, queues: string, signal: AbortSignal): Promise<void> {
  const feed = connection.stats({ queues, every: SAMPLE_MS });
  signal.addEventListener('abort', () => void feed.cancel(), { once: true });
  for await (const sample of feed) showStats(sample);
}

function showStats(sample: Stats): void {
  const figures = [sample.publishRate, sample.deliverRate, sample.ackRate, sample.ready + sample.unacked];
  for (const [index, { output, chart }] of totals.entries()) {
    output.value = rounded(figures[index] ?? 0);
    chart.add(figures[index] ?? 0);
  }
  table.show(sample.queues);
  noQueues.hidden = sample.queues.length > 0;
}

function tellState(state: Connection['state'], why?: LeveretError): void {
  if (state === 'open') showState('open', 'connected');
  if (state === 'waiting') showState('waiting', `no broker yet: ${why?.reason ?? 'the connection is lost'}. ${advice()}`);
}

/** A browser does not say why a WebSocket was refused, so both usual reasons are named. */
function advice(): string {
  return `Trying again. Is one running (npm start)? One on another machine must list ${location.origin} in its setting "origins".`;
}

function showState(state: string, text: string): void {
  stateLine.dataset['state'] = state;
  stateLine.textContent = text;
}

function fields(): (name: string) => string {
  const values = new FormData(form);
  return (name) => String(values.get(name) ?? '');
}

/** An event's id and, of a webhook, who did what where. */
function describeEvent(message: Message): Line {
  const body = bodyOf(message);
  const parts = [at(body, 'sender', 'login'), at(body, 'repository', 'full_name'), at(body, 'organization', 'login')];
  const told = parts.filter((text) => text !== undefined);
  return { tag: message.key, text: told.length > 0 ? told.join(' · ') : `${message.bytes.length} bytes` };
}

/** Nothing, where the body is not what its content type says: a stranger's message must not end the list. */
function bodyOf(message: Message): unknown {
  try {
    return message.body;
  } catch {
    return undefined;
  }
}

/** Why, where and what died, by the newest entry of x-death. */
function describeDeath(message: Message): Line {
  const deaths = message.headers['x-death'];
  const last: unknown = Array.isArray(deaths) ? deaths[0] : undefined;
  return { tag: at(last, 'reason') ?? 'dead', text: `${at(last, 'queue') ?? '?'} · ${message.key} · ${message.messageId ?? ''}` };
}

/** The text at a path of names in something of unknown shape. */
function at(value: unknown, ...path: readonly string[]): string | undefined {
  let here = value;
  for (const name of path) {
    if (typeof here !== 'object' || here === null || !Object.hasOwn(here, name)) return undefined;
    here = Reflect.get(here, name);
  }
  return typeof here === 'string' ? here : undefined;
}
