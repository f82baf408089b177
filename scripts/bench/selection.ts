// Which rows a run of the benchmark has, by its flags.

import type { Effort, Row } from './row.ts';

export interface Asked {
  readonly effort: Effort;
  /** --only */
  readonly names: readonly string[];
  /** --rabbitmq */
  readonly isRabbitMq: boolean;
  /** --smoke */
  readonly isSmoke: boolean;
  /** It is installed here. */
  readonly hasRabbitMq: boolean;
}

/** The rows to be told about: all, the ones named, or with --rabbitmq those that compare with it. */
export function isWanted({ name, peer }: Row, { names, isRabbitMq }: Asked): boolean {
  return names.includes(name) || (isRabbitMq ? peer !== undefined : names.length === 0);
}

/** Why a row is left out all the same, if it is. */
export function whyNot({ name, onlyByName, peer }: Row, { names, isRabbitMq, isSmoke, hasRabbitMq }: Asked): string | undefined {
  const isNamed = names.includes(name);
  if (onlyByName !== undefined && !isNamed) return `--only ${name} runs it (${onlyByName})`;
  if (peer === undefined) return undefined;
  if (!hasRabbitMq) return `there is no ${peer} here; Debian's package is rabbitmq-server`;
  return isNamed || isRabbitMq || isSmoke ? undefined : `--rabbitmq runs it, and all others against ${peer}`;
}
