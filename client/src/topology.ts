// Exchanges, queues and bindings as data, and the types of the bodies that go through them.
// Always: (1) plain data: it can be logged, compared and shared between services; (2) schemas are types only: nothing is validated when a message is
// published or read, so a body has the schema's *input* type on both sides. Refuses: behaviour (declare.ts turns this into operations).

import type { Duration } from './duration.ts';
import type { Arguments } from './options.ts';

/** A Standard Schema (zod, valibot, arktype ...), or what {@link type} gives. */
export interface Schema<T = unknown> {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => unknown;
    readonly types?: { readonly input: T; readonly output: unknown } | undefined;
  };
}

/** What a schema's bodies look like on the wire. */
export type BodyOf<S> = S extends { readonly '~standard': { readonly types?: infer Types } }
  ? NonNullable<Types> extends { readonly input: infer Input }
    ? Input
    : unknown
  : unknown;

/** Binding keys or a headers match: what a queue or exchange takes from another exchange. */
export interface BindingSpec {
  /** The exchange to take from. */
  readonly from: string;
  /** Binding keys; one binding each. Default: one with the key ''. */
  readonly keys?: readonly string[];
  /** For a headers exchange: `{ 'x-match': 'all', format: 'pdf' }`. */
  readonly match?: Arguments;
}

interface Bound extends Partial<BindingSpec> {
  /** More sources than the one of `from`. */
  readonly bindings?: readonly BindingSpec[];
  /** Arguments by their AMQP names, for what has no name here. */
  readonly arguments?: Arguments;
}

/** One exchange of a {@link topology}. */
export interface ExchangeSpec extends Bound {
  /** Default 'direct'. */
  readonly type?: 'direct' | 'topic' | 'fanout' | 'headers' | (string & {});
  /** Default true. */
  readonly durable?: boolean;
  readonly autoDelete?: boolean;
  readonly internal?: boolean;
  /** The exchange that gets what no binding matches. */
  readonly alternate?: string;
  /** Body types by routing key; a key may be a topic pattern. */
  readonly messages?: Readonly<Record<string, Schema>>;
}

/** One queue of a {@link topology}. */
export interface QueueSpec extends Bound {
  /** Default true. */
  readonly durable?: boolean;
  readonly exclusive?: boolean;
  readonly autoDelete?: boolean;
  readonly maxPriority?: number;
  readonly maxLength?: number;
  readonly maxBytes?: number;
  readonly overflow?: 'drop-head' | 'reject-publish' | 'reject-publish-dlx';
  /** How long a message may wait in it. */
  readonly ttl?: Duration;
  /** The queue goes after this long without use. */
  readonly expires?: Duration;
  /** The queue that gets what is rejected, expired or pushed out; declared too when the topology does not have it. */
  readonly deadLetter?: string;
  readonly deadLetterExchange?: string;
  readonly deadLetterKey?: string;
  readonly deliveryLimit?: number;
  readonly singleActiveConsumer?: boolean;
  readonly consumerTimeout?: Duration;
  /** The type of its bodies. Default: what `from` and `keys` let through. */
  readonly message?: Schema;
}

/** What {@link topology} takes. */
export interface Topology {
  readonly exchanges?: Readonly<Record<string, ExchangeSpec>>;
  readonly queues?: Readonly<Record<string, QueueSpec>>;
}

/**
 * Exchanges, queues and bindings, declared on connect and again on every reconnect.
 * ```ts
 * const shop = topology({
 *   exchanges: { orders: { type: 'topic', messages: { 'order.created': type<{ total: number }>() } } },
 *   queues: { billing: { from: 'orders', keys: ['order.*'], deadLetter: 'billing.dead' } },
 * });
 * console.log(shop.queues.billing.deadLetter);
 * ```
 */
export function topology<const T extends Topology>(spec: T): T {
  return spec;
}

/**
 * A schema that is a type and nothing else.
 * ```ts
 * const order = type<{ total: number }>();
 * console.log(order['~standard'].vendor);
 * ```
 */
export function type<T>(): Schema<T> {
  return { '~standard': { version: 1, vendor: 'leveret', validate: (value) => ({ value }) } };
}

type WordMatches<Word extends string, Pattern extends string> = Pattern extends '*' | Word ? true : false;

/** Whether the routing key `Key` matches the topic pattern `Pattern`. */
export type Matches<Key extends string, Pattern extends string> = Pattern extends '#'
  ? true
  : Pattern extends `#.${infer Rest}`
    ? Matches<Key, Rest> extends true
      ? true
      : Key extends `${string}.${infer KeyRest}`
        ? Matches<KeyRest, Pattern>
        : false
    : Pattern extends `${infer Word}.${infer Rest}`
      ? Key extends `${infer KeyWord}.${infer KeyRest}`
        ? WordMatches<KeyWord, Word> extends true
          ? Matches<KeyRest, Rest>
          : false
        : Rest extends '#'
          ? WordMatches<Key, Word>
          : false
      : Key extends `${string}.${string}`
        ? false
        : WordMatches<Key, Pattern>;

type OrUnknown<T> = [T] extends [never] ? unknown : T;
type MatchesAny<Key extends string, Patterns extends readonly string[]> = { [I in keyof Patterns]: Matches<Key, Patterns[I]> }[number];
type Nothing = Record<never, never>;

/** The `messages` of exchange `Name`. */
export type MessagesOf<T, Name> = T extends { readonly exchanges: infer Exchanges }
  ? Name extends keyof Exchanges
    ? Exchanges[Name] extends { readonly messages: infer Messages }
      ? Messages
      : Nothing
    : Nothing
  : Nothing;

/** The body that routing key `Key` carries, among these messages. */
export type BodyFor<Messages, Key extends string> = Key extends keyof Messages
  ? BodyOf<Messages[Key]>
  : OrUnknown<{ [P in keyof Messages & string]: Matches<Key, P> extends true ? BodyOf<Messages[P]> : never }[keyof Messages & string]>;

type BodiesThrough<Messages, Keys> = OrUnknown<
  {
    [K in keyof Messages & string]: Keys extends readonly string[]
      ? true extends MatchesAny<K, Keys>
        ? BodyOf<Messages[K]>
        : never
      : BodyOf<Messages[K]>;
  }[keyof Messages & string]
>;

/** The bodies of queue `Name`. */
export type QueueBody<T, Name> = T extends { readonly queues: infer Queues }
  ? Name extends keyof Queues
    ? Queues[Name] extends { readonly message: infer S }
      ? BodyOf<S>
      : Queues[Name] extends { readonly from: infer From; readonly keys: infer Keys }
        ? BodiesThrough<MessagesOf<T, From>, Keys>
        : Queues[Name] extends { readonly from: infer From }
          ? BodiesThrough<MessagesOf<T, From>, undefined>
          : unknown
    : unknown
  : unknown;
