// Turns untrusted JSON into requests whose types can be relied on.
// Always: (1) an operation's validator is compiled when it is first used, so that start does not pay for all; (2) what is wrong is a 502 with the
// path of the offending field and what would be right; (3) defaults are filled in.
// Refuses to look at meaning: names, arguments and rights are the broker's.

import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv';
import { AmqpError, ReplyCode } from '../../shared/error.ts';
import type { Filled, JsonObject, OperationName } from '../../shared/protocol/control.ts';
import { formats, schemas } from '../../shared/protocol/schemas.ts';

let ajv: Ajv | undefined;
const compiled = new Map<OperationName, ValidateFunction>();

function validatorOf(name: OperationName): ValidateFunction {
  let validate = compiled.get(name);
  if (validate === undefined) {
    // The schemas are ours, and a test checks them against the meta-schema: compiling that at start costs 20 ms.
    ajv ??= new Ajv({ useDefaults: true, strict: false, validateSchema: false, meta: false, formats });
    validate = ajv.compile(schemas[name]);
    compiled.set(name, validate);
  }
  return validate;
}

export function isOperation(name: string): name is OperationName {
  return Object.hasOwn(schemas, name);
}

/** Checks `request` in place, fills in its defaults, and lets the compiler know. Throws 502. */
export function checkRequest<Name extends OperationName>(name: Name, request: JsonObject): asserts request is JsonObject & Filled<Name> {
  const validate = validatorOf(name);
  if (!validate(request)) throw asError(name, validate.errors?.[0]);
}

function asError(name: OperationName, error: ErrorObject | undefined): AmqpError {
  const missing: unknown = error?.keyword === 'required' ? error.params['missingProperty'] : undefined;
  const path = `${error?.instancePath ?? ''}${typeof missing === 'string' ? `/${missing}` : ''}`;
  const allowed: unknown = error?.keyword === 'enum' ? error.params['allowedValues'] : undefined;
  const what =
    error?.keyword === 'format' && error.params['format'] === 'shortstr'
      ? 'must be at most 255 bytes of UTF-8'
      : (error?.message ?? 'is wrong');
  const field = path === '' ? name : `${name}: ${path.slice(1)}`;
  const text = typeof missing === 'string' ? `${field} is required` : `${field} ${what}`;
  const hint = Array.isArray(allowed) ? `one of: ${allowed.join(', ')}` : 'docs/protocol.md lists the fields of each operation';
  return new AmqpError(ReplyCode.SyntaxError, text, { path, hint });
}
