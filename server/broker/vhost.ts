// One virtual host: its exchanges and queues by name, and every rule about declaring, binding and deleting them.
// Always: (1) `version` grows with every change that could alter a route; (2) a queue leaves `queues` and loses its bindings before its
// delete() runs, so nothing that runs there finds it; (3) what is durable is defined in the log in the order in which it changed;
// (4) an auto-delete exchange goes with its last binding as source, taps not counted; (5) taps are in no map.
// Refuses: rights (the protocols ask before they come here), routing (router.ts), what becomes of messages (queue.ts).

import type { FieldTable } from '../../shared/amqp/table.ts';
import { invariant } from '../../shared/assert.ts';
import { AmqpError, ReplyCode } from '../../shared/error.ts';
import type { Definition } from '../ports.ts';
import { bindingDefinition, DefinitionReader, exchangeDefinition, isDefined, queueDefinition } from './definitions.ts';
import { bindingFields, exchangeFields, queueFields } from './event-fields.ts';
import { Binding, createMatcher, type Destination, Exchange, incomingOf } from './exchange.ts';
import { checkBinding } from './limit-checks.ts';
import { checkKey, checkName, checkNewName, describe, generateName, type NamedKind, notFound, RESERVED_PREFIX } from './names.ts';
import { predeclaredExchanges } from './predeclared.ts';
import type { Queue } from './queue.ts';
import { checkEquivalent, checkProperties, readQueueSettings, resourceLocked } from './queue-arguments.ts';
import { withQueueType } from './queue-type.ts';
import { RouteCache } from './route-cache.ts';
import type { ExchangeDeclaration, QueueDeclaration } from './topology.ts';
import type { VhostPorts } from './vhost-ports.ts';

export class Vhost {
  readonly name: string;
  /** The default exchange is here too, under ''. */
  readonly exchanges = new Map<string, Exchange>();
  readonly queues = new Map<string, Queue>();
  /** Routes found in this topology. */
  readonly routes = new RouteCache();
  readonly defaultExchange: Exchange;
  version = 1;
  /** Its publishes and deliveries are copied to amq.rabbitmq.trace (firehose.ts). */
  isTraced = false;
  readonly #ports: VhostPorts;
  #keepsUnused = false;
  readonly #exclusive = new Map<object, Set<Queue>>();

  constructor(name: string, ports: VhostPorts) {
    this.name = name;
    this.#ports = ports;
    for (const exchange of predeclaredExchanges(name)) this.exchanges.set(exchange.name, exchange);
    const defaultExchange = this.exchanges.get('');
    invariant(defaultExchange !== undefined, 'the default exchange is predeclared');
    this.defaultExchange = defaultExchange;
  }

  // Exchanges.

  declareExchange(declaration: ExchangeDeclaration): Exchange {
    const { exchange: name } = declaration;
    this.#refuseDefault(name, '/exchange');
    if (declaration.passive) return this.#exchange(name);
    createMatcher(declaration.type);
    const existing = this.exchanges.get(name);
    if (existing !== undefined) {
      existing.checkEquivalent(declaration, this.name);
      return existing;
    }
    checkNewName('exchange', name);
    const exchange = new Exchange(name, declaration, this.name);
    this.#addExchange(exchange);
    if (exchange.durable) this.#ports.define(exchangeDefinition(this.name, exchange));
    this.#ports.events.tell('exchange.created', () => exchangeFields(this.name, exchange));
    return exchange;
  }

  /** Deleting what does not exist is done already. */
  deleteExchange(name: string, ifUnused: boolean): void {
    this.#refuseDefault(name, '/exchange');
    if (name.startsWith(RESERVED_PREFIX)) {
      const text = `deletion of system ${this.#describe('exchange', name)} not allowed`;
      throw new AmqpError(ReplyCode.AccessRefused, text, { path: '/exchange' });
    }
    const exchange = this.exchanges.get(name);
    if (exchange === undefined) return;
    if (ifUnused && exchange.boundCount > 0) {
      const hint = 'Unbind what is bound to it, or delete without ifUnused.';
      throw new AmqpError(ReplyCode.PreconditionFailed, `${this.#describe('exchange', name)} in use`, { path: '/exchange', hint });
    }
    this.#deleteUnused(this.#removeExchange(exchange));
  }

  exchangeToPublish(name: string): Exchange {
    const exchange = this.#exchange(name);
    if (!exchange.internal) return exchange;
    throw new AmqpError(ReplyCode.AccessRefused, `cannot publish to internal ${this.#describe('exchange', name)}`, { path: '/exchange' });
  }

  bindExchange(destination: string, source: string, key: string, args: FieldTable): void {
    this.#refuseDefault(destination, '/destination');
    this.#refuseDefault(source, '/source');
    const from = this.#exchange(source, '/source');
    this.#bind(from, this.#exchange(destination, '/destination'), key, args);
  }

  /** Unbinding what is not bound, or does not exist, is done already. */
  unbindExchange(destination: string, source: string, key: string, args: FieldTable): void {
    this.#refuseDefault(destination, '/destination');
    this.#refuseDefault(source, '/source');
    this.#unbind(this.exchanges.get(source), this.exchanges.get(destination), key, args);
  }

  // Queues.

  /** An existing queue is compared and answered; that it was used is for the caller to note. */
  declareQueue(declaration: QueueDeclaration, owner: object): Queue {
    const { durable, exclusive, autoDelete } = declaration;
    const isImport = owner === this; // what was exported comes back as it was: server-named, and of its own type
    if (declaration.passive) return this.findQueue(declaration.queue, owner);
    if (isImport) checkName('queue', declaration.queue);
    const name = isImport ? declaration.queue : declaration.queue === '' ? this.#freshName() : checkNewName('queue', declaration.queue);
    const place = { queue: name, vhost: this.name };
    const existing = this.queues.get(name);
    const asked = {
      durable: durable && !exclusive,
      autoDelete,
      exclusiveOwner: exclusive ? owner : undefined,
      arguments: declaration.arguments,
    };
    const shape = isImport ? asked : withQueueType(asked, this.#ports.defaultQueueType(), existing);
    if (existing !== undefined) {
      checkEquivalent(existing, shape, place);
      return existing;
    }
    const settings = readQueueSettings(shape.arguments, place, this.#ports.limits.deliveryLimit);
    checkProperties(settings.type, shape, place);
    this.#ports.admitQueue(this.queues.size);
    const queue = this.#ports.createQueue(this, name, { ...shape, settings, number: undefined });
    this.#addQueue(queue);
    if (queue.durable) this.#ports.define(queueDefinition(this.name, queue));
    this.#ports.events.tell('queue.created', () => queueFields(queue));
    return queue;
  }

  /** Throws 404, or 405 when it is exclusive to another owner. */
  findQueue(name: string, owner: object): Queue {
    const queue = this.queues.get(name);
    if (queue === undefined) throw notFound('queue', name, this.name);
    this.#checkAccess(queue, owner);
    return queue;
  }

  bindQueue(queue: string, exchange: string, key: string, args: FieldTable, owner: object): void {
    this.#refuseDefault(exchange, '/exchange');
    const source = this.#exchange(exchange);
    this.#bind(source, this.findQueue(queue, owner), key, args);
  }

  unbindQueue(queue: string, exchange: string, key: string, args: FieldTable, owner: object): void {
    this.#refuseDefault(exchange, '/exchange');
    const destination = this.queues.get(queue);
    if (destination !== undefined) this.#checkAccess(destination, owner);
    this.#unbind(this.exchanges.get(exchange), destination, key, args);
  }

  /** Answers how many ready messages it held; 0 for a queue that does not exist, which is no error. */
  deleteQueue(name: string, ifUnused: boolean, ifEmpty: boolean, owner: object): number {
    const queue = this.queues.get(name);
    if (queue === undefined) return 0;
    this.#checkAccess(queue, owner);
    const refuse = (why: string, hint: string): AmqpError =>
      new AmqpError(ReplyCode.PreconditionFailed, `${this.#describe('queue', name)} ${why}`, { path: '/queue', queue: name, hint });
    if (ifEmpty && queue.readyCount > 0) throw refuse('not empty', 'Purge it, or delete without ifEmpty.');
    if (ifUnused && queue.consumerCount > 0) throw refuse('in use', 'Cancel its consumers, or delete without ifUnused.');
    return this.removeQueue(queue, 'queue deleted');
  }

  /** For what nobody asked for by name: auto-delete, expiry. Nothing when the queue is gone already. */
  removeQueue(queue: Queue, reason: string): number {
    if (this.queues.get(queue.name) !== queue) return 0;
    const sources = this.#forgetQueue(queue);
    if (isDefined(queue)) this.#ports.define({ kind: 'queue.delete', vhost: this.name, name: queue.name, number: queue.number });
    const ready = queue.delete(reason);
    this.#ports.events.emit('queue.deleted', { name: queue.name, vhost: this.name });
    this.#deleteUnused(sources);
    return ready;
  }

  /** Deletes all that was declared here: the vhost goes. */
  clear(): void {
    for (const queue of [...this.queues.values()]) this.removeQueue(queue, 'vhost deleted');
    for (const exchange of [...this.exchanges.values()])
      if (exchange !== this.defaultExchange && !exchange.name.startsWith(RESERVED_PREFIX)) this.#removeExchange(exchange);
  }

  /** The connection `owner` has ended: its exclusive queues go. */
  releaseOwner(owner: object): void {
    for (const queue of this.#exclusive.get(owner) ?? []) this.removeQueue(queue, 'connection closed');
  }

  // Taps: queues that only listen. At the default exchange their key is a topic pattern over queue names.

  bindTap(tap: Queue, exchange: string, key: string, args: FieldTable): void {
    invariant(tap.isTap, 'only a tap is bound as one');
    this.#bind(this.#exchange(exchange), tap, key, args);
  }

  unbindTap(tap: Queue): void {
    for (const binding of tap.bindings) binding.source.detach(binding);
    this.version++;
  }

  // Recovery.

  /** Applies one logged definition. Defines nothing, and deletes nothing that follows: what followed was logged too. */
  restore(definition: Definition): void {
    const read = new DefinitionReader(definition);
    switch (definition.kind) {
      case 'exchange':
        this.#restoreExchange(read);
        break;
      case 'exchange.delete': {
        const exchange = this.exchanges.get(read.text('name'));
        if (exchange !== undefined) this.#forgetExchange(exchange);
        break;
      }
      case 'queue':
        this.#restoreQueue(read);
        break;
      case 'queue.delete': {
        const queue = this.queues.get(read.text('name'));
        if (queue?.number !== read.number('number')) break;
        this.#forgetQueue(queue);
        queue.delete('queue deleted');
        break;
      }
      case 'queue.seq': {
        const queue = this.queues.get(read.text('name'));
        if (queue?.number === read.number('queueNumber')) queue.continueAt(read.number('nextSeq'));
        break;
      }
      case 'binding':
      case 'binding.delete':
        this.#restoreBinding(read, definition.kind === 'binding');
        break;
      default:
        invariant(false, `a definition of kind '${definition.kind}' is known`);
    }
  }

  #restoreExchange(read: DefinitionReader): void {
    const name = read.text('name');
    if (this.exchanges.has(name)) return;
    const [type, autoDelete, internal, args] = [read.text('type'), read.flag('autoDelete'), read.flag('internal'), read.table('arguments')];
    this.#addExchange(new Exchange(name, { type, durable: true, autoDelete, internal, arguments: args }, this.name));
  }

  #restoreQueue(read: DefinitionReader): void {
    const name = read.text('name');
    if (this.queues.has(name)) return;
    const args = read.table('arguments');
    const settings = readQueueSettings(args, { queue: name, vhost: this.name }, this.#ports.limits.deliveryLimit);
    const shape = { durable: true, autoDelete: read.flag('autoDelete'), exclusiveOwner: undefined, arguments: args };
    const queue = this.#ports.createQueue(this, name, { ...shape, settings, number: read.number('number') });
    if (read.has('nextSeq')) queue.continueAt(read.number('nextSeq'));
    this.#addQueue(queue);
  }

  #restoreBinding(read: DefinitionReader, isBound: boolean): void {
    const name = read.text('destination');
    const source = this.exchanges.get(read.text('source'));
    const destination = read.text('destinationKind') === 'queue' ? this.queues.get(name) : this.exchanges.get(name);
    if (source === undefined || destination === undefined) return;
    const [key, args] = [read.text('key'), read.table('arguments')];
    const binding = source.find(destination, key, args);
    if (isBound && binding === undefined) source.attach(new Binding(source, destination, key, args));
    if (!isBound && binding !== undefined) source.detach(binding);
    this.version++;
  }

  // What both halves share.

  #bind(source: Exchange, destination: Destination, key: string, args: FieldTable): void {
    checkKey(key);
    if (source.find(destination, key, args) !== undefined) return;
    const queue = destination.kind === 'queue' ? destination.name : undefined;
    checkBinding({ sourceType: source.type, queue, count: () => incomingOf(destination).size, key }, this.#ports.limits);
    source.matcher.check(key, args);
    const binding = new Binding(source, destination, key, args);
    source.attach(binding);
    this.version++;
    if (binding.isDurable) this.#ports.define(bindingDefinition('binding', this.name, binding));
    if (!binding.isTap) this.#ports.events.tell('binding.created', () => bindingFields(this.name, binding));
  }

  #unbind(source: Exchange | undefined, destination: Destination | undefined, key: string, args: FieldTable): void {
    if (source === undefined || destination === undefined) return;
    const binding = source.find(destination, key, args);
    if (binding === undefined) return;
    source.detach(binding);
    this.version++;
    if (binding.isDurable) this.#ports.define(bindingDefinition('binding.delete', this.name, binding));
    this.#ports.events.tell('binding.deleted', () => bindingFields(this.name, binding));
    this.#deleteUnused([source]);
  }

  /** While `work` runs, no exchange goes with its last binding: an import may bring another. */
  keepUnused(work: () => void): void {
    this.#keepsUnused = true;
    try {
      work();
    } finally {
      this.#keepsUnused = false;
    }
  }

  /** Deletes those of `exchanges`, which have just lost a binding, that are auto-delete and have none left; and so on up the graph. */
  #deleteUnused(exchanges: Exchange[]): void {
    if (this.#keepsUnused) return;
    for (let exchange = exchanges.pop(); exchange !== undefined; exchange = exchanges.pop()) {
      if (!exchange.autoDelete || exchange.boundCount > 0 || this.exchanges.get(exchange.name) !== exchange) continue;
      exchanges.push(...this.#removeExchange(exchange));
    }
  }

  #removeExchange(exchange: Exchange): Exchange[] {
    const sources = this.#forgetExchange(exchange);
    if (exchange.durable) this.#ports.define({ kind: 'exchange.delete', vhost: this.name, name: exchange.name });
    this.#ports.events.emit('exchange.deleted', { name: exchange.name, vhost: this.name });
    return sources;
  }

  #addExchange(exchange: Exchange): void {
    this.exchanges.set(exchange.name, exchange);
    this.#ports.declared(this, exchange);
    this.version++;
  }

  #addQueue(queue: Queue): void {
    this.queues.set(queue.name, queue);
    const owner = queue.exclusiveOwner;
    if (owner !== undefined) this.#exclusive.set(owner, (this.#exclusive.get(owner) ?? new Set()).add(queue));
    this.#ports.declared(this, queue);
    this.version++;
  }

  /** Answers the exchanges that lost a binding to it. */
  #forgetExchange(exchange: Exchange): Exchange[] {
    this.exchanges.delete(exchange.name);
    for (const binding of [...exchange.outgoing.values()]) {
      exchange.detach(binding);
      const { destination } = binding;
      if (destination.kind === 'queue' && destination.isTap) destination.delete('exchange deleted'); // its consumer is told
    }
    return this.#detachFrom(exchange);
  }

  #forgetQueue(queue: Queue): Exchange[] {
    this.queues.delete(queue.name);
    const owner = queue.exclusiveOwner;
    const owned = owner === undefined ? undefined : this.#exclusive.get(owner);
    owned?.delete(queue);
    if (owner !== undefined && owned?.size === 0) this.#exclusive.delete(owner);
    return this.#detachFrom(queue);
  }

  #detachFrom(destination: Destination): Exchange[] {
    this.version++;
    const sources: Exchange[] = [];
    for (const binding of incomingOf(destination)) {
      binding.source.detach(binding);
      sources.push(binding.source);
      this.#ports.events.tell('binding.deleted', () => bindingFields(this.name, binding));
    }
    return sources;
  }

  #exchange(name: string, path = '/exchange'): Exchange {
    const exchange = this.exchanges.get(name);
    if (exchange === undefined) throw notFound('exchange', name, this.name, path);
    return exchange;
  }

  #checkAccess(queue: Queue, owner: object): void {
    if (queue.exclusiveOwner !== undefined && queue.exclusiveOwner !== owner) throw resourceLocked({ queue: queue.name, vhost: this.name });
  }

  #refuseDefault(exchange: string, path: string): void {
    if (exchange !== '') return;
    const hint = 'Every queue is bound to it under its own name; nothing else is.';
    throw new AmqpError(ReplyCode.AccessRefused, 'operation not permitted on the default exchange', { path, hint });
  }

  #freshName(): string {
    let name = generateName('amq.gen-', this.#ports.random);
    while (this.queues.has(name)) name = generateName('amq.gen-', this.#ports.random);
    return name;
  }

  #describe(kind: NamedKind, name: string): string {
    return describe(kind, name, this.name);
  }
}
