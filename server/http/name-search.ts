// Names that a regular expression of a user's finds, without holding the broker up: V8 gives an expression up after SEARCH_MS_MAX.
// Always: what takes longer, or is no expression, is a 400. Refuses: to run anything else of a user's.

import { createContext, Script } from 'node:vm';
import { compile } from '../broker/rights.ts';
import { badRequest } from './http-error.ts';

/** For all names of a list together: a request may hold the event loop up for so long. */
const SEARCH_MS_MAX = 50;

const search = new Script('const expression = new RegExp(source); names.map((name) => expression.test(name))');

/** For each name whether `pattern` is found in it. */
export function searchNames(pattern: string, names: readonly string[]): readonly unknown[] {
  const { source } = compile(pattern); // the same language, limits and words as for permissions
  try {
    const found: unknown = search.runInContext(createContext({ source, names }), { timeout: SEARCH_MS_MAX });
    return Array.isArray(found) ? found : [];
  } catch {
    throw badRequest(`the expression '${pattern}' takes too long`, 'search for a part of the name: leave use_regex out');
  }
}
