// Names of queues and exchanges by glob: `*` is any run of characters, `?` is one; everything else means itself.
// Always: the cost is at most the name's length times the glob's, for a peer writes the glob and another may name the queues.
// Refuses to be a regular expression or to use one: `(a+)+b` against forty letters a would stop the broker for hours.

import { AmqpError, ReplyCode } from './error.ts';

const GLOB_LENGTH_MAX = 128;
const GLOB_STARS_MAX = 4;

/** Throws 502 for a glob that is too long; `path` is where it stands in its request. */
export function globMatcher(glob: string, path = '/queues'): (name: string) => boolean {
  if (glob === '*') return () => true;
  const stars = glob.split(/\*+/).length - 1;
  if (glob.length > GLOB_LENGTH_MAX || stars > GLOB_STARS_MAX) {
    throw new AmqpError(ReplyCode.SyntaxError, `a glob has at most ${GLOB_LENGTH_MAX} characters and ${GLOB_STARS_MAX} stars`, {
      path,
    });
  }
  const pattern = [...glob.replace(/\*+/g, '*')];
  return (name) => matches(pattern, [...name]);
}

/** Only the latest star need ever take more: if what follows it fits later, it fits whatever the stars before took. */
function matches(pattern: readonly string[], name: readonly string[]): boolean {
  let at = 0;
  let inName = 0;
  let star = -1;
  let starTook = 0;
  while (inName < name.length) {
    if (pattern[at] === '*') {
      star = at++;
      starTook = inName;
    } else if (at < pattern.length && (pattern[at] === '?' || pattern[at] === name[inName])) {
      at++;
      inName++;
    } else if (star >= 0) {
      at = star + 1;
      inName = ++starTook;
    } else return false;
  }
  while (pattern[at] === '*') at++;
  return at === pattern.length;
}
