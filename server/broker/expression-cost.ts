// What a regular expression may cost: JavaScript's engine goes back and tries another way, for hours where an expression leaves it enough ways.
// Always: what passes tries a name of 255 characters in some tens of millions of steps at most, a fraction of a second, and mostly in a few hundred.
// Refuses: a repetition of what can itself be matched in several ways, and too many choices one after the other. RabbitMQ differs: it takes such expressions, and
// takes a match that needs too many steps for none.

/** Of the ways to try, in bits: three repetitions, and a few choices beside them. */
const BITS_MAX = 27;
/** A name has up to 255 characters: so many ends of a repetition, and so many places to begin. */
const REPETITION_BITS = 8;

const TOKEN = /\(\?<?[=!]|\(\?:|\(\?<\w+>|\(|\)|\||(?:[*+?]|\{\d+(?:,\d*)?\})\??|\[(?:\\.|[^\]\\])*\]|\\k<\w+>|\\.|./gsu;
const QUANTIFIER = /^(?:[*+?]|\{\d+(?:,\d*)?\})\??$/;

interface Group {
  branches: number;
  /** Matched in one way only, as far as can be seen. */
  isPlain: boolean;
}

/** Why an expression is refused; undefined: it is not. `source` has to be valid. */
export function excessOf(source: string): string | undefined {
  const tokens = source.match(TOKEN) ?? [];
  const groups: Group[] = [{ branches: 1, isPlain: true }];
  let bits = 0;
  let closed: Group | undefined;
  for (const [at, token] of tokens.entries()) {
    const group = groups.at(-1) as Group; // a valid expression closes what it has opened
    if (QUANTIFIER.test(token)) {
      const ways = waysOf(token);
      if (closed?.isPlain === false && !/^\?|^\{[01](,1)?\}/.test(token)) return 'it repeats a group that can be matched in several ways';
      if (closed !== undefined || !isFenced(tokens[at - 1] ?? '', tokens[at + 1])) bits += ways;
      group.isPlain = false;
      closed = undefined;
    } else if (token === ')') {
      closed = groups.pop() as Group;
      if (closed.branches > 1) closed.isPlain = false;
      bits += Math.log2(closed.branches);
      if (!closed.isPlain) (groups.at(-1) as Group).isPlain = false;
    } else {
      closed = undefined;
      if (token.startsWith('(')) groups.push({ branches: 1, isPlain: true });
      else if (token === '|') group.branches++;
      else if (/^\\[1-9k]/.test(token)) bits += REPETITION_BITS; // what it refers to has any length
    }
  }
  const { branches } = groups[0] as Group;
  bits += Math.log2(branches) + (source.startsWith('^') && branches === 1 ? 0 : REPETITION_BITS);
  return bits > BITS_MAX ? 'it leaves too many ways to match a name' : undefined;
}

/** Bits. */
function waysOf(quantifier: string): number {
  if (quantifier.startsWith('?')) return 1;
  const [, from, comma, to] = /^\{(\d+)(,?)(\d*)\}/.exec(quantifier) ?? [];
  if (from === undefined || (comma !== '' && to === '')) return REPETITION_BITS;
  return comma === '' ? 0 : Math.min(REPETITION_BITS, Math.log2(Number(to) - Number(from) + 1));
}

/** A repetition ends in one place only where what follows is a character that it does not take: `[a-z]+\.`. */
function isFenced(atom: string, next: string | undefined): boolean {
  const character = next === undefined ? undefined : /^(?:\\([^\w])|([^\\()[\]|^$.]))$/u.exec(next);
  if (!character) return false;
  return !new RegExp(`^(?:${atom})$`).test(character[1] ?? character[2] ?? '');
}
