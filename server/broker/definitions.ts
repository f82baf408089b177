// Topology as the log keeps it: one JSON object for each durable thing that is declared, bound, deleted or unbound.
//
//   {kind: 'exchange', vhost, name, type, autoDelete, internal, arguments}          {kind: 'exchange.delete', vhost, name}
//   {kind: 'queue', vhost, name, number, autoDelete, arguments}                     {kind: 'queue.delete', vhost, name, number}
//   {kind: 'binding', vhost, source, destinationKind, destination, key, arguments}  {kind: 'binding.delete', the same}
//
// Always: (1) what is here is durable, so no object says so; (2) deleting an exchange or a queue implies its bindings; (3) what follows from a
// deletion (an auto-delete exchange that goes too) has an object of its own. Logs on disk hold this: fields are added, never changed.
// Refuses: an object it cannot read, as damage of the log (an invariant, not a peer's fault).

import type { FieldTable } from '../../shared/amqp/table.ts';
import { invariant } from '../../shared/assert.ts';
import type { JsonObject } from '../../shared/protocol/control.ts';
import { tableFromJson, tableToJson } from '../../shared/protocol/json.ts';
import type { Definition } from '../ports.ts';
import type { Binding, Exchange } from './exchange.ts';
import type { Queue } from './queue.ts';

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

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
