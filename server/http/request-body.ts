// The body of a request: its bytes, counted while they come in, and the JSON in them.
// Always: (1) counting decides, whatever Content-Length says; above the limit, and for who is refused before it, nothing more is read and the connection ends; (2) JSON has one meaning or
// is refused: a name stands once in its object, a number is kept exactly; (3) a refusal says the rule and the place, and repeats nothing that may be a secret.
// Refuses: compressed bodies, whose size nobody knows; names and depths that have hurt others (`__proto__`, stacks). Content-Type does not matter here
// (origin.ts): RabbitMQ does not ask for one either, and `curl -d` says that it sends a form.

import { type ParseErrorCode, printParseErrorCode, visit } from 'jsonc-parser';
import type { JsonObject } from '../../shared/protocol/control.ts';
import { isObject } from '../../shared/protocol/json.ts';
import { badRequest, HttpError } from './http-error.ts';
import type { BodyLimit } from './route.ts';

/** Definitions need 6, and a table of arguments in them 16 more. */
const DEPTH_MAX = 64;

export interface BodyLimits {
  readonly httpBodyBytes: number;
  readonly httpDefinitionsBytes: number;
}

/** Throws 413 above the limit. */
export async function readBody(request: Request, limit: BodyLimit, limits: BodyLimits): Promise<Uint8Array> {
  const bytesMax = limit === 'http-body-bytes' ? limits.httpBodyBytes : limits.httpDefinitionsBytes;
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of request.body ?? []) {
    length += chunk.length;
    if (length > bytesMax)
      throw new HttpError(413, 'payload_too_large', `a body has at most ${bytesMax} bytes`, {
        hint: `the setting limits.${limit} decides it`,
        headers: { connection: 'close' },
      });
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** Whether a body is on its way that nobody has asked for. */
export function isBodyUnread({ headers, bodyUsed }: Request): boolean {
  return !bodyUsed && (headers.has('transfer-encoding') || (headers.get('content-length') ?? '0') !== '0');
}

/** Throws 415 for a body that would have to be unpacked. */
export function checkEncoding({ headers }: Request): void {
  const encoding = headers.get('content-encoding') ?? '';
  if (/^(identity)?$/i.test(encoding.trim())) return;
  throw new HttpError(415, 'unsupported_media_type', `a body encoded as ${encoding.slice(0, 100)} is not read`, {
    hint: 'send it as it is, without Content-Encoding',
    headers: { 'accept-encoding': 'identity' },
  });
}

/** {} for no body at all. Throws 400 for what is no JSON object, and says where. */
export function jsonOf(bytes: Uint8Array): JsonObject {
  if (bytes.length === 0) return {};
  const text = textOf(bytes);
  checkJson(text);
  const body: unknown = JSON.parse(text);
  if (isObject(body)) return body;
  throw badRequest('the body must be a JSON object', typeof body === 'string' ? 'is it encoded twice?' : undefined);
}

function textOf(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    // What is no UTF-8 does not come out as it went in.
    const again = Buffer.from(new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes));
    const at = bytes.findIndex((octet, index) => octet !== again[index]);
    throw badRequest(`the body is not UTF-8 at byte ${at < 0 ? again.length : at}`);
  }
}

/** The path in the body that a visitor is at, as a JSON pointer. */
type PathOf = () => readonly (string | number)[];

function checkJson(text: string): void {
  const names: Set<string>[] = [];
  let depth = 0;
  const open = (line: number, column: number): void => {
    depth++;
    if (depth > DEPTH_MAX) throw refusal(`the body is nested deeper than ${DEPTH_MAX}`, line, column);
  };
  visit(
    text,
    {
      onObjectBegin: (_offset, _length, line, column) => {
        open(line, column);
        names.push(new Set());
      },
      onObjectEnd: () => {
        depth--;
        names.pop();
      },
      onArrayBegin: (_offset, _length, line, column) => open(line, column),
      onArrayEnd: () => {
        depth--;
      },
      onObjectProperty: (name, _offset, _length, line, column, pathOf) => {
        const seen = names.at(-1);
        if (name === '__proto__') throw refusal("the name '__proto__' is not taken", line, column);
        if (seen?.has(name) === true) throw refusal(`a name stands twice in one object: ${pointer(pathOf, name)}`, line, column);
        seen?.add(name);
      },
      onLiteralValue: (value, offset, length, line, column, pathOf) => {
        if (typeof value === 'number' && !isExact(value, text.slice(offset, offset + length)))
          throw refusal(`a number cannot be kept exactly: ${pointer(pathOf)}`, line, column, 'whole numbers go up to 9007199254740991');
      },
      onError: (error, _offset, _length, line, column) => {
        throw refusal(`the body is no JSON: ${words(error)}`, line, column);
      },
    },
    { disallowComments: true, allowTrailingComma: false },
  );
}

/** Fractions are near enough; whole numbers are themselves or nothing. */
function isExact(value: number, text: string): boolean {
  return Number.isFinite(value) && (Number.isSafeInteger(value) || !/^-?\d+$/.test(text));
}

function refusal(rule: string, line: number, column: number, hint?: string): HttpError {
  return badRequest(`${rule}, at line ${line + 1}, column ${column + 1}`, hint);
}

/** "CommaExpected" is "comma expected". */
function words(error: ParseErrorCode): string {
  return printParseErrorCode(error)
    .replace(/(?<=[a-z])[A-Z]/g, (letter) => ` ${letter}`)
    .toLowerCase();
}

function pointer(pathOf: PathOf, name?: string): string {
  const path = [...pathOf(), ...(name === undefined ? [] : [name])];
  return path
    .map((part) => `/${String(part).replaceAll('~', '~0').replaceAll('/', '~1')}`)
    .join('')
    .slice(0, 200);
}
