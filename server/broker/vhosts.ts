// The virtual hosts there are: records, and the Vhost that each stands for.
// Always: (1) '/' is there from the start, unless a record says that it was deleted; (2) a vhost that is deleted has lost its connections, queues,
// exchanges and permissions before it is gone; (3) its metadata are RabbitMQ's: description, tags, default_queue_type, tracing, protected_from_deletion.
// Refuses: who may do it (authorise.ts), and names that AMQP could not carry.

import { AmqpError, ReplyCode } from '../../shared/error.ts';
import type { JsonObject } from '../../shared/protocol/control.ts';
import { utf8Length } from '../../shared/text.ts';
import type { Definition } from '../ports.ts';
import { checkQueueCount } from './limit-checks.ts';
import type { Account } from './login.ts';
import { isQueueType, type QueueType } from './queue-type.ts';
import type { Records } from './records.ts';
import type { Vhost } from './vhost.ts';

export const DEFAULT_VHOST = '/';
const NAME_BYTES_MAX = 255; // AMQP: a vhost's path is a short string

export interface VhostsPorts {
  /** Of every vhost, beside its own limit. */
  readonly queuesPerVhost: number;
  create(name: string): Vhost;
  /** Ends every session in it. */
  evict(vhost: Vhost, reason: string): void;
}

export class Vhosts {
  readonly #records: Records;
  readonly #ports: VhostsPorts;
  readonly #vhosts = new Map<string, Vhost>();

  constructor(records: Records, ports: VhostsPorts) {
    this.#records = records;
    this.#ports = ports;
    this.#vhosts.set(DEFAULT_VHOST, ports.create(DEFAULT_VHOST));
    records.watch('vhost', ([name = ''], value) => this.#changed(name, value));
  }

  get(name: string): Vhost | undefined {
    return this.#vhosts.get(name);
  }
  values(): IterableIterator<Vhost> {
    return this.#vhosts.values();
  }
  names(): string[] {
    return [...this.#vhosts.keys()];
  }
  metadata(name: string): JsonObject {
    return this.#records.get('vhost', [name]) ?? {};
  }

  /** Throws 530, as RabbitMQ does, for a vhost that is not there or is closed to this account. */
  open(account: Account, name: string): Vhost {
    const vhost = this.#vhosts.get(name);
    if (vhost === undefined) throw new AmqpError(ReplyCode.NotAllowed, `vhost ${name} not found`, { path: '/vhost' });
    if (account.rights(name) === undefined)
      throw new AmqpError(ReplyCode.NotAllowed, `access to vhost '${name}' refused for user '${account.name}'`, {
        path: '/vhost',
        hint: 'an administrator may grant it: PUT /api/permissions/{vhost}/{user}',
      });
    return vhost;
  }

  /** -1 for none (RabbitMQ, Virtual Host Limits). */
  limit(vhost: string, limit: 'max-connections' | 'max-queues'): number {
    const max = this.#records.get('vhost-limits', [vhost])?.[limit];
    return typeof max === 'number' ? max : -1;
  }

  /** Of queues that are declared without x-queue-type. */
  defaultQueueType(vhost: string): QueueType | undefined {
    const type = this.#records.get('vhost', [vhost])?.['default_queue_type'];
    return isQueueType(type) ? type : undefined;
  }

  /** Throws 406 when one more queue beside `count` would be too many. */
  admitQueue(vhost: string, count: number): void {
    checkQueueCount(vhost, count, this.#ports, this.limit(vhost, 'max-queues'));
  }

  /** Makes it, or changes its metadata. Answers whether it is new. */
  put(name: string, metadata: JsonObject): boolean {
    if (name === '' || utf8Length(name) > NAME_BYTES_MAX)
      throw new AmqpError(ReplyCode.PreconditionFailed, `a vhost's name has 1 to ${NAME_BYTES_MAX} bytes`, { path: '/vhost' });
    const isNew = !this.#vhosts.has(name);
    this.#records.put('vhost', [name], metadata);
    return isNew;
  }

  /** Answers whether it was there. */
  delete(name: string): boolean {
    const vhost = this.#vhosts.get(name);
    if (vhost === undefined) return false;
    if (this.metadata(name)['protected_from_deletion'] === true)
      throw new AmqpError(ReplyCode.PreconditionFailed, `vhost '${name}' is protected from deletion`, {
        hint: 'take its protection away first',
      });
    this.#ports.evict(vhost, `vhost '${name}' is deleted`);
    vhost.clear();
    for (const kind of ['permission', 'topic-permission', 'policy', 'operator-policy', 'parameter', 'vhost-limits'] as const)
      this.#records.deleteAt(kind, 0, name);
    if (this.#records.get('vhost', [name]) === undefined) this.#records.put('vhost', [name], {}); // '/' has none of its own
    this.#records.delete('vhost', [name]);
    return true;
  }

  /** What a log must be told beside the records. */
  definitions(): Definition[] {
    return this.#vhosts.has(DEFAULT_VHOST) ? [] : [{ kind: 'vhost.none', vhost: DEFAULT_VHOST }];
  }
  /** True when the definition was one of these. */
  restore(definition: Definition): boolean {
    if (definition.kind !== 'vhost.none') return false;
    this.#vhosts.delete(String(definition['vhost']));
    return true;
  }

  #changed(name: string, value: JsonObject | undefined): void {
    const vhost = this.#vhosts.get(name);
    if (value === undefined) this.#vhosts.delete(name);
    else if (vhost === undefined) this.#vhosts.set(name, this.#ports.create(name));
    const now = this.#vhosts.get(name);
    if (now !== undefined) now.isTraced = value?.['tracing'] === true;
  }
}
