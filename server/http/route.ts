// A route of the management API as data: where, for whom, and what it does.
// Always: (1) `tag` says who may come here at all (RabbitMQ, Management Plugin: Permissions); (2) `right` says what the session in which a handler acts
// (acting.ts) will ask of authorise() on the queue or exchange that the path names, or that the caller must be allowed into the vhost of the path.
// Refuses: sockets and streams; a handler gets what was read, and answers a value.

import type { JsonObject } from '../../shared/protocol/control.ts';
import { isObject } from '../../shared/protocol/json.ts';
import type { Operation } from '../broker/authorise.ts';
import type { Broker } from '../broker/broker.ts';
import type { Exchange } from '../broker/exchange.ts';
import type { Account, Tag } from '../broker/login.ts';
import type { Queue } from '../broker/queue.ts';
import type { Turns } from '../ports.ts';
import type { BodySchema } from './bodies.ts';
import { badRequest } from './http-error.ts';
import type { Pulls } from './pulls.ts';

export type Method = 'GET' | 'PUT' | 'POST' | 'DELETE';

/** Hashes a password for keeping. */
export type HashPassword = (password: string) => Promise<{ readonly passwordHash: string; readonly hashingAlgorithm: string }>;

/** How fast counters grow, a second, by RabbitMQ's names of them; 0 for one that is not known. */
export interface Rates {
  rate(counter: string): number;
}
/** The same, and how fast there are more messages: below 0 while there are less. */
export interface LevelRates extends Rates {
  readonly readyRate: number;
  readonly unackedRate: number;
}
/** Who measures: a sampler. */
export interface RateSource {
  /** Of all queues together. */
  readonly all: LevelRates;
  /** Of what publishers sent, each message once. */
  readonly publishers: Rates;
  /** Undefined: not measured yet. */
  queue(queue: Queue): LevelRates | undefined;
  exchange(exchange: Exchange): Rates | undefined;
  /** Of its queues together. */
  vhost(name: string): LevelRates | undefined;
}

export interface Call {
  readonly broker: Broker;
  readonly account: Account;
  /** Names in the path, decoded. */
  readonly path: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  readonly headers: Headers;
  /** {} where there is none. */
  readonly body: JsonObject;
  /** The body of a route that takes raw bytes. */
  readonly bytes: Uint8Array;
  /** The caller has hung up. */
  readonly signal: AbortSignal;
  readonly hashPassword: HashPassword;
  /** Undefined: nobody measures. */
  readonly rates: RateSource | undefined;
  readonly turns: Turns;
  readonly pulls: Pulls;
  readonly facts: ServerFacts;
}

/** What the server knows of itself beside its broker. */
export interface ServerFacts {
  /** Undefined where nobody looks. */
  readonly memory?: () => { readonly residentBytes: number; readonly alarmBytes: number };
  readonly product: string;
  readonly version: string;
  readonly startedAt: number;
  readonly listeners: () => readonly ServerListener[];
  /** Undefined: nothing looks at dead letters. */
  readonly deadLetterAlerts?: DeadLetterAlertSettings;
}

/** From which figures on a dead-letter queue makes an alert; 0: never. */
export interface DeadLetterAlertSettings {
  readonly depth: number;
  readonly oldestMs: number;
  readonly growthPerMin: number;
  /** Whether there is an address that alerts go to; without one they are in the metrics alone. */
  readonly isSent: boolean;
}

export interface ServerListener {
  readonly protocol: string;
  readonly host: string;
  readonly port: number;
  /** When its certificate ends: in milliseconds since 1970, and as the certificate says it. */
  readonly certificateEnds?: { readonly at: number; readonly text: string } | undefined;
}

export type BodyLimit = 'http-body-bytes' | 'http-definitions-bytes';

/** undefined is 204. */
export type Answered = unknown;

export interface Route {
  readonly method: Method;
  /** With {names}: `/api/queues/{vhost}/{name}`. */
  readonly path: string;
  /** 'none': whoever can log in. */
  readonly tag: Tag | 'none';
  /** 'vhost': any right in the vhost of the path; administrators see and change all, monitoring sees all. 'none': the tag says it all, or a list shows what may be seen. */
  readonly right: Operation | 'vhost' | 'none';
  /** PUT and POST have one, DELETE may; 'raw': any bytes. */
  readonly body?: BodySchema | 'raw';
  /** Which setting counts its body: limits.http-body-bytes unless it says so. */
  readonly limit?: BodyLimit;
  readonly summary: string;
  readonly handle: (call: Call) => Answered | Promise<Answered>;
}

/** 201, and where the new thing is. */
export class Created {
  readonly location: string | undefined;
  constructor(location?: string) {
    this.location = location;
  }
}
/** Bytes as they are, with headers of their own. */
export class Raw {
  readonly bytes: Uint8Array;
  readonly headers: Readonly<Record<string, string>>;
  constructor(bytes: Uint8Array, headers: Readonly<Record<string, string>>) {
    this.bytes = bytes;
    this.headers = headers;
  }
}
/** JSON that is written already. */
export class JsonText {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}
/** A status of its own with a body. */
export class Reply {
  readonly status: 200 | 503;
  readonly body: unknown;
  constructor(status: 200 | 503, body: unknown) {
    this.status = status;
    this.body = body;
  }
}

// Reading a body.

export function textOf(body: JsonObject, field: string, absent?: string): string {
  const value = body[field] ?? absent;
  if (typeof value === 'string') return value;
  throw badRequest(value === undefined ? `'${field}' is missing` : `'${field}' must be text`);
}

/** RabbitMQ takes "true" for true, as scripts send it. */
export function flagOf(body: JsonObject, field: string, absent = false): boolean {
  const value = body[field];
  if (value === undefined || value === '') return absent;
  if (value === true || value === 'true') return true;
  if (value === false || value === 'false') return false;
  throw badRequest(`'${field}' must be true or false`);
}

export function countOf(body: JsonObject, field: string, absent?: number): number {
  const value = body[field] ?? absent;
  const number = typeof value === 'string' && /^-?\d+$/.test(value) ? Number(value) : value;
  if (typeof number === 'number' && Number.isSafeInteger(number)) return number;
  throw badRequest(value === undefined ? `'${field}' is missing` : `'${field}' must be a whole number`);
}

export function objectOf(body: JsonObject, field: string): JsonObject {
  const value = body[field];
  if (value === undefined || value === '' || (Array.isArray(value) && value.length === 0)) return {};
  if (isObject(value)) return value;
  throw badRequest(`'${field}' must be an object`);
}
