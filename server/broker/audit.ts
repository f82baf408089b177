// The audit log: one line for each administrative act and each login, with who did it and what came of it.
// Always: (1) a line is {at, user, vhost, act, object, outcome, peer}, in this order; (2) it names things and never what is in them: no password, hash, token, argument or
// definition is in it; (3) acts through the management API are told by it, refused ones too; what is declared and deleted by any protocol, and who logs in, by events.
// Refuses: files (AuditSink is whoever keeps the lines), and messages.

import type { FieldTable } from '../../shared/amqp/table.ts';
import type { Clock } from '../ports.ts';
import { type BrokerEvent, type Events, INTERNAL_ACTOR } from './events.ts';

export interface AuditEntry {
  /** ISO 8601, UTC. */
  readonly at: string;
  readonly user: string;
  readonly vhost: string;
  /** `queue.deleted`, or a route: `PUT /api/users/{user}`. */
  readonly act: string;
  readonly object: string;
  /** 'ok', or why not. */
  readonly outcome: string;
  readonly peer: string;
}

export interface AuditSink {
  write(entry: AuditEntry): void;
}

/** What anybody declared, deleted or tried. What the management API does beside it tells itself. */
const AUDITED =
  /^(queue|exchange|binding|vhost|user|permission|topic\.permission|policy|operator\.policy|parameter|vhost\.limits|user\.limits|alarm)\./;
/** Of those what administrators alone do: little enough to stand among the lines of a log. */
const ADMINISTRATIVE = /^(?!queue\.|exchange\.|binding\.|alarm\.|user\.authentication\.)/;
/** What is written down. */
export type AuditScope = 'all' | 'administrative';
/** The fields of an event that name what it is about. */
const NAMES = ['name', 'source_name', 'destination_name', 'routing_key', 'component', 'exchange', 'username', 'user', 'source'];

export class Audit {
  readonly #sink: AuditSink;
  readonly #clock: Clock;
  readonly #scope: AuditScope;

  constructor(sink: AuditSink, clock: Clock, scope: AuditScope = 'all') {
    this.#sink = sink;
    this.#clock = clock;
    this.#scope = scope;
  }

  /** Answers how to stop. */
  listen(events: Events): () => void {
    const wants = (kind: string): boolean => AUDITED.test(kind) && (this.#scope === 'all' || ADMINISTRATIVE.test(kind));
    return events.listen((event) => this.#heard(event), wants);
  }

  /** An act that is no event: a route of the management API. `isAdministrative`: it is for administrators, or those who make policies. */
  record(act: Omit<AuditEntry, 'at'>, isAdministrative: boolean): void {
    if (isAdministrative || this.#scope === 'all') this.#write(this.#clock.now(), act);
  }

  #heard({ kind, at, fields }: BrokerEvent): void {
    const actor = text(fields, 'user_who_performed_action');
    const isLogin = kind.startsWith('user.authentication.');
    if (actor === INTERNAL_ACTOR && !isLogin && !kind.startsWith('alarm.')) return;
    const object = NAMES.map((field) => text(fields, field)).filter((name) => name !== '');
    const outcome = kind === 'user.authentication.failure' ? 'refused' : 'ok';
    const peer = text(fields, 'connection_name');
    this.#write(at, {
      user: isLogin ? text(fields, 'name') : actor,
      vhost: text(fields, 'vhost'),
      act: kind,
      object: object.join(' '),
      outcome,
      peer,
    });
  }

  #write(at: number, { user, vhost, act, object, outcome, peer }: Omit<AuditEntry, 'at'>): void {
    this.#sink.write({ at: isoTime(at), user, vhost, act, object, outcome, peer });
  }
}

function text(fields: FieldTable, field: string): string {
  const value = fields.get(field);
  return typeof value === 'string' ? value : '';
}

// The broker has no Date: the proleptic Gregorian calendar, by days since 0000-03-01 (Howard Hinnant, chrono-Compatible Low-Level Date Algorithms).
const DAY_MS = 86_400_000;
const DAYS_BEFORE_1970 = 719_468;
const ERA_DAYS = 146_097; // 400 years

/** Milliseconds since 1970 as 2026-01-02T03:04:05.678Z. */
export function isoTime(ms: number): string {
  const days = Math.floor(ms / DAY_MS) + DAYS_BEFORE_1970;
  const era = Math.floor(days / ERA_DAYS);
  const dayOfEra = days - era * ERA_DAYS;
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const shifted = Math.floor((5 * dayOfYear + 2) / 153);
  const day = dayOfYear - Math.floor((153 * shifted + 2) / 5) + 1;
  const month = shifted < 10 ? shifted + 3 : shifted - 9;
  const year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0);
  const inDay = ms - Math.floor(ms / DAY_MS) * DAY_MS;
  const two = (value: number): string => String(value).padStart(2, '0');
  const time = `${two(Math.floor(inDay / 3_600_000))}:${two(Math.floor(inDay / 60_000) % 60)}:${two(Math.floor(inDay / 1000) % 60)}`;
  return `${String(year).padStart(4, '0')}-${two(month)}-${two(day)}T${time}.${String(Math.floor(inDay % 1000)).padStart(3, '0')}Z`;
}
