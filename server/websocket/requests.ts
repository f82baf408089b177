// Text messages: from JSON to a handler, and from its answer or error to JSON.
// Always: (1) every request with a readable id is answered once; (2) an error belongs to its request and never ends the connection; (3) this is
// the one place where an AmqpError becomes a JSON error.
// An InvariantError or any other fault of ours passes through: connection.ts closes with 4541.

import { AmqpError, ReplyCode } from '../../shared/error.ts';
import type { AnswerMessage, JsonObject, OperationName } from '../../shared/protocol/control.ts';
import { errorToJson, isObject } from '../../shared/protocol/json.ts';
import { type HandledName, handlers, type Reply } from './handlers.ts';
import type { Peer } from './peer.ts';
import { checkRequest, isOperation } from './validators.ts';

export interface Envelope {
  readonly id: number;
  readonly op: string;
  readonly request: JsonObject;
}

/** What every text message must be. Throws 502; `id` of the error's answer is then null. */
export function readEnvelope(text: string): Envelope {
  let request: unknown;
  try {
    request = JSON.parse(text);
  } catch {
    throw new AmqpError(ReplyCode.SyntaxError, 'a text message is one JSON object', { hint: 'for example {"id": 1, "op": "ping"}' });
  }
  if (!isObject(request))
    throw new AmqpError(ReplyCode.SyntaxError, 'a text message is one JSON object', { hint: 'for example {"id": 1, "op": "ping"}' });
  const { id, op } = { id: request['id'], op: request['op'] };
  if (typeof id !== 'number' || !Number.isSafeInteger(id) || id < 1) {
    throw new AmqpError(ReplyCode.SyntaxError, 'a request has an id, a positive integer', { path: '/id' });
  }
  return { id, op: typeof op === 'string' ? op : '', request };
}

export function answerText(message: AnswerMessage): string {
  return JSON.stringify(message);
}

/** Carries out one text message of a peer that has logged in. */
export function takeRequest(peer: Peer, text: string): void {
  let id: number | null = null;
  try {
    const envelope = readEnvelope(text);
    id = envelope.id;
    const { op, request } = envelope;
    if (op === 'hello') throw new AmqpError(ReplyCode.CommandInvalid, 'hello comes once, as the first message', { path: '/op' });
    if (!isHandled(op))
      throw new AmqpError(ReplyCode.CommandInvalid, `no operation '${op.slice(0, 64)}'`, {
        hint: 'docs/protocol.md lists them',
        path: '/op',
      });
    run(peer, op, request, id);
  } catch (error) {
    if (!(error instanceof AmqpError)) throw error;
    fail(peer, id, error);
  }
}

function run<Name extends HandledName>(peer: Peer, name: Name, request: JsonObject, id: number): void {
  checkRequest(name, request);
  const reply: Reply<Name> = {
    id,
    ok: (answer) => send(peer, JSON.stringify({ id, ok: answer })),
    fail: (error) => fail(peer, id, error),
  };
  handlers[name](peer, request, reply);
}

function fail(peer: Peer, id: number | null, error: AmqpError): void {
  send(peer, answerText({ id, error: errorToJson(error) }));
}

function send(peer: Peer, text: string): void {
  if (!peer.isClosed) peer.context.outbox.text(text);
}

function isHandled(op: string): op is HandledName & OperationName {
  return isOperation(op) && op !== 'hello';
}
