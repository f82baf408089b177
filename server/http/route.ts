// A route of the management API as data: where, for whom, and what it does.
// Always: `tag` says who may come here at all (RabbitMQ, Management Plugin: Permissions); rights on queues and exchanges are asked by the session in which
// a handler acts (acting.ts). Refuses: sockets and streams; a handler gets what was read, and answers a value.

import type { JsonObject } from '../../shared/protocol/control.ts';
import type { Broker } from '../broker/broker.ts';
import type { Account, Tag } from '../broker/login.ts';
import { badRequest } from './http-error.ts';

export type Method = 'GET' | 'PUT' | 'POST' | 'DELETE';

/** Hashes a password for keeping. */
export type HashPassword = (password: string) => Promise<{ readonly passwordHash: string; readonly hashingAlgorithm: string }>;

export interface Call {
  readonly broker: Broker;
  readonly account: Account;
  /** Names in the path, decoded. */
  readonly path: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  readonly headers: Headers;
  /** {} where there is none. */
  readonly body: JsonObject;
  readonly hashPassword: HashPassword;
  readonly facts: ServerFacts;
}

/** What the server knows of itself beside its broker. */
export interface ServerFacts {
  readonly product: string;
  readonly version: string;
  readonly startedAt: number;
  readonly listeners: () => readonly { readonly protocol: string; readonly host: string; readonly port: number }[];
}

/** undefined is 204. */
export type Answered = unknown;

export interface Route {
  readonly method: Method;
  /** With {names}: `/api/queues/{vhost}/{name}`. */
  readonly path: string;
  readonly tag: Tag;
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

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
