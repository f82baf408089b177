// Messages by hand: publish one, get some, see whether the way through the broker is open.
// Always: a publish is answered once it is confirmed; a get settles what it got before it answers.
// Refuses: to be a consumer; what is got and not settled goes back at once.

import { decodeBase64, encodeBase64, isBase64 } from '../../../shared/base64.ts';
import { Content, encodeContent } from '../../../shared/content.ts';
import { AmqpError, ReplyCode } from '../../../shared/error.ts';
import type { Json, JsonObject } from '../../../shared/protocol/control.ts';
import { propertiesFromJson, propertiesToJson } from '../../../shared/protocol/json.ts';
import { decodeUtf8, encodeUtf8, isUtf8 } from '../../../shared/text.ts';
import type { Session } from '../../broker/session.ts';
import type { Got } from '../../broker/session-sink.ts';
import { acting } from '../acting.ts';
import { fields, flag, table, text, whole } from '../bodies.ts';
import { badRequest } from '../http-error.ts';
import { type Call, countOf, objectOf, type Route, textOf } from '../route.ts';
import { exchangeName } from './topology.ts';

const GET_MAX = 10_000;
/** Of messages in one answer, as bytes; as JSON they are several times that. The one that reaches it is the last. */
const GET_BYTES_MAX = 16_777_216;

/** RabbitMQ's names of the properties, and ours. */
export const PROPERTIES: Readonly<Record<string, string>> = {
  content_type: 'contentType',
  content_encoding: 'contentEncoding',
  headers: 'headers',
  delivery_mode: 'deliveryMode',
  priority: 'priority',
  correlation_id: 'correlationId',
  reply_to: 'replyTo',
  expiration: 'expiration',
  message_id: 'messageId',
  timestamp: 'timestamp',
  type: 'type',
  user_id: 'userId',
  app_id: 'appId',
  cluster_id: 'clusterId',
};

async function publish(call: Call): Promise<object> {
  const { body, path } = call;
  const payload = textOf(body, 'payload');
  const encoding = textOf(body, 'payload_encoding', 'string');
  if (encoding !== 'string' && encoding !== 'base64') throw badRequest(`unsupported encoding: ${encoding}`, 'string or base64');
  if (encoding === 'base64' && !isBase64(payload)) throw badRequest("'payload' is no base64");
  const bytes = encoding === 'base64' ? decodeBase64(payload) : encodeUtf8(payload);
  const run = encodeContent(
    exchangeName(call, 'exchange'),
    textOf(body, 'routing_key'),
    propertiesFromJson(ours(objectOf(body, 'properties'))),
    bytes,
  );
  try {
    return { routed: (await acting(call, path['vhost'] ?? '', (each) => each.publish(run))) > 0 };
  } catch (error) {
    // RabbitMQ: the path is right, what is published to is not there.
    if (error instanceof AmqpError && error.code === ReplyCode.NotFound) throw badRequest(`${error.code} ${error.message}`);
    throw error;
  }
}

export function ours(properties: JsonObject): JsonObject {
  const renamed: JsonObject = {};
  for (const [name, value] of Object.entries(properties)) {
    const our = Object.hasOwn(PROPERTIES, name) ? PROPERTIES[name] : undefined;
    if (our === undefined) throw badRequest(`no property '${name}'`, Object.keys(PROPERTIES).join(', '));
    renamed[our] = value;
  }
  return renamed;
}

export function theirs(properties: object): JsonObject {
  const renamed: JsonObject = {};
  for (const [name, our] of Object.entries(PROPERTIES)) {
    const found: [string, Json] | undefined = Object.entries(properties).find(([each]) => each === our);
    if (found !== undefined) renamed[name] = found[1];
  }
  return renamed;
}

const MODES = ['ack_requeue_true', 'ack_requeue_false', 'reject_requeue_true', 'reject_requeue_false'];

async function get(call: Call): Promise<object[]> {
  const { body, path } = call;
  const count = countOf(body, 'count', 1);
  const encoding = textOf(body, 'encoding', 'auto');
  const mode =
    body['ackmode'] === undefined
      ? body['requeue'] === false || body['requeue'] === 'false'
        ? 'ack_requeue_false'
        : 'ack_requeue_true'
      : textOf(body, 'ackmode');
  const truncate = body['truncate'] === undefined ? Number.POSITIVE_INFINITY : countOf(body, 'truncate');
  if (count < 1 || count > GET_MAX) throw badRequest(`'count' must be from 1 to ${GET_MAX}`);
  if (encoding !== 'auto' && encoding !== 'base64') throw badRequest(`unsupported encoding: ${encoding}`, 'auto or base64');
  if (!MODES.includes(mode)) throw badRequest(`no ackmode '${mode}'`, MODES.join(', '));
  return await acting(call, path['vhost'] ?? '', async ({ session }) => {
    const messages: object[] = [];
    let [last, bytes] = [0, 0];
    while (messages.length < count && bytes < GET_BYTES_MAX) {
      const got = await take(session, path['name'] ?? '', (each) => ({ tag: each.tag, ...show(each, encoding, truncate) }));
      if (got === undefined) break;
      messages.push(got.message);
      last = got.tag;
      bytes += got.bytes;
    }
    if (last > 0 && mode === 'ack_requeue_false') session.ack(last, true);
    if (last > 0 && mode === 'reject_requeue_false') session.nack(last, true, false);
    if (last > 0 && mode === 'reject_requeue_true') session.nack(last, true, true);
    if (last > 0 && mode === 'ack_requeue_true') session.nack(last, true, true);
    return messages;
  });
}

/** The bytes of a message are there during the call alone. */
function take<Result>(session: Session, queue: string, use: (got: Got) => Result): Promise<Result | undefined> {
  return new Promise((resolve) => session.get(queue, false, (got) => resolve(got === undefined ? undefined : use(got))));
}

function show(got: Got, encoding: string, truncate: number): { message: object; bytes: number } {
  const content = new Content().read(got.bytes, got.start, got.end);
  const body = got.bytes.subarray(content.bodyStart, Math.min(got.end, content.bodyStart + truncate));
  const text = encoding === 'auto' && isUtf8(body, 0, body.length) ? decodeUtf8(body, 0, body.length) : undefined;
  const message = {
    payload_bytes: content.bodyBytes,
    redelivered: got.redelivered,
    exchange: content.exchange,
    routing_key: content.key,
    message_count: got.messageCount,
    properties: theirs(propertiesToJson(content.properties)),
    payload: text ?? encodeBase64(body),
    payload_encoding: text === undefined ? 'base64' : 'string',
  };
  return { message, bytes: content.bodyStart - got.start + body.length };
}

/** Declares a queue, publishes to it and gets it: the whole way once (RabbitMQ's aliveness test). */
async function aliveness(call: Call): Promise<object> {
  const queue = 'aliveness-test';
  return await acting(call, call.path['vhost'] ?? '', async ({ session, publish: send }) => {
    session.declareQueue({ queue, durable: false, exclusive: false, autoDelete: false, passive: false, arguments: new Map() });
    await send(encodeContent('', queue, {}, encodeUtf8('test_message')));
    const tag = await take(session, queue, (got) => got.tag);
    if (tag !== undefined) session.ack(tag, false);
    return { status: 'ok' };
  });
}

const PUBLISH_BODY = fields({ routing_key: text, payload: text, payload_encoding: text, properties: table }, ['routing_key', 'payload']);
const GET_BODY = fields({ count: whole, ackmode: text, encoding: text, truncate: whole, requeue: flag });

export const messageRoutes: readonly Route[] = [
  {
    tag: 'management',
    right: 'basic.publish',
    method: 'POST',
    path: '/api/exchanges/{vhost}/{exchange}/publish',
    body: PUBLISH_BODY,
    summary: 'Publishes a message',
    handle: publish,
  },
  {
    tag: 'management',
    right: 'basic.get',
    method: 'POST',
    path: '/api/queues/{vhost}/{name}/get',
    body: GET_BODY,
    summary: 'Gets messages',
    handle: get,
  },
  {
    tag: 'management',
    right: 'queue.declare',
    method: 'GET',
    path: '/api/aliveness-test/{vhost}',
    summary: 'Sends a message through the broker',
    handle: aliveness,
  },
];
