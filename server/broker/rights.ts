// What one user may do in one vhost: patterns over names for configure, write and read, and over routing keys for single exchanges.
// Always: (1) an empty pattern matches nothing; any other is a regular expression of Perl's that is searched for, not anchored, as in RabbitMQ; (2) the default
// exchange goes by the name amq.default (RabbitMQ); (3) what {username} and {vhost} stand for is escaped, so it matches itself alone;
// (4) rights are live: `version` grows with each change, and whoever remembers an answer remembers the version with it.
// Refuses: to say no in words (authorise.ts does), patterns above PATTERN_LENGTH_MAX, those that could hold the broker up (expression-cost.ts), and those
// that mean something else here than in RabbitMQ (perl-pattern.ts); one of these that is kept already matches nothing.

import { AmqpError, ReplyCode } from '../../shared/error.ts';
import type { Notices } from '../ports.ts';
import { excessOf } from './expression-cost.ts';
import { javaScriptOf, PatternError } from './perl-pattern.ts';

export type Right = 'configure' | 'write' | 'read';
export const RIGHTS: readonly Right[] = ['configure', 'write', 'read'];

/** What one user may do in one vhost. */
export interface Rights {
  readonly version: number;
  /** `name` of an exchange or a queue. */
  may(right: Right, name: string): boolean;
  /** Whether routing keys of this exchange are limited at all. RabbitMQ differs: it asks about topic exchanges alone (semantics A3). */
  limitsKeys(exchange: string): boolean;
  mayRoute(right: 'write' | 'read', exchange: string, key: string): boolean;
}

export interface Patterns {
  readonly configure: string;
  readonly write: string;
  readonly read: string;
}
export interface TopicPatterns {
  readonly write: string;
  readonly read: string;
}

// Only administrators write them, and they are tried on names and keys of at most 255 bytes.
const PATTERN_LENGTH_MAX = 512;
// Answers that are remembered for one right: names come again, and expressions are not free.
const ANSWERS_MAX = 1_000;

/** The name under which RabbitMQ checks the default exchange. */
export const DEFAULT_EXCHANGE = 'amq.default';

/** May do everything: the process itself, and what it embeds. */
export const everyRight: Rights = { version: 1, may: () => true, limitsKeys: () => false, mayRoute: () => true };

/** Rights by RabbitMQ's patterns. */
export class PatternRights implements Rights {
  version = 1;
  readonly #variables: Readonly<Record<string, string>>;
  #patterns: { readonly [Name in Right]: NamePattern } | undefined;
  readonly #topics = new Map<string, { readonly write: NamePattern; readonly read: NamePattern }>();

  /** `variables`: what stands for {username} and the like in patterns over routing keys. */
  constructor(variables: Readonly<Record<string, string>>) {
    this.#variables = variables;
  }

  /** Any patterns at all: without, its user may not even open the vhost. */
  get isGranted(): boolean {
    return this.#patterns !== undefined;
  }

  /** undefined: nothing is allowed. Throws 406 for a pattern that is refused, unless `unreadable` hears of it: then that one allows nothing. */
  grant(patterns: Patterns | undefined, unreadable?: Unreadable): void {
    this.#patterns = patterns && {
      configure: new NamePattern(patterns.configure, {}, unreadable),
      write: new NamePattern(patterns.write, {}, unreadable),
      read: new NamePattern(patterns.read, {}, unreadable),
    };
    this.version++;
  }

  limitTopics(exchange: string, patterns: TopicPatterns | undefined, unreadable?: Unreadable): void {
    if (patterns === undefined) this.#topics.delete(exchange);
    else
      this.#topics.set(exchange, {
        write: new NamePattern(patterns.write, this.#variables, unreadable),
        read: new NamePattern(patterns.read, this.#variables, unreadable),
      });
    this.version++;
  }

  may(right: Right, name: string): boolean {
    return this.#patterns?.[right].matches(name === '' ? DEFAULT_EXCHANGE : name) ?? false;
  }

  limitsKeys(exchange: string): boolean {
    return this.#topics.has(exchange);
  }

  mayRoute(right: 'write' | 'read', exchange: string, key: string): boolean {
    return this.#topics.get(exchange)?.[right].matches(key) ?? true;
  }
}

/** Hears of a pattern that a record has and that is refused, which then matches nothing. */
export type Unreadable = (error: AmqpError) => void;

/** Says so to operators. `what`: that has come to nothing by it. */
export function unreadableNotice(notices: Notices, what: string, fields: Readonly<Record<string, string>>): Unreadable {
  return ({ message }) => {
    const text = `${what}: ${message.replace(/^[A-Z_]+ - /, '')}`;
    notices.notice({ kind: 'pattern.unreadable', severity: 'warn', text, fields });
  };
}

/** One pattern, and its last answers. */
export class NamePattern {
  readonly #expression: RegExp | undefined;
  readonly #matchesAll: boolean;
  readonly #answers = new Map<string, boolean>();

  /** Throws 406 for a pattern that is refused, where nobody wants to hear of it. */
  constructor(pattern: string, variables: Readonly<Record<string, string>> = {}, unreadable?: Unreadable) {
    this.#matchesAll = pattern === '.*' || pattern === '^.*';
    this.#expression =
      pattern === '' ? undefined : unreadable === undefined ? compile(pattern, variables) : recall(pattern, variables, unreadable);
  }

  matches(name: string): boolean {
    if (this.#matchesAll) return true;
    if (this.#expression === undefined) return false;
    const known = this.#answers.get(name);
    if (known !== undefined) return known;
    const answer = this.#expression.test(name);
    if (this.#answers.size >= ANSWERS_MAX) this.#answers.clear();
    this.#answers.set(name, answer);
    return answer;
  }
}

/** The expression of a pattern that is kept already, by rules that may have been others. undefined: it is refused now, and matches nothing. */
export function recall(pattern: string, variables: Readonly<Record<string, string>>, unreadable: Unreadable): RegExp | undefined {
  try {
    return compile(pattern, variables);
  } catch (error) {
    if (!(error instanceof AmqpError)) throw error;
    unreadable(error);
    return undefined;
  }
}

/** Throws 406 for what is refused once it has its `variables`: whoever takes a pattern asks with those it is going to get. */
export function compile(pattern: string, variables: Readonly<Record<string, string>> = {}): RegExp {
  const refuse = (why: string, hint = "a regular expression such as '^orders\\.', '.*' for everything, '' for nothing"): AmqpError =>
    new AmqpError(ReplyCode.PreconditionFailed, `invalid regular expression '${pattern.slice(0, 64)}': ${why}`, { hint });
  if (pattern.length > PATTERN_LENGTH_MAX) throw refuse(`longer than ${PATTERN_LENGTH_MAX} characters`);
  let expression: RegExp;
  let excess: string | undefined;
  try {
    const source = javaScriptOf(pattern, variables);
    expression = new RegExp(source);
    excess = excessOf(source);
  } catch (error) {
    if (error instanceof PatternError) throw refuse(`${error.message}: ${error.hint}`, error.hint);
    if (!(error instanceof SyntaxError)) throw error;
    throw refuse(error.message.replace(/^Invalid regular expression: .*\/[a-z]*: /s, ''));
  }
  if (excess !== undefined) throw refuse(excess);
  return expression;
}
