// Policies and operator policies: which are there, which of them holds for a queue or an exchange, and that it holds as soon as it is there.
// Always: (1) of the policies that match, the one of the highest priority holds, of equals the first by name; there is no merge but that of one policy
// with one operator policy; (2) a change shows at once in every queue and exchange of the vhost whose effective policy it changes, and in no other; (3)
// each is a record, checked before it is put.
// Refuses: to say what a definition means (policy-definition.ts) or to carry it out (queue.ts, exchange.ts). A `glob` may stand for the pattern, which
// RabbitMQ does not have. RabbitMQ differs: among equals any may hold; what perl-pattern.ts refuses is taken there.

import { AmqpError, ReplyCode, replyName } from '../../shared/error.ts';
import { globMatcher } from '../../shared/glob.ts';
import type { Json, JsonObject } from '../../shared/protocol/control.ts';
import { isObject } from '../../shared/protocol/json.ts';
import { SHORT_STRING_BYTES_MAX, utf8Length } from '../../shared/text.ts';
import type { Notices } from '../ports.ts';
import type { Destination } from './exchange.ts';
import { checkDefinition, type EffectivePolicy, invalid, mergeDefinitions, NO_POLICY } from './policy-definition.ts';
import type { RecordKey, Records } from './records.ts';
import { compile, recall, type Unreadable, unreadableNotice } from './rights.ts';
import type { Vhost } from './vhost.ts';

/** The kinds of their records. */
export type PolicyKind = 'policy' | 'operator-policy';

const APPLY_TO = ['all', 'queues', 'classic_queues', 'quorum_queues', 'streams', 'exchanges'] as const;
export type ApplyTo = (typeof APPLY_TO)[number];

/** As it is kept, and as the management API takes and lists it. */
export interface PolicyRecord {
  readonly pattern: string;
  /** Instead of a pattern: `*` is any run of characters, `?` is one. */
  readonly glob: string | undefined;
  readonly 'apply-to': ApplyTo;
  readonly priority: number;
  readonly definition: JsonObject;
}

export interface NamedPolicy extends PolicyRecord {
  readonly vhost: string;
  readonly name: string;
}

interface Policy extends NamedPolicy {
  readonly matches: (name: string) => boolean;
}

export class Policies {
  readonly #records: Records;
  readonly #notices: Notices;
  readonly #vhost: (name: string) => Vhost | undefined;
  /** By vhost, in the order in which they are asked. */
  readonly #lists: { readonly [Kind in PolicyKind]: Map<string, readonly Policy[]> } = { policy: new Map(), 'operator-policy': new Map() };

  constructor(records: Records, notices: Notices, vhost: (name: string) => Vhost | undefined) {
    this.#records = records;
    this.#notices = notices;
    this.#vhost = vhost;
    for (const kind of ['policy', 'operator-policy'] as const) records.watch(kind, (key, value) => this.#changed(kind, key, value));
  }

  /** `body` as RabbitMQ's management API has it. Throws 404 for a vhost that is not there, 406 for what is no policy. Answers whether it is new. */
  put(kind: PolicyKind, vhost: string, name: string, body: JsonObject): boolean {
    if (this.#vhost(vhost) === undefined) throw new AmqpError(ReplyCode.NotFound, `vhost '${vhost}' not found`, { path: '/vhost' });
    const isNew = this.#records.get(kind, [vhost, name]) === undefined;
    this.#records.put(kind, [vhost, name], policyRecord(kind, name, body));
    return isNew;
  }

  /** Deleting what is not there is done already; answers whether it was. */
  delete(kind: PolicyKind, vhost: string, name: string): boolean {
    return this.#records.delete(kind, [vhost, name]);
  }

  get(kind: PolicyKind, vhost: string, name: string): NamedPolicy | undefined {
    return this.#lists[kind].get(vhost)?.find((policy) => policy.name === name);
  }

  /** In the order in which they are asked. */
  list(kind: PolicyKind, vhost: string): readonly NamedPolicy[] {
    return this.#lists[kind].get(vhost) ?? [];
  }

  /** What holds for a queue or an exchange of this name. */
  effective(
    vhost: string,
    destination: Pick<Destination, 'name'> & { readonly kind: 'queue' | 'exchange'; readonly type: string },
  ): EffectivePolicy {
    const [policy, operatorPolicy] = (['policy', 'operator-policy'] as const).map((kind) =>
      this.#lists[kind].get(vhost)?.find((each) => appliesTo(each['apply-to'], destination) && each.matches(destination.name)),
    );
    if (policy === undefined && operatorPolicy === undefined) return NO_POLICY;
    const definition = mergeDefinitions(policy?.definition ?? {}, operatorPolicy?.definition ?? {});
    return { policy: policy?.name, operatorPolicy: operatorPolicy?.name, definition };
  }

  /** What is declared, or what a change of policies may concern, gets the policy that holds for it. */
  apply(vhost: Vhost, destination: Destination): void {
    const type = destination.kind === 'queue' ? destination.settings.type : destination.type;
    const effective = this.effective(vhost.name, { kind: destination.kind, name: destination.name, type });
    if (isSame(effective, destination.policy)) return;
    destination.follow(effective);
    vhost.version++; // an alternate exchange is a part of routes
  }

  #changed(kind: PolicyKind, [vhostName = '', name = '']: RecordKey, value: JsonObject | undefined): void {
    const others = this.#lists[kind].get(vhostName)?.filter((policy) => policy.name !== name) ?? [];
    const all = value === undefined ? others : [...others, toPolicy(vhostName, name, value, this.#notices)].sort(compare);
    if (all.length === 0) this.#lists[kind].delete(vhostName);
    else this.#lists[kind].set(vhostName, all);
    const vhost = this.#vhost(vhostName);
    if (vhost === undefined) return;
    for (const exchange of vhost.exchanges.values()) this.apply(vhost, exchange);
    for (const queue of [...vhost.queues.values()]) this.apply(vhost, queue);
  }
}

/** What is kept of `body`. Throws as `put` does. */
export function policyRecord(kind: PolicyKind, name: string, body: JsonObject): JsonObject {
  if (name === '' || utf8Length(name) > SHORT_STRING_BYTES_MAX)
    throw invalid(`a policy's name has 1 to ${SHORT_STRING_BYTES_MAX} bytes`, '/name');
  const { glob, ...record } = checkPolicy(body, kind === 'operator-policy');
  return glob === undefined ? record : { ...record, glob };
}

/** Throws 406 for what RabbitMQ would refuse, with its texts. */
function checkPolicy(body: JsonObject, isOperators: boolean): PolicyRecord {
  const { pattern, glob, priority = 0, definition } = body;
  const applyTo = body['apply-to'] ?? 'all';
  if (glob !== undefined && pattern !== undefined) throw invalid('either a pattern or a glob says what it applies to', '/glob');
  if (glob === undefined ? typeof pattern !== 'string' : typeof glob !== 'string')
    throw invalid(
      `${glob === undefined ? 'pattern' : 'glob'} should be a string`,
      glob === undefined ? '/pattern' : '/glob',
      "A regular expression such as '^orders\\.'.",
    );
  const record = { pattern: text(pattern), glob: glob === undefined ? undefined : text(glob), definition };
  matcherOf(record.pattern, record.glob);
  const isKnown = APPLY_TO.find((each) => each === applyTo);
  if (isKnown === undefined)
    throw invalid(`apply-to '${text(applyTo)}' unrecognised; should be one of ${APPLY_TO.join(', ')}`, '/apply-to');
  if (!Number.isSafeInteger(priority)) throw invalid(`priority should be a number, actually was ${JSON.stringify(priority)}`, '/priority');
  checkDefinition(definition, isOperators);
  return { ...record, 'apply-to': isKnown, priority: Number(priority), definition };
}

/** Throws 406 for a pattern that is none. */
function matcherOf(pattern: string, glob: string | undefined): (name: string) => boolean {
  if (glob !== undefined) return globMatcher(glob, '/glob');
  try {
    const expression = compile(pattern);
    return (name) => expression.test(name);
  } catch (error) {
    if (!(error instanceof AmqpError)) throw error;
    const why = error.message.replace(`${replyName.get(error.code)} - `, '');
    throw invalid(`pattern should be regular expression but is invalid: ${why}`, '/pattern', "For example '^orders\\.'.");
  }
}

/** A record that was checked when it was put, by the rules of then. */
function toPolicy(vhost: string, name: string, value: JsonObject, notices: Notices): Policy {
  const { pattern, glob, priority, definition } = value;
  const record = { pattern: text(pattern), glob: glob === undefined ? undefined : text(glob) };
  const unreadable = unreadableNotice(notices, `policy '${name}' in vhost '${vhost}' applies to nothing`, { policy: name, vhost });
  return {
    vhost,
    name,
    ...record,
    'apply-to': APPLY_TO.find((each) => each === value['apply-to']) ?? 'all',
    priority: typeof priority === 'number' ? priority : 0,
    definition: isObject(definition) ? definition : {},
    matches: record.glob === undefined ? keptMatcher(record.pattern, unreadable) : globMatcher(record.glob, '/glob'),
  };
}

function keptMatcher(pattern: string, unreadable: Unreadable): (name: string) => boolean {
  const expression = recall(pattern, {}, unreadable);
  return (name) => expression?.test(name) ?? false;
}

function appliesTo(applyTo: ApplyTo, { kind, type }: { readonly kind: 'queue' | 'exchange'; readonly type: string }): boolean {
  if (applyTo === 'all') return true;
  if (kind === 'exchange' || applyTo === 'exchanges') return `${kind}s` === applyTo;
  return applyTo === 'queues' || applyTo === (type === 'stream' ? 'streams' : `${type}_queues`);
}

function compare(a: Policy, b: Policy): number {
  if (a.priority !== b.priority) return b.priority - a.priority;
  return a.name < b.name ? -1 : 1;
}

function isSame(a: EffectivePolicy, b: EffectivePolicy): boolean {
  if (a === b) return true;
  return a.policy === b.policy && a.operatorPolicy === b.operatorPolicy && JSON.stringify(a.definition) === JSON.stringify(b.definition);
}

function text(value: Json | undefined): string {
  return typeof value === 'string' ? value : '';
}
