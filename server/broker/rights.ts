// What one user may do in one vhost: patterns over names for configure, write and read, and over routing keys for single exchanges.
// Always: (1) an empty pattern matches nothing; any other is a regular expression that is searched for, not anchored, as in RabbitMQ; (2) the default
// exchange goes by the name amq.default (RabbitMQ); (3) what {username} and {vhost} stand for is escaped, so it matches itself alone;
// (4) rights are live: `version` grows with each change, and whoever remembers an answer remembers the version with it.
// Refuses: to say no in words (authorise.ts does), patterns above PATTERN_LENGTH_MAX, and those that could hold the broker up (expression-cost.ts).

import { AmqpError, ReplyCode } from '../../shared/error.ts';
import { excessOf } from './expression-cost.ts';

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

  /** Throws 406 for a pattern that is no regular expression. undefined: nothing is allowed. */
  grant(patterns: Patterns | undefined): void {
    this.#patterns = patterns && {
      configure: new NamePattern(patterns.configure),
      write: new NamePattern(patterns.write),
      read: new NamePattern(patterns.read),
    };
    this.version++;
  }

  limitTopics(exchange: string, patterns: TopicPatterns | undefined): void {
    if (patterns === undefined) this.#topics.delete(exchange);
    else
      this.#topics.set(exchange, {
        write: new NamePattern(patterns.write, this.#variables),
        read: new NamePattern(patterns.read, this.#variables),
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

/** One pattern, and its last answers. */
export class NamePattern {
  readonly #expression: RegExp | undefined;
  readonly #matchesAll: boolean;
  readonly #answers = new Map<string, boolean>();

  constructor(pattern: string, variables: Readonly<Record<string, string>> = {}) {
    this.#matchesAll = pattern === '.*' || pattern === '^.*$' || pattern === '^.*';
    this.#expression = pattern === '' ? undefined : compile(pattern, variables);
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

/** Throws 406 for what is no regular expression once it has its `variables`: whoever takes a pattern asks with those it is going to get. */
export function compile(pattern: string, variables: Readonly<Record<string, string>> = {}): RegExp {
  const refuse = (why: string): AmqpError =>
    new AmqpError(ReplyCode.PreconditionFailed, `invalid regular expression '${pattern.slice(0, 64)}': ${why}`, {
      hint: "a regular expression such as '^orders\\.', '.*' for everything, '' for nothing",
    });
  if (pattern.length > PATTERN_LENGTH_MAX) throw refuse(`longer than ${PATTERN_LENGTH_MAX} characters`);
  const source = expandVariables(pattern, variables);
  let expression: RegExp;
  try {
    expression = new RegExp(source);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw refuse(error.message.replace(/^Invalid regular expression: /, ''));
  }
  const excess = excessOf(source);
  if (excess !== undefined) throw refuse(excess);
  return expression;
}

/** Puts values for {names} into a pattern so that each matches only itself. */
export function expandVariables(pattern: string, variables: Readonly<Record<string, string>>): string {
  return pattern.replace(/\{(\w+)\}/g, (whole, name: string) => {
    const value = Object.hasOwn(variables, name) ? variables[name] : undefined;
    return value === undefined ? whole : escapeExpression(value);
  });
}

/** `text` as a regular expression that matches it alone, wherever it is put (in a character class too). */
export function escapeExpression(text: string): string {
  return text.replace(
    /[\\^$.*+?()[\]{}|/,:;<>=!#&%@~`'"\s-]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
