// What a body must look like, as JSON Schema: ajv checks it, OpenAPI shows it.
// Always: (1) a schema is compiled when it is first used, so that start does not pay for all; (2) a field that is null is one that is absent; (3) what is wrong
// is a 400 that names the field and says what it must be: its schema's title.
// Refuses: to know meaning; a handler does. Fields that no schema knows are let through, as RabbitMQ does: its tools send names twice.

import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv';
import type { JsonObject } from '../../shared/protocol/control.ts';
import { badRequest, type HttpError } from './http-error.ts';

export interface FieldSchema {
  /** Ends the sentence: `'durable' must be ...`. */
  readonly title: string;
  readonly [keyword: string]: unknown;
}
export interface BodySchema {
  readonly type: 'object';
  readonly properties: Readonly<Record<string, FieldSchema>>;
  readonly required: readonly string[];
}

export const text: FieldSchema = { title: 'text', type: 'string' };
/** Scripts send "true", and "" for what they leave out (rabbitmqadmin). */
export const flag: FieldSchema = { title: 'true or false', enum: [true, false, 'true', 'false', ''] };
export const whole: FieldSchema = { title: 'a whole number', type: ['integer', 'string'], pattern: '^-?\\d{1,15}$' };
/** [] and "" are how some languages write an empty one. */
export const table: FieldSchema = { title: 'an object', type: ['object', 'array', 'string'], maxItems: 0, maxLength: 0 };
export const tags: FieldSchema = { title: 'a list of words', type: ['array', 'string'], items: { type: 'string' } };
export const anything: FieldSchema = { title: 'there' };

export function fields(properties: Readonly<Record<string, FieldSchema>>, required: readonly string[] = []): BodySchema {
  return { type: 'object', properties, required };
}
/** Of a request whose body says nothing. */
export const NOTHING = fields({});

let ajv: Ajv | undefined;
const compiled = new WeakMap<BodySchema, ValidateFunction>();

/** The body without its nulls. Throws 400 for one that is not as the schema says. */
export function checkBody(schema: BodySchema, body: JsonObject): JsonObject {
  const present = Object.fromEntries(Object.entries(body).filter(([, value]) => value !== null));
  let validate = compiled.get(schema);
  if (validate === undefined) {
    ajv ??= new Ajv({ strict: false, validateSchema: false, meta: false });
    validate = ajv.compile(schema);
    compiled.set(schema, validate);
  }
  if (!validate(present)) throw asHttpError(schema, validate.errors?.[0]);
  return present;
}

function asHttpError({ properties }: BodySchema, error: ErrorObject | undefined): HttpError {
  const missing: unknown = error?.keyword === 'required' ? error.params['missingProperty'] : undefined;
  if (typeof missing === 'string')
    return badRequest(`'${missing}' is missing`, `it must be ${properties[missing]?.title ?? 'there'}`, `/${missing}`);
  const field = error?.instancePath.split('/')[1] ?? '';
  return badRequest(`'${field}' must be ${properties[field]?.title ?? 'another value'}`, undefined, error?.instancePath);
}
