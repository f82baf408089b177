// Topology as the log keeps it: one JSON object for each durable thing that is declared, bound, deleted or unbound.
//
//   {kind: 'exchange', vhost, name, type, autoDelete, internal, arguments}          {kind: 'exchange.delete', vhost, name}
//   {kind: 'queue', vhost, name, number, autoDelete, arguments}                     {kind: 'queue.delete', vhost, name, number}
//   {kind: 'queue.seq', vhost, name, queueNumber, nextSeq}                          {kind: 'queue.numbers', next} (queue-numbers.ts)
//   {kind: 'binding', vhost, source, destinationKind, destination, key, arguments}  {kind: 'binding.delete', the same}
//
// A checkpoint's queues have a nextSeq too: no message gets a seq below it.
// Always: (1) what is here is durable, so no object says so; (2) deleting an exchange or a queue implies its bindings; (3) what follows from a
// deletion (an auto-delete exchange that goes too) has an object of its own. Logs on disk hold this: fields are added, never changed.
// Refuses: an object it cannot read, as damage of the log (an invariant, not a peer's fault).

import type { FieldTable } from '../../shared/amqp/table.ts';
import { invariant } from '../../shared/assert.ts';
import { isObject, tableFromJson, tableToJson } from '../../shared/protocol/json.ts';
import type { Definition } from '../ports.ts';
import type { Binding, Exchange } from './exchange.ts';
import { RESERVED_PREFIX } from './names.ts';
import type { Queue } from './queue.ts';
import type { Vhost } from './vhost.ts';

export function exchangeDefinition(vhost: string, exchange: Exchange): Definition {
  const { name, type, autoDelete, internal } = exchange;
  return { kind: 'exchange', vhost, name, type, autoDelete, internal, arguments: tableToJson(exchange.arguments) };
}

export function queueDefinition(vhost: string, queue: Queue): Definition {
  const { name, number, autoDelete } = queue;
  return { kind: 'queue', vhost, name, number, autoDelete, arguments: tableToJson(queue.arguments) };
}

export function bindingDefinition(kind: 'binding' | 'binding.delete', vhost: string, binding: Binding): Definition {
  const { source, destination, key } = binding;
  const args = tableToJson(binding.arguments);
  return { kind, vhost, source: source.name, destinationKind: destination.kind, destination: destination.name, key, arguments: args };
}

/** How far a queue has come, where no message that the log keeps may say so. */
export function queueSeqDefinition(vhost: string, name: string, queueNumber: number, nextSeq: number): Definition {
  return { kind: 'queue.seq', vhost, name, queueNumber, nextSeq };
}

/** Everything durable in a vhost as it is now: exchanges and queues, then the bindings between them. */
export function topologyOf(vhost: Vhost): Definition[] {
  const things: Definition[] = [];
  const bindings: Definition[] = [];
  for (const exchange of vhost.exchanges.values()) {
    const isPredeclared = exchange === vhost.defaultExchange || exchange.name.startsWith(RESERVED_PREFIX);
    if (exchange.durable && !isPredeclared) things.push(exchangeDefinition(vhost.name, exchange));
    for (const binding of exchange.outgoing.values()) {
      if (binding.isDurable) bindings.push(bindingDefinition('binding', vhost.name, binding));
    }
  }
  for (const queue of vhost.queues.values()) {
    if (isDefined(queue)) things.push({ ...queueDefinition(vhost.name, queue), nextSeq: queue.nextSeq });
  }
  return [...things, ...bindings];
}

/** Only these queues are in the log. */
export function isDefined(queue: Queue): boolean {
  return queue.durable && queue.exclusiveOwner === undefined;
}

/** Reads the fields of a definition that came out of a log. */
export class DefinitionReader {
  readonly #definition: Definition;

  constructor(definition: Definition) {
    this.#definition = definition;
  }

  text(field: string): string {
    const value = this.#definition[field];
    invariant(typeof value === 'string', `a logged ${this.#definition.kind} has a string '${field}'`);
    return value;
  }

  flag(field: string): boolean {
    const value = this.#definition[field];
    invariant(typeof value === 'boolean', `a logged ${this.#definition.kind} has a boolean '${field}'`);
    return value;
  }

  has(field: string): boolean {
    return this.#definition[field] !== undefined;
  }

  number(field: string): number {
    const value = this.#definition[field];
    invariant(typeof value === 'number', `a logged ${this.#definition.kind} has a number '${field}'`);
    return value;
  }

  table(field: string): FieldTable {
    const value = this.#definition[field];
    invariant(isObject(value), `a logged ${this.#definition.kind} has an object '${field}'`);
    return tableFromJson(value);
  }
}
