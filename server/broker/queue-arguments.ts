// The x-arguments of a queue: what they mean, which are refused, and when two declarations of one queue agree.
// Always: (1) settings are complete: an absent limit is Infinity; (2) what RabbitMQ refuses is refused with its text, but an argument of one
// queue type is never refused on another (RabbitMQ differs: 406); (3) arguments that are not in COMPARED never make declarations differ.
// Refuses: x-queue-mode, x-queue-version, x-ha-*, stream and cluster arguments are accepted and ignored, as is whatever nobody knows.

import { type FieldTable, type FieldValue, Typed } from '../../shared/amqp/table.ts';
import { AmqpError, ReplyCode } from '../../shared/error.ts';
import { SHORT_STRING_BYTES_MAX, utf8Length } from '../../shared/text.ts';
import { canonicalValue, integerOf, printValue, typeName } from './field-values.ts';
import { defaultLimits } from './limits.ts';
import { describe } from './names.ts';
import { isQueueType, type QueueShape, type QueueType } from './queue-type.ts';

export const OVERFLOWS = ['drop-head', 'reject-publish', 'reject-publish-dlx', 'block'] as const;
export type Overflow = (typeof OVERFLOWS)[number];
export const CONSUMER_TIMEOUT_ACTIONS = ['requeue', 'cancel', 'close'] as const;
export type ConsumerTimeoutAction = (typeof CONSUMER_TIMEOUT_ACTIONS)[number];
export const COUNT_NACKS = ['4.3', 'all'] as const;
export type CountNack = (typeof COUNT_NACKS)[number];

export interface QueueSettings {
  readonly type: QueueType;
  readonly messageTtlMs: number;
  readonly expiresMs: number;
  /** Ready messages, and the bytes of their bodies. */
  readonly maxLength: number;
  readonly maxLengthBytes: number;
  readonly overflow: Overflow;
  /** How long overflow `block` holds a confirm back before it refuses. */
  readonly blockTimeoutMs: number;
  /** 0: one level only. */
  readonly maxPriority: number;
  /** Of a message that has none. */
  readonly defaultPriority: number;
  readonly deadLetterExchange: string | undefined;
  readonly deadLetterRoutingKey: string | undefined;
  readonly singleActiveConsumer: boolean;
  /** A message is delivered at most this often, and once more. */
  readonly deliveryLimit: number;
  /** undefined: the broker's default. */
  readonly consumerTimeoutMs: number | undefined;
  readonly consumerTimeoutAction: ConsumerTimeoutAction;
  /** Whether a nack adds to the delivery count (all) or only a reject and a lost consumer do (4.3). */
  readonly countNack: CountNack;
  readonly maxMessageBytes: number;
}

export interface QueuePlace {
  readonly queue: string;
  readonly vhost: string;
}

export const TEN_YEARS_MS = 315_360_000_000; // RabbitMQ's bound on every expiry
const PRIORITY_MAX = 255; // AMQP: priority is an octet
const QUORUM_PRIORITY_MAX = 31; // RabbitMQ 4.x: 32 levels
const QUORUM_DEFAULT_PRIORITY = 4; // RabbitMQ 4.x

/** In RabbitMQ's order, then ours. x-consumer-timeout is not here: RabbitMQ ignores it when it compares. */
const COMPARED = [
  'x-expires',
  'x-message-ttl',
  'x-dead-letter-exchange',
  'x-dead-letter-routing-key',
  'x-dead-letter-strategy',
  'x-max-length',
  'x-max-length-bytes',
  'x-max-priority',
  'x-overflow',
  'x-single-active-consumer',
  'x-queue-type',
  'x-delivery-limit',
  'x-block-timeout',
  'x-consumer-timeout-action',
  'x-count-nack',
  'x-max-message-bytes',
];

/** The settings `args` ask for. Throws 406 at the first argument that is none. */
export function readQueueSettings(args: FieldTable, place: QueuePlace, quorumDeliveryLimit = defaultLimits.deliveryLimit): QueueSettings {
  const reader = new ArgumentReader(args, place);
  const type = reader.queueType();
  const isQuorum = type === 'quorum';
  const expiresMs = reader.positiveMs('x-expires', Number.POSITIVE_INFINITY);
  const messageTtlMs = reader.milliseconds('x-message-ttl', Number.POSITIVE_INFINITY);
  const deadLetterExchange = reader.deadLetterExchange();
  const deadLetterRoutingKey = reader.deadLetterRoutingKey();
  reader.choice('x-dead-letter-strategy', ['at-most-once', 'at-least-once'], 'at-most-once', 'invalid_dlx_strategy');
  const maxLength = reader.count('x-max-length', Number.POSITIVE_INFINITY);
  const maxLengthBytes = reader.count('x-max-length-bytes', Number.POSITIVE_INFINITY);
  const maxPriority = reader.count('x-max-priority', isQuorum ? QUORUM_PRIORITY_MAX : 0, PRIORITY_MAX);
  return {
    type,
    messageTtlMs,
    expiresMs,
    maxLength,
    maxLengthBytes,
    overflow: reader.choice('x-overflow', OVERFLOWS, 'drop-head', 'invalid_overflow'),
    blockTimeoutMs: reader.milliseconds('x-block-timeout', Number.POSITIVE_INFINITY),
    maxPriority,
    defaultPriority: isQuorum ? Math.min(QUORUM_DEFAULT_PRIORITY, maxPriority) : 0,
    deadLetterExchange,
    deadLetterRoutingKey,
    singleActiveConsumer: reader.flag('x-single-active-consumer'),
    deliveryLimit: reader.deliveryLimit(isQuorum ? quorumDeliveryLimit : Number.POSITIVE_INFINITY),
    consumerTimeoutMs: reader.positiveMs('x-consumer-timeout', undefined),
    consumerTimeoutAction: reader.choice(
      'x-consumer-timeout-action',
      CONSUMER_TIMEOUT_ACTIONS,
      'requeue',
      'invalid_consumer_timeout_action',
    ),
    countNack: reader.choice('x-count-nack', COUNT_NACKS, isQuorum ? '4.3' : 'all', 'invalid_count_nack'),
    maxMessageBytes: reader.count('x-max-message-bytes', Number.POSITIVE_INFINITY),
  };
}

/** Throws unless a queue `existing` is what `requested` asks for: 405 when only one of them is exclusive here, else 406. */
export function checkEquivalent(existing: QueueShape, requested: QueueShape, place: QueuePlace): void {
  const name = describe('queue', place.queue, place.vhost);
  if (existing.exclusiveOwner !== requested.exclusiveOwner) throw resourceLocked(place);
  checkFieldEquivalent('durable', existing.durable, requested.durable, name);
  checkFieldEquivalent('auto_delete', existing.autoDelete, requested.autoDelete, name);
  for (const argument of COMPARED) checkArgumentEquivalent(argument, existing.arguments, requested.arguments, name);
}

/** What a queue type asks of the queue itself. Its arguments are taken on every type. */
export function checkProperties(type: QueueType, shape: QueueShape, place: QueuePlace): void {
  if (type === 'classic') return;
  const isInvalid = (property: string, path: string): AmqpError =>
    new AmqpError(ReplyCode.PreconditionFailed, `invalid property '${property}' for ${describe('queue', place.queue, place.vhost)}`, {
      path,
    });
  if (shape.autoDelete) throw isInvalid('auto-delete', '/autoDelete');
  if (shape.exclusiveOwner !== undefined) throw isInvalid('exclusive-owner', '/exclusive');
  if (!shape.durable) throw isInvalid('non-durable', '/durable');
}

export function resourceLocked(place: QueuePlace): AmqpError {
  const name = describe('queue', place.queue, place.vhost);
  return new AmqpError(
    ReplyCode.ResourceLocked,
    `cannot obtain exclusive access to locked ${name}. It could be originally declared on another connection or ` +
      'the exclusive property value does not match that of the original declaration.',
    { path: '/queue', queue: place.queue },
  );
}

/** One property of a declaration, as RabbitMQ compares and reports it. `name` is what describe() says of the queue or exchange. */
export function checkFieldEquivalent(field: string, current: string | boolean, received: string | boolean, name: string): void {
  if (current !== received)
    throw inequivalent(field, `'${received}'`, `'${current}'`, name, field === 'auto_delete' ? '/autoDelete' : `/${field}`);
}

export function checkArgumentEquivalent(argument: string, current: FieldTable, received: FieldTable, name: string): void {
  const was = withDefault(argument, current);
  const is = withDefault(argument, received);
  if (was === is || (was !== undefined && is !== undefined && canonicalValue(was) === canonicalValue(is))) return;
  // RabbitMQ spells the types out only when one side has no value.
  const both = was !== undefined && is !== undefined;
  const print = (value: FieldValue | undefined): string => {
    if (value === undefined) return 'none';
    return both ? `'${printValue(value)}'` : `the value '${printValue(value)}' of type '${typeName(value)}'`;
  };
  throw inequivalent(argument, print(received.get(argument)), print(current.get(argument)), name, `/arguments/${argument}`);
}

/** No x-queue-type means classic. */
function withDefault(argument: string, args: FieldTable): FieldValue | undefined {
  const value = args.get(argument);
  return argument === 'x-queue-type' && value === 'classic' ? undefined : value;
}

function inequivalent(field: string, received: string, current: string, name: string, path: string): AmqpError {
  return new AmqpError(
    ReplyCode.PreconditionFailed,
    `inequivalent arg '${field}' for ${name}: received ${received} but current is ${current}`,
    {
      path,
      hint: 'Declare with the same properties, or delete it first.',
    },
  );
}

/** What a consumer may ask by arguments, over what its queue says. */
export interface ConsumerSettings {
  readonly timeoutMs: number | undefined;
  readonly priority: number | undefined;
}

export function readConsumerSettings(args: FieldTable, place: QueuePlace): ConsumerSettings {
  const reader = new ArgumentReader(args, place);
  return { timeoutMs: reader.positiveMs('x-consumer-timeout', undefined), priority: reader.anyInteger('x-priority') };
}

/** Reads one argument after the other; each method throws RabbitMQ's 406 for what it cannot read. */
class ArgumentReader {
  readonly #args: FieldTable;
  readonly #place: QueuePlace;

  constructor(args: FieldTable, place: QueuePlace) {
    this.#args = args;
    this.#place = place;
  }

  queueType(): QueueType {
    const value = this.#text('x-queue-type');
    if (value === undefined) return 'classic';
    if (isQueueType(value)) return value;
    throw this.#invalid('x-queue-type', `"unsupported queue type '${value}'"`);
  }

  /** Negative ones too. */
  anyInteger(argument: string): number | undefined {
    const value = this.#integer(argument);
    return value === undefined ? undefined : Number(value);
  }

  /** At least 0, at most `max`. */
  count<Absent>(argument: string, absent: Absent, max = Number.POSITIVE_INFINITY): number | Absent {
    const value = this.#integer(argument);
    if (value === undefined) return absent;
    if (value < 0) throw this.#invalid(argument, `{value_negative,${value}}`);
    if (value > max) throw this.#invalid(argument, `{max_value_exceeded,${value}}`);
    return Number(value);
  }

  milliseconds<Absent>(argument: string, absent: Absent): number | Absent {
    const value = this.#integer(argument);
    if (value === undefined) return absent;
    if (value < 0) throw this.#invalid(argument, `{value_negative,${value}}`);
    if (value > TEN_YEARS_MS) throw this.#invalid(argument, `{value_too_large,${value}}`);
    return Number(value);
  }

  positiveMs<Absent>(argument: string, absent: Absent): number | Absent {
    const value = this.milliseconds(argument, absent);
    if (value === 0) throw this.#invalid(argument, '{value_zero,0}');
    return value;
  }

  /** RabbitMQ 4.x: a negative limit is none. */
  deliveryLimit(absent: number): number {
    const value = this.#integer('x-delivery-limit');
    return value === undefined ? absent : value < 0 ? Number.POSITIVE_INFINITY : Number(value);
  }

  flag(argument: string): boolean {
    const value = this.#args.get(argument);
    if (value !== undefined && typeof value !== 'boolean') throw this.#invalid(argument, `{unacceptable_type,${typeName(value)}}`);
    return value ?? false;
  }

  choice<Choice extends string>(argument: string, choices: readonly Choice[], absent: Choice, refusal: string): Choice {
    const value = this.#text(argument);
    if (value === undefined) return absent;
    const choice = choices.find((each) => each === value);
    if (choice === undefined) throw this.#invalid(argument, refusal, `One of ${choices.join(', ')}.`);
    return choice;
  }

  deadLetterExchange(): string | undefined {
    const value = this.#args.get('x-dead-letter-exchange');
    if (value === undefined || typeof value === 'string') return value;
    const text = `invalid type '${typeName(value)}' for arg 'x-dead-letter-exchange' in ${this.#name}`;
    throw new AmqpError(ReplyCode.PreconditionFailed, text, { path: '/arguments/x-dead-letter-exchange' });
  }

  deadLetterRoutingKey(): string | undefined {
    const value = this.#text('x-dead-letter-routing-key');
    if (value !== undefined && !this.#args.has('x-dead-letter-exchange')) {
      throw this.#invalid('x-dead-letter-routing-key', 'routing_key_but_no_dlx_defined', 'Set x-dead-letter-exchange too.');
    }
    if (value !== undefined && utf8Length(value) > SHORT_STRING_BYTES_MAX) {
      throw this.#invalid('x-dead-letter-routing-key', 'too_long', `A routing key has at most ${SHORT_STRING_BYTES_MAX} bytes.`);
    }
    return value;
  }

  #integer(argument: string): number | bigint | undefined {
    const value = this.#args.get(argument);
    if (value === undefined) return undefined;
    const integer = integerOf(value);
    if (integer === undefined) throw this.#invalid(argument, `"expected integer, got ${typeName(value)}"`);
    return integer;
  }

  #text(argument: string): string | undefined {
    const value = this.#args.get(argument);
    if (value === undefined || typeof value === 'string') return value;
    // A longstr that is no UTF-8 has the right type and cannot be any known value.
    if (value instanceof Typed && value.type === 'S') return '';
    throw this.#invalid(argument, `{unacceptable_type,${typeName(value)}}`);
  }

  get #name(): string {
    return describe('queue', this.#place.queue, this.#place.vhost);
  }

  #invalid(argument: string, reason: string, hint?: string): AmqpError {
    const path = `/arguments/${argument}`;
    const text = `invalid arg '${argument}' for ${this.#name}: ${reason}`;
    return new AmqpError(ReplyCode.PreconditionFailed, text, hint === undefined ? { path } : { path, hint });
  }
}
