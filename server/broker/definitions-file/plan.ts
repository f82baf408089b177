// What has to be done so that a broker has what a definitions file asks for: a difference, as data.
// Always: (1) what is equal is in no step, so a second import plans nothing; (2) a queue or an exchange that is there with other properties is a conflict, with the
// text of RabbitMQ's 406, for neither can be changed; (3) whatever can be known to fail is known here, before anything is done; (4) what is only in the broker is deleted
// where that was asked for, of the kinds the file speaks of, but never who asks, and never the last administrator who can come in; (5) no step shows a password's hash, or a
// secret (masking.ts).
// Refuses: to change anything (apply.ts does).

import { AmqpError, ReplyCode } from '../../../shared/error.ts';
import type { JsonObject } from '../../../shared/protocol/control.ts';
import { isMadeOf } from '../imported-hash.ts';
import { checkBinding, checkQueueCount } from '../limit-checks.ts';
import type { BrokerLimits } from '../limits.ts';
import { predeclaredType } from '../predeclared.ts';
import { resourceLocked } from '../queue-arguments.ts';
import { isAdministrator, isManageable } from './administrators.ts';
import { checkEquivalentThing, checkThing } from './check.ts';
import type { Wanted } from './from-json.ts';
import { identityOf, KINDS, type Kind, nameOf, parentsOf, plainText, sameJson, shown, type Thing } from './thing.ts';

export interface Step {
  /** 'skip': what cannot be here and harms nobody, with the reason. 'conflict': why nothing of the plan can be done. */
  readonly act: 'create' | 'change' | 'delete' | 'skip' | 'conflict';
  readonly kind: Kind;
  readonly key: readonly string[];
  /** For people. */
  readonly name: string;
  /** For people too: no hash and no secret is in them. */
  readonly from?: JsonObject;
  readonly to?: JsonObject;
  readonly why?: string;
  readonly hint?: string;
  /** In the file. */
  readonly path?: string;
}

export interface PlanOptions {
  /** Whether what the file does not name is to go. */
  readonly prune?: boolean;
  /** The user who asks; undefined: the process itself. */
  readonly caller?: string;
}

/** What there is. */
export interface Current {
  readonly things: readonly Thing[];
  /** Exclusive queues, which no file may touch: their connections own them. */
  readonly exclusive: readonly Thing[];
  readonly limits: Pick<BrokerLimits, 'queuesPerVhost' | 'bindingsPerQueue' | 'topicWords'>;
}

export class Plan {
  /** In the order in which they are done. */
  readonly steps: readonly Step[];
  /** Sections of the file that nobody here knows. */
  readonly unknown: readonly string[];
  readonly #wanted: ReadonlyMap<string, Thing>;

  constructor(steps: readonly Step[], unknown: readonly string[], wanted: ReadonlyMap<string, Thing>) {
    this.steps = steps;
    this.unknown = unknown;
    this.#wanted = wanted;
  }

  /** What a step makes, with what nobody may see. */
  valueOf({ kind, key }: Step): JsonObject | undefined {
    return this.#wanted.get(identityOf({ kind, key }))?.value;
  }
}

export function plan(current: Current, wanted: Wanted, { prune = false, caller }: PlanOptions = {}): Plan {
  const there = new Map(current.things.map((thing) => [identityOf(thing), thing]));
  // What is named twice is as it was named last.
  const asked = new Map(wanted.things.map((thing) => [identityOf(thing), withKeptHash(thing, there.get(identityOf(thing)))]));
  const isPruned = (thing: Thing): boolean => prune && wanted.kinds.has(thing.kind) && !asked.has(identityOf(thing));
  const left = withoutPruned(current.things, isPruned);
  const world = new World([...left.values(), ...asked.values()]);
  const deletes = inOrder(current.things.filter(isPruned)).reverse().map(deletion);
  const locked = new Set(current.exclusive.map(identityOf));
  const others: Step[] = [];
  for (const thing of inOrder(asked.values())) {
    const step = locked.has(identityOf(thing)) ? lockedStep(thing) : stepFor(thing, left.get(identityOf(thing)), world);
    if (step?.act === 'skip') world.leaveOut(thing); // what needs it comes later in KINDS
    if (step !== undefined) others.push(step);
  }
  const limited = withinLimits(others, [...left.values(), ...current.exclusive], world, current.limits);
  return new Plan(withAdministrators([...deletes, ...limited], current, world, caller), wanted.unknown, asked);
}

/** Throws the first conflict. */
export function checkPlan({ steps }: Plan): void {
  const conflict = steps.find(({ act }) => act === 'conflict');
  if (conflict === undefined) return;
  const { hint, path, why = conflict.name } = conflict;
  throw new AmqpError(ReplyCode.PreconditionFailed, why, {
    ...(path === undefined ? {} : { path }),
    hint: hint === undefined ? 'nothing of the file was applied' : `${hint}; nothing of the file was applied`,
  });
}

/** What will be there: by name, whether a file brings it or the broker has it. */
export class World {
  readonly #things: Map<string, Thing>;

  constructor(things: readonly Thing[]) {
    this.#things = new Map(things.map((thing) => [identityOf(thing), thing]));
  }

  has(kind: Kind, ...key: readonly string[]): boolean {
    return this.valueOf(kind, ...key) !== undefined;
  }
  valueOf(kind: Kind, ...key: readonly string[]): JsonObject | undefined {
    return this.#things.get(identityOf({ kind, key }))?.value;
  }
  /** It is left out: what needs it finds it missing. */
  leaveOut(thing: Thing): void {
    this.#things.delete(identityOf(thing));
  }
  values(): Thing[] {
    return [...this.#things.values()];
  }
}

function inOrder(things: Iterable<Thing>): Thing[] {
  return [...things].sort((a, b) => KINDS.indexOf(a.kind) - KINDS.indexOf(b.kind)); // which keeps the order within a kind
}

/** What is pruned takes what is in it along. By identity. */
function withoutPruned(things: readonly Thing[], isPruned: (thing: Thing) => boolean): Map<string, Thing> {
  const left = new Map<string, Thing>();
  const gone = new Set<string>();
  for (const thing of inOrder(things)) {
    if (isPruned(thing) || parentsOf(thing).some((parent) => gone.has(parent))) gone.add(identityOf(thing));
    else left.set(identityOf(thing), thing);
  }
  return left;
}

function deletion({ kind, key, value }: Thing): Step {
  const name = nameOf({ kind, key });
  const step = { kind, key, name, from: shown({ kind, value }, value) };
  if (kind !== 'vhost' || value['protected_from_deletion'] !== true) return { ...step, act: 'delete' };
  return {
    ...step,
    act: 'conflict',
    why: `${name} is protected from deletion`,
    hint: 'take its protection away first, or name it in the file',
  };
}

/** A user whose hash there was made of the one that the file has (at a login) has that password already: it keeps its own. */
function withKeptHash(thing: Thing, had: Thing | undefined): Thing {
  if (thing.kind !== 'user' || had === undefined) return thing;
  const { passwordHash = '', hashingAlgorithm = '', importedTag } = had.value;
  const isSame = passwordHash === thing.value['passwordHash'] && hashingAlgorithm === thing.value['hashingAlgorithm'];
  if (importedTag === undefined || !(isSame || isMadeOf(had.value, thing.value))) return thing;
  return { ...thing, value: { ...thing.value, passwordHash, hashingAlgorithm, importedTag } };
}

/** What a step says of a thing of the file. */
function place({ kind, key, path }: Thing): Pick<Step, 'kind' | 'key' | 'name' | 'path'> {
  return { kind, key, name: nameOf({ kind, key }), ...(path === undefined ? {} : { path }) };
}

/** undefined: nothing is to be done. */
function stepFor(thing: Thing, had: Thing | undefined, world: World): Step | undefined {
  const { kind, value } = thing;
  if (had !== undefined && (kind === 'binding' || sameJson(had.value, value))) return undefined;
  const step = place(thing);
  const to = shown(thing, had?.value);
  const from = had === undefined ? {} : { from: shown(had, had.value) };
  try {
    const why = checkThing(thing, world);
    if (why !== undefined) return { ...step, act: 'skip', why };
    if (had === undefined) return { ...step, act: 'create', to };
    if (kind !== 'queue' && kind !== 'exchange') return { ...step, act: 'change', ...from, to };
    checkEquivalentThing(had, thing);
    return undefined;
  } catch (error) {
    return conflict({ ...step, ...from, to }, error);
  }
}

function lockedStep(thing: Thing): Step {
  const [vhost = '', queue = ''] = thing.key;
  return conflict({ ...place(thing), to: shown(thing) }, resourceLocked({ queue, vhost }));
}

/** What a vhost or a queue cannot hold beside what it has is refused. */
function withinLimits(steps: readonly Step[], there: readonly Thing[], world: World, limits: Current['limits']): Step[] {
  const counts = new Counts();
  for (const { kind, key } of there) counts.add(kind, key);
  return steps.map((step) => {
    const { act, kind, key } = step;
    if (act !== 'create') return step;
    const [vhost = '', source = ''] = key;
    try {
      if (kind === 'queue') {
        const max = world.valueOf('vhost-limits', vhost)?.['max-queues'];
        checkQueueCount(vhost, counts.of(kind, key), limits, typeof max === 'number' ? max : -1);
      } else if (kind === 'binding') {
        const sourceType = predeclaredType(vhost, source) ?? String(world.valueOf('exchange', vhost, source)?.['type']);
        const queue = key[2] === 'queue' ? key[3] : undefined;
        checkBinding({ sourceType, queue, count: () => counts.of(kind, key), key: key[4] ?? '' }, limits);
      }
    } catch (error) {
      return conflict(step, error);
    }
    counts.add(kind, key);
    return step;
  });
}

/** Of the queues of each vhost, and the bindings of each queue. */
class Counts {
  readonly #counts = new Map<string, number>();

  of(kind: Kind, key: readonly string[]): number {
    return this.#counts.get(placeOf(kind, key)) ?? 0;
  }
  add(kind: Kind, key: readonly string[]): void {
    if (kind === 'queue' || kind === 'binding') this.#counts.set(placeOf(kind, key), this.of(kind, key) + 1);
  }
}
function placeOf(kind: Kind, [vhost, , destinationKind, destination]: readonly string[]): string {
  return JSON.stringify(kind === 'queue' ? [vhost] : [vhost, destinationKind, destination]);
}

/** Throws on what is no refusal. */
function conflict(step: Omit<Step, 'act'>, error: unknown): Step {
  if (!(error instanceof AmqpError)) throw error;
  const { hint } = error.detail;
  return { ...step, act: 'conflict', why: plainText(error), ...(hint === undefined ? {} : { hint }) };
}

/** Nobody deletes themselves, and somebody is left who may manage the broker and can come in. */
function withAdministrators(steps: readonly Step[], current: Current, world: World, caller: string | undefined): Step[] {
  const before = current.things.filter(isAdministrator);
  const areAllGone = !isManageable(current.things, world.values(), caller);
  return steps.map((step) => {
    const [user = ''] = step.key;
    if (step.kind !== 'user' || (step.act !== 'delete' && step.act !== 'change')) return step;
    if (step.act === 'delete' && user === caller) {
      const why = `user '${user}' may not be deleted: it is who asks, and nobody deletes themselves by an import`;
      return { ...step, act: 'conflict', why, hint: `name '${user}' in the file, or ask as another administrator` };
    }
    if (!areAllGone || !before.some(({ key }) => key[0] === user)) return step;
    const why = `user '${user}' must stay an administrator with a password: no other would be left, and nobody could manage the broker`;
    return { ...step, act: 'conflict', why, hint: 'keep a user tagged administrator who has a password in the file' };
  });
}
