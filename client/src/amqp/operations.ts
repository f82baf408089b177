// The control operations of leveret.v1 as AMQP methods, on one channel that is opened again when one of them was refused.
// Always: (1) defaults are those of docs/protocol.md; (2) each operation gets its own answer: a soft error is that of the oldest, and those behind it, which
// the broker has not looked at, are asked again on the next channel, in their order; (3) what AMQP has no word for is refused here, with what to do instead.
// Refuses: whatever brings messages (consuming.ts, getting.ts) or publishes them (publishing.ts).

import type { Method, MethodFields } from '../../../shared/amqp/methods.ts';
import type { MethodName } from '../../../shared/amqp/spec.ts';
import type { OperationName, Request } from '../../../shared/protocol/control.ts';
import { tableFromJson } from '../../../shared/protocol/json.ts';
import { type Ask, ask, type Channel, type ChannelUser } from './channel.ts';
import type { Connection } from './connection.ts';
import { NO_CHANNEL, type Refusal } from './inbound.ts';

/** One request, as it was sent; told apart by `op`. */
export type Asked = { [Name in OperationName]: { readonly id: number; readonly op: Name } & Request<Name> }[OperationName];

/** Ends an operation: with an error, or with what stands under `ok`. */
export type Done = (error: Refusal | undefined, ok?: object) => void;

/** What AMQP cannot say, and what to do instead: docs/client-amqp.md has the same list. */
const UNSUPPORTED: { readonly [op: string]: readonly [what: string, hint: string] } = {
  'tap.open': ['taps', 'declare an exclusive queue, bind it to the exchange, and consume it'],
  'stats.open': ['statistics', "ask the broker's management API, or connect with leveret-client"],
  stats: ['statistics', "ask the broker's management API, or connect with leveret-client"],
  'queue.inspect': ['details of a queue', 'declareQueue(name, { passive: true }) tells its ready messages and its consumers'],
  publish: ['publish that is a question', 'use publish() of an exchange or a queue'],
  credit: ['credit for messages', 'use prefetch'],
  qos: ['prefetch for the whole connection', 'give each consumer its own'],
  recover: ['recover for the whole connection', 'nack each message'],
};

export function unsupported(op: string): Refusal {
  const [what, hint] = UNSUPPORTED[op] ?? [`operation ${op}`, 'see docs/client-amqp.md'];
  return { reason: `UNSUPPORTED - AMQP 0-9-1 has no ${what}`, hint };
}

interface Step {
  readonly ask: (done: Done) => Ask;
}

/** The method for an operation; undefined when there is none. Throws 502 for arguments that no table holds. */
export function stepOf(asked: Asked): Step | undefined {
  switch (asked.op) {
    case 'ping': // a round trip that changes nothing: this channel has no consumers
      return step('basic.qos', { prefetchSize: 0, prefetchCount: 0, global: false });
    case 'exchange.declare': {
      const { exchange, type = 'direct', passive = false, durable = true, autoDelete = false, internal = false } = asked;
      const fields = { exchange, type, passive, durable, autoDelete, internal, nowait: false, arguments: tableOf(asked) };
      return step('exchange.declare', fields, () => ({ exchange }));
    }
    case 'exchange.delete':
      return step('exchange.delete', { exchange: asked.exchange, ifUnused: asked.ifUnused ?? false, nowait: false });
    case 'exchange.bind':
    case 'exchange.unbind': {
      const { destination, source, key: routingKey = '' } = asked;
      return step(asked.op, { destination, source, routingKey, nowait: false, arguments: tableOf(asked) });
    }
    case 'queue.declare': {
      const { queue = '', passive = false, durable = true, exclusive = false, autoDelete = false } = asked;
      const fields = { queue, passive, durable, exclusive, autoDelete, nowait: false, arguments: tableOf(asked) };
      return step('queue.declare', fields, (method) => (method.name === 'queue.declare-ok' ? method.fields : {}));
    }
    case 'queue.bind': {
      const { queue, exchange, key: routingKey = '' } = asked;
      return step('queue.bind', { queue, exchange, routingKey, nowait: false, arguments: tableOf(asked) });
    }
    case 'queue.unbind': {
      const { queue, exchange, key: routingKey = '' } = asked;
      return step('queue.unbind', { queue, exchange, routingKey, arguments: tableOf(asked) });
    }
    case 'queue.purge':
      return step('queue.purge', { queue: asked.queue, nowait: false }, countOf);
    case 'queue.delete': {
      const { queue, ifUnused = false, ifEmpty = false } = asked;
      return step('queue.delete', { queue, ifUnused, ifEmpty, nowait: false }, countOf);
    }
    default:
      return undefined;
  }
}

const tableOf = ({ arguments: args = {} }: { readonly arguments?: Parameters<typeof tableFromJson>[0] }) =>
  tableFromJson(args, '/arguments');
const countOf = (method: Method): object => ('messageCount' in method.fields ? { messageCount: method.fields.messageCount } : {});

function step<Name extends MethodName>(name: Name, fields: MethodFields<Name>, answer: (reply: Method) => object = () => ({})): Step {
  return { ask: (done) => ask(name, fields, (error, reply) => done(error, reply && answer(reply))) };
}

export class Operations implements ChannelUser {
  readonly #connection: Connection;
  #channel: Channel | undefined;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  run(step: Step, done: Done): void {
    this.#ask(step.ask(done));
  }

  closed(error: Refusal, unanswered: readonly Ask[]): void {
    this.#channel = undefined;
    const [culprit, ...others] = unanswered;
    for (const other of others) this.#ask(other);
    culprit?.done(error);
  }

  #ask(question: Ask): void {
    this.#channel ??= this.#connection.channel(this);
    if (this.#channel === undefined) question.done(NO_CHANNEL);
    else this.#channel.ask(question);
  }
}
