// A plan's steps as they are shown: what is made, changed and deleted, field by field.
// Always: no secret is in what it answers: a plan has no hashes of passwords, and what parameters hold, such as the uri of a shovel, is hidden here.
// Refuses: to print.

import type { Step } from '../broker/definitions-file/plan.ts';
import { KINDS, sameJson } from '../broker/definitions-file/thing.ts';
import { type Fields, isFields } from './api.ts';
import { printable } from './output.ts';

/** A step as the API answers it too. */
export type ShownStep = Pick<Step, 'act' | 'kind' | 'key' | 'name' | 'from' | 'to' | 'why' | 'hint' | 'path'>;

export function isShownStep(value: unknown): value is ShownStep {
  if (!isFields(value)) return false;
  const { act, kind, key, name, from = {}, to = {}, why = '', hint = '', path = '' } = value;
  const areTexts = [name, why, hint, path].every((each) => typeof each === 'string');
  const isKind = KINDS.some((each) => each === kind);
  return typeof act === 'string' && Object.hasOwn(SIGNS, act) && isKind && Array.isArray(key) && isFields(from) && isFields(to) && areTexts;
}

const SIGNS = { create: '+', change: '~', delete: '-', skip: ' ', conflict: '!' } as const;
const SECRET = /password|hash|secret|token|uri/i; // a uri of a shovel or a federation holds a password
const HIDDEN = '(hidden)';

export function stepText(step: ShownStep): string {
  const { act, name, why } = step;
  const lines = [`${SIGNS[act]} ${name}${why === undefined ? '' : `: ${why}`}`];
  if (step.from !== undefined && act !== 'delete') {
    for (const change of changesOf(step)) lines.push(`    ${change}`);
  }
  return lines.map(printable).join('\n');
}

/** For --json. */
export function shownStep({ act, kind, key, name, why, hint, path, from, to }: ShownStep): Fields {
  const isUser = kind === 'user';
  return { act, kind, key, name, why, hint, path, from: isUser ? from : hidden(from), to: isUser ? to : hidden(to) };
}

export function summaryText(steps: readonly ShownStep[]): string {
  const count = (act: ShownStep['act']): number => steps.filter((step) => step.act === act).length;
  const parts = [`${count('create')} to create`, `${count('change')} to change`, `${count('delete')} to delete`];
  if (count('skip') > 0) parts.push(`${count('skip')} left out`);
  if (count('conflict') > 0) parts.push(`${count('conflict')} in conflict`);
  return parts.join(', ');
}

function changesOf({ kind, from = {}, to = {} }: ShownStep): string[] {
  const changes: string[] = [];
  for (const field of new Set([...Object.keys(from), ...Object.keys(to)])) {
    const [before = null, after = null] = [from[field], to[field]];
    if (sameJson(before, after)) continue;
    // A user's shows whether there is one, and what becomes of it.
    if (kind === 'user' && field === 'password') {
      changes.push(`password: ${String(after ?? before)}`);
      continue;
    }
    const isSecret = SECRET.test(field);
    const text = (value: unknown): string => (value === null ? 'nothing' : isSecret ? HIDDEN : JSON.stringify(hidden(value)));
    changes.push(`${field}: ${text(before)} -> ${text(after)}`);
  }
  return changes;
}

function hidden(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(hidden);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([field, inner]) => [field, SECRET.test(field) ? HIDDEN : hidden(inner)]));
}
