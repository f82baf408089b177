// What holds publishers back: messages that use too much memory, a process that does, a disk that fills up.
// Always: (1) publishers are blocked while any alarm stands, and told of it once an episode: of its end when all are over; (2) an alarm is over
// only well below where it began, or it would flutter: that of messages here, the others where they are watched; (3) each start and end is a
// notice; (4) nobody who consumes, settles or deletes is held back.
// Refuses: to measure. The broker says what messages use, compose what the process uses, the log how the disk does.

import type { Notice } from '../ports.ts';
import type { Broker } from './broker.ts';
import { NODE } from './names.ts';

const CLEARS_AT = 0.8; // of the limit on message bytes

interface Resource {
  /** As RabbitMQ names it to publishers. */
  readonly name: 'memory' | 'disk';
  readonly text: string;
}
const MESSAGES: Resource = { name: 'memory', text: 'publishers are held back: messages use too much memory' };
const PROCESS: Resource = { name: 'memory', text: 'publishers are held back: the process uses too much memory' };
const DISK: Resource = { name: 'disk', text: 'publishers are held back: the disk of the message log is nearly full' };

/** Who waits for the end of an alarm. */
export interface AlarmWatcher {
  unblocked(): void;
}

export class Alarms {
  /** Any alarm stands. */
  isBlocked = false;
  readonly #broker: Broker;
  readonly #standing = new Set<Resource>();
  readonly #watchers = new Set<AlarmWatcher>();

  constructor(broker: Broker) {
    this.#broker = broker;
  }

  /** What publishers are told, in RabbitMQ's words. */
  get reason(): string {
    const names = [...this.#standing].map(({ name }) => name);
    return `low on ${(['memory', 'disk'] as const).filter((name) => names.includes(name)).join(' & ')}`;
  }

  get watcherCount(): number {
    return this.#watchers.size;
  }

  /** Tells `watcher` once, when publishers may go on, unless it is forgotten before. For who holds input back and may lose the session that would be told. */
  watch(watcher: AlarmWatcher): void {
    this.#watchers.add(watcher);
  }
  forget(watcher: AlarmWatcher): void {
    this.#watchers.delete(watcher);
  }

  /** Asked at the end of each turn. */
  watchMessages(bytes: number, limit: number): void {
    const isOver = bytes > (this.#standing.has(MESSAGES) ? limit * CLEARS_AT : limit);
    if (isOver !== this.#standing.has(MESSAGES)) this.#set(MESSAGES, isOver, { bytes, limit });
  }
  process(isOver: boolean): void {
    this.#set(PROCESS, isOver, {});
  }
  /** `reason`: the log's own words; undefined when it is over. */
  disk(reason: string | undefined): void {
    this.#set(DISK, reason !== undefined, reason === undefined ? {} : { reason });
  }

  #set(resource: Resource, isOver: boolean, fields: Notice['fields']): void {
    if (this.#standing.has(resource) === isOver) return;
    if (isOver) this.#standing.add(resource);
    else this.#standing.delete(resource);
    const wasBlocked = this.isBlocked;
    this.isBlocked = this.#standing.size > 0;
    const kind = `${resource.name}.alarm`;
    const left = this.isBlocked ? `publishers are still held back: ${this.reason}` : 'publishers go on';
    this.#broker.notices.notice(
      isOver ? { kind, severity: 'warn', text: resource.text, fields } : { kind: `${kind}.cleared`, severity: 'info', text: left, fields },
    );
    this.#broker.events.tellOfItself(isOver ? 'alarm.set' : 'alarm.cleared', () => ({ source: resource.name, node: NODE }));
    if (this.isBlocked === wasBlocked) return;
    this.#broker.blockedChanged();
    if (this.isBlocked) return;
    const watchers = [...this.#watchers];
    this.#watchers.clear(); // first: who goes on may meet the next alarm
    for (const watcher of watchers) watcher.unblocked();
  }
}
