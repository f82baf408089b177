// From the protocol header to connection.open: what the server says of itself, and what it takes from a client.
//
//   Start ──start-ok──► Tune ──tune-ok──► Opening ──open──► (open)        any other method on the way is 503
//     └────► Refused    the login failed: the answer waits a second, so that guessing is slow
//
// Always: a tune-ok above what was offered, or a frame below AMQP's minimum, is refused with RabbitMQ's text (530).
// Refuses: to hold a connection's life; connection.ts does, and asks here.

import { FRAME_MIN_SIZE, PROTOCOL_HEADER } from '../../shared/amqp/frame.ts';
import type { MethodFields } from '../../shared/amqp/methods.ts';
import type { FieldTable, FieldValue } from '../../shared/amqp/table.ts';
import { AmqpError, ReplyCode } from '../../shared/error.ts';
import { SEND_QUEUE_BYTES_MAX } from '../../shared/send-queue.ts';
import { encodeUtf8 } from '../../shared/text.ts';
import type { Broker } from '../broker/broker.ts';
import { type Account, LOGIN_DELAY_MS, type Login, type Remote } from '../broker/login.ts';
import type { Clock } from '../ports.ts';
import { mechanisms, readAmqplain, readPlain } from './sasl.ts';

/** security.md, 3. */
export interface AmqpLimits {
  readonly messageBytes: number;
  /** From the first byte to connection.open. */
  readonly handshakeMs: number;
  readonly loginDelayMs: number;
  readonly frameMax: number;
  readonly frameMaxBeforeTune: number;
  readonly channelMax: number;
  /** What clients are offered; 0 for none. */
  readonly heartbeatSeconds: number;
  readonly sendQueueBytes: number;
}

export const defaultAmqpLimits: AmqpLimits = {
  messageBytes: 16 * 1024 * 1024,
  handshakeMs: 10_000,
  loginDelayMs: LOGIN_DELAY_MS,
  frameMax: 131_072,
  frameMaxBeforeTune: 8192,
  channelMax: 2047,
  heartbeatSeconds: 60,
  sendQueueBytes: SEND_QUEUE_BYTES_MAX,
};

export interface AmqpRemote extends Remote {
  /** The common name in a client certificate that the transport has verified. */
  readonly certifiedName: string | undefined;
}

/** The RabbitMQ whose behaviour this is, where its versions differ. */
const COMPATIBLE_VERSION = '4.1.0';
const CAPABILITIES = [
  'publisher_confirms',
  'exchange_exchange_bindings',
  'basic.nack',
  'consumer_cancel_notify',
  'connection.blocked',
  'consumer_priorities',
  'authentication_failure_close',
  'per_consumer_qos',
  'direct_reply_to',
];

export interface Product {
  readonly product: string;
  readonly version: string;
}

/** What all AMQP connections of a server share. */
export interface AmqpSettings {
  readonly broker: Broker;
  readonly clock: Clock;
  readonly login: Login;
  readonly product: Product;
  readonly limits: AmqpLimits;
}

export function startFields({ product, version }: Product, isCertified: boolean): MethodFields<'connection.start'> {
  const properties: FieldTable = new Map<string, FieldValue>([
    ['capabilities', new Map<string, FieldValue>(CAPABILITIES.map((name) => [name, true]))],
    ['cluster_name', product.toLowerCase()],
    ['copyright', 'MIT licence'],
    ['information', 'Speaks AMQP 0-9-1 as RabbitMQ does. See docs/compatibility.md'],
    ['platform', `${product}/${version}`],
    // Clients look at these two to know what they may use (semantics P1).
    ['product', 'RabbitMQ'],
    ['version', COMPATIBLE_VERSION],
  ]);
  return {
    versionMajor: 0,
    versionMinor: 9,
    serverProperties: properties,
    mechanisms: encodeUtf8(mechanisms(isCertified)),
    locales: encodeUtf8('en_US'),
  };
}

/** The eight bytes that come first, in whatever parts. */
export class ProtocolHeader {
  #matched = 0;

  /** What follows them in `chunk`; `wrong` where a byte is not theirs, `short` where there are more to come. */
  take(chunk: Uint8Array): Uint8Array | 'wrong' | 'short' {
    for (let at = 0; at < chunk.length; at++) {
      if (chunk[at] !== PROTOCOL_HEADER[this.#matched]) return 'wrong';
      if (++this.#matched === PROTOCOL_HEADER.length) return chunk.subarray(at + 1);
    }
    return 'short';
  }
}

/** What a client says it can do, and its name for people. */
export class ClientProperties {
  readonly table: FieldTable;
  readonly name: string | undefined;
  readonly #capabilities: FieldTable;

  constructor(properties: FieldTable) {
    this.table = properties;
    const name = properties.get('connection_name');
    this.name = typeof name === 'string' ? name : undefined;
    const capabilities = properties.get('capabilities');
    this.#capabilities = capabilities instanceof Map ? capabilities : new Map();
  }

  can(capability: string): boolean {
    return this.#capabilities.get(capability) === true;
  }
}

/** Who start-ok names and proves to be: `done` gets the account, or a 403. Throws what is wrong with the response itself. */
export function logIn(
  login: Login,
  { mechanism, response }: MethodFields<'connection.start-ok'>,
  remote: AmqpRemote,
  done: (outcome: Account | AmqpError) => void,
): void {
  if (mechanism === 'EXTERNAL' && remote.certifiedName !== undefined) {
    done(login.certified(remote.certifiedName, remote));
    return;
  }
  if (mechanism !== 'PLAIN' && mechanism !== 'AMQPLAIN')
    throw new AmqpError(ReplyCode.CommandInvalid, `unsupported authentication mechanism '${mechanism}'`);
  const { user, password } = mechanism === 'PLAIN' ? readPlain(response) : readAmqplain(response);
  login.check(user, password, remote, done);
}

/** RabbitMQ's text for a login that failed; why it did, it tells to its log alone. */
export function loginRefused(mechanism: string): AmqpError {
  return new AmqpError(
    ReplyCode.AccessRefused,
    `Login was refused using authentication mechanism ${mechanism}. For details see the broker logfile.`,
  );
}

/** Throws 530 unless the client's tune-ok stays within what was offered. */
export function checkTune({ channelMax, frameMax }: MethodFields<'connection.tune-ok'>, limits: AmqpLimits): void {
  checkTuned('frame_max', frameMax, FRAME_MIN_SIZE, limits.frameMax);
  checkTuned('channel_max', channelMax, 1, limits.channelMax);
}

function checkTuned(name: string, value: number, min: number, max: number): void {
  const shown = value === 0 ? '0 (no limit)' : String(value);
  const refuse = (how: string, which: string, bound: number): AmqpError =>
    new AmqpError(ReplyCode.NotAllowed, `negotiated ${name} = ${shown} is ${how} than the ${which} allowed value (${bound})`);
  if (value !== 0 && value < min) throw refuse('lower', 'minimum', min);
  if (value === 0 || value > max) throw refuse('higher', 'maximum', max);
}
