// Names of exchanges and queues: which are allowed, which are reserved, how the broker makes one, how errors spell them.
// Always: a name is at most 255 bytes of UTF-8 (AMQP's shortstr) without CR and LF; `amq.` belongs to the broker.
// RabbitMQ differs: it strips CR and LF silently, so that two clients may believe in two names for one queue. We refuse.

import { AmqpError, ReplyCode } from '../../shared/error.ts';
import { SHORT_STRING_BYTES_MAX, utf8Length } from '../../shared/text.ts';
import type { Random } from '../ports.ts';

export type NamedKind = 'exchange' | 'queue';

export const RESERVED_PREFIX = 'amq.';

/** There is one, and RabbitMQ's tools want a name of it. */
export const NODE = 'leveret@localhost';

/** As RabbitMQ's error texts spell it: queue 'q' in vhost '/' */
export function describe(kind: NamedKind, name: string, vhost: string): string {
  return `${kind} '${name}' in vhost '${vhost}'`;
}

export function notFound(kind: NamedKind, name: string, vhost: string, path = `/${kind}`): AmqpError {
  return new AmqpError(ReplyCode.NotFound, `no ${describe(kind, name, vhost)}`, { path, hint: `Declare the ${kind} first.` });
}

export function checkName(kind: NamedKind, name: string): void {
  const path = `/${kind}`;
  if (/[\r\n]/.test(name)) {
    throw new AmqpError(ReplyCode.PreconditionFailed, `${kind} name ${JSON.stringify(name)} contains CR or LF`, { path });
  }
  if (name.length > SHORT_STRING_BYTES_MAX || utf8Length(name) > SHORT_STRING_BYTES_MAX) {
    throw new AmqpError(
      ReplyCode.PreconditionFailed,
      `${kind} name '${name.slice(0, 32)}...' is longer than ${SHORT_STRING_BYTES_MAX} bytes`,
      { path },
    );
  }
}

export function checkNotReserved(kind: NamedKind, name: string): void {
  if (!name.startsWith(RESERVED_PREFIX)) return;
  throw new AmqpError(ReplyCode.AccessRefused, `${kind} name '${name}' contains reserved prefix 'amq.*'`, {
    path: `/${kind}`,
    hint: kind === 'queue' ? 'Leave the name empty and the broker makes one.' : 'Choose a name that does not start with amq.',
  });
}

/** Of what somebody declares; RabbitMQ too refuses to declare an existing amq.gen- queue by its name. Answers the name. */
export function checkNewName(kind: NamedKind, name: string): string {
  checkName(kind, name);
  checkNotReserved(kind, name);
  return name;
}

export function checkKey(key: string): void {
  if (key.length * 3 <= SHORT_STRING_BYTES_MAX || utf8Length(key) <= SHORT_STRING_BYTES_MAX) return;
  throw new AmqpError(ReplyCode.PreconditionFailed, `binding key '${key.slice(0, 32)}...' is longer than ${SHORT_STRING_BYTES_MAX} bytes`, {
    path: '/key',
  });
}

const BASE64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/** `prefix` and 22 characters: 128 random bits, as RabbitMQ makes its names. */
export function generateName(prefix: string, random: Random): string {
  let name = prefix;
  let bits = 0;
  let bitCount = 0;
  for (const byte of random.bytes(16)) {
    bits = (bits << 8) | byte;
    for (bitCount += 8; bitCount >= 6; ) {
      bitCount -= 6;
      name += BASE64URL.charAt((bits >>> bitCount) & 63);
    }
    bits &= (1 << bitCount) - 1;
  }
  return name + BASE64URL.charAt((bits << (6 - bitCount)) & 63);
}
