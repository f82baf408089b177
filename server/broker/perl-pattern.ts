// RabbitMQ's patterns, which are Perl's expressions (PCRE), as JavaScript's.
// Always: (1) what is answered matches what Perl's would, or the pattern is refused: none silently means something else; (2) {names} stand for values
// that match themselves alone.
// Refuses: whatever Perl knows and JavaScript reads otherwise, with what to write instead. RabbitMQ differs: it matches bytes, and here characters are matched; its `$`
// matches before a last line end too.

/** With what is wrong, and what to write instead. */
export class PatternError extends Error {
  override readonly name = 'PatternError';
  readonly hint: string;

  constructor(message: string, hint: string) {
    super(message);
    this.hint = hint;
  }
}

// One token after the other: an escape, the start of a class or of a group, a quantifier that gives nothing back, a variable, or one character.
const ESCAPE = '\\\\(?:u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|x\\{[^}]*\\}|[pP]\\{[^}]*\\}|c[A-Za-z]|[0-9]{1,3}|[^])?';
const TOKEN = new RegExp(
  `${ESCAPE}|\\[\\^?\\]?|\\(\\*[A-Z]*|\\(\\?(?:<[=!]|[A-Za-z-]+[:)]?|[^])?|(?:[*+?]|\\{\\d+(?:,\\d*)?\\})\\+|\\{\\w+\\}|[^]`,
  'y',
);
const CLASS_TOKEN = new RegExp(`${ESCAPE}|\\[([:.=])[^\\]]*\\1\\]|\\{\\w+\\}|[^]`, 'y');

const ANCHORS: ReadonlyMap<string, string> = new Map([
  ['\\A', '^'],
  ['\\z', '$'],
  ['\\Z', '$'],
]);
/** Escapes that both read alike. `\b` is a backspace in a class, for both. */
const ALIKE = /^\\(?:[dDwWsSnrtfb0]|u[0-9a-fA-F]{4}|x[0-7][0-9a-fA-F]|c[A-Za-z]|[^A-Za-z0-9])?$/;
const GROUPS: ReadonlySet<string> = new Set(['(?:', '(?=', '(?!', '(?<=', '(?<!', '(?<']); // the last of a group with a name
const QUOTED = "a '\\' before each character that means something, as in 'a\\.b'";
const DIGITS = "'\\x' and two digits up to 7f, such as '\\x2e', or the character itself";
const WITHOUT = 'the pattern without it';

/** For each letter: what Perl reads, and what to write instead. */
const ESCAPES: Readonly<Record<string, readonly [means: string, instead: string]>> = {
  A: ['no start of the name in a class', "the letter without its '\\'"],
  z: ['no end of the name in a class', "the letter without its '\\'"],
  Z: ['no end of the name in a class', "the letter without its '\\'"],
  G: ['the start of the search', "'^'"],
  K: ['a new start of what is found', WITHOUT],
  Q: ['the start of a quotation', QUOTED],
  E: ['the end of a quotation', QUOTED],
  R: ['a line end', "'(?:\\r\\n|\\n|\\r)'"],
  X: ['a character with its marks', "'.'"],
  C: ['a byte', "'.'"],
  N: ['anything but a line end', "'.'"],
  h: ['a blank', "'[ \\t]'"],
  H: ['anything but a blank', "'[^ \\t]'"],
  v: ['a vertical blank', "'[\\n\\x0b\\f\\r]'"],
  V: ['anything but a vertical blank', "'[^\\n\\x0b\\f\\r]'"],
  a: ['a bell', "'\\x07'"],
  e: ['an escape character', "'\\x1b'"],
  p: ['a property of characters', "a class such as '[A-Za-z]'"],
  P: ['a property of characters', "a class such as '[^A-Za-z]'"],
  g: ['what a group has found', WITHOUT],
  k: ['what a group has found', WITHOUT],
  x: ['a character by its number', DIGITS],
  o: ['a character by its number', DIGITS],
  c: ['a control character', DIGITS],
};

/** The source of the same expression in JavaScript. Throws PatternError. */
export function javaScriptOf(pattern: string, variables: Readonly<Record<string, string>>): string {
  let source = '';
  let at = 0;
  const next = (token: RegExp): string => {
    token.lastIndex = at;
    const [text = ''] = token.exec(pattern) ?? [];
    at += text.length;
    return text;
  };
  while (at < pattern.length) {
    const token = next(TOKEN);
    source += translate(token, variables);
    if (!token.startsWith('[')) continue;
    for (let inner = ''; inner !== ']' && at < pattern.length; source += translateInClass(inner, variables)) inner = next(CLASS_TOKEN);
  }
  return source;
}

function translate(token: string, variables: Readonly<Record<string, string>>): string {
  if (token.startsWith('\\')) return ANCHORS.get(token) ?? (token === '\\B' ? token : alike(token));
  if (token === '.') return '[^\\n]'; // JavaScript's stops at other line ends too
  if (token.startsWith('[') && token.endsWith(']'))
    throw new PatternError(
      `'${token}' starts a class with a bracket in it, and JavaScript ends it there`,
      `write '${token.slice(0, -1)}\\]'`,
    );
  if (token.startsWith('(?') && !GROUPS.has(token))
    throw new PatternError(
      `'${token}' is a group of Perl's alone`,
      "write '(?:' for a group; flags such as '(?i)' are not here: write '[Oo]rders'",
    );
  if (token.startsWith('(*')) throw new PatternError(`'${token}' is a verb of Perl's alone`, `write ${WITHOUT}`);
  if (token.length > 1 && token.endsWith('+'))
    throw new PatternError(`'${token}' is a quantifier that gives nothing back, of Perl's alone`, `write '${token.slice(0, -1)}'`);
  return token.startsWith('{') ? valueFor(token, variables) : token;
}

function translateInClass(token: string, variables: Readonly<Record<string, string>>): string {
  if (token.startsWith('\\')) return alike(token);
  if (token.startsWith('[') && token.length > 1)
    throw new PatternError(
      `'${token}' is a class of POSIX, which JavaScript does not know`,
      "write its characters, such as 'A-Za-z' or '0-9'",
    );
  return token.startsWith('{') ? valueFor(token, variables) : token;
}

function alike(token: string): string {
  if (ALIKE.test(token)) return token;
  const letter = token[1] ?? '';
  if (/\d/.test(letter))
    throw new PatternError(
      `'${token}' is what a group has found, or a character by its octal number`,
      `write the group again, or ${DIGITS}`,
    );
  const [means, instead] = ESCAPES[letter] ?? ['no escape that JavaScript knows', `'${letter}' for the letter itself`];
  throw new PatternError(`'${token}' is ${means}, which is read otherwise here`, `write ${instead}`);
}

/** The value of a {name}, so that it matches itself alone. */
function valueFor(token: string, variables: Readonly<Record<string, string>>): string {
  const name = token.slice(1, -1);
  const value = Object.hasOwn(variables, name) ? variables[name] : undefined;
  return value === undefined ? token : escapeExpression(value);
}

/** `text` as a regular expression that matches it alone, wherever it is put (in a character class too). */
export function escapeExpression(text: string): string {
  return text.replace(
    /[\\^$.*+?()[\]{}|/,:;<>=!#&%@~`'"\s-]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
