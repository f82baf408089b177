// Limits of a vhost or a user as rabbitmqctl takes them: one JSON object, set and cleared one by one over the HTTP API.
// Always: a limit is a whole number; -1 is none. Refuses: to know which limits there are: the broker does.

import { InvalidArgumentError } from 'commander';
import { type Api, isFields, path } from './api.ts';
import { CliError, ExitCode } from './exit-codes.ts';

export type Limits = Readonly<Record<string, number>>;
type Target = readonly [kind: 'vhost-limits' | 'user-limits', name: string];

/** For commander. */
export function readLimits(text: string): Limits {
  const limits: Record<string, number> = {};
  let read: unknown;
  try {
    read = JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  if (!isFields(read)) throw new InvalidArgumentError('write a JSON object such as {"max-connections": 10}.');
  for (const [name, value] of Object.entries(read)) {
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < -1)
      throw new InvalidArgumentError(`${name} must be a whole number from -1.`);
    limits[name] = value;
  }
  return limits;
}

export async function setLimits(api: Api, target: Target, limits: Limits): Promise<void> {
  for (const [limit, value] of Object.entries(limits)) await api.put(path(...target, limit), { value });
}

/** Answers the names of those that were there. */
export async function clearLimits(api: Api, target: Target, limit: string): Promise<string[]> {
  const names: string[] = [];
  for await (const { value } of api.list(path(...target))) if (isFields(value)) names.push(...Object.keys(value));
  const wanted = limit === 'all' ? names : names.filter((name) => name === limit);
  if (limit !== 'all' && wanted.length === 0) throw new CliError(ExitCode.Failure, `no limit '${limit}' is set`, namesHint(names));
  for (const name of wanted) await api.delete(path(...target, name));
  return wanted;
}

const namesHint = (names: readonly string[]): string => (names.length === 0 ? 'none is' : `set are ${names.join(', ')}`);
