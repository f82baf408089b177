// Whether a topic pattern matches a routing key, said once and slowly: `*` is one word, `#` any number, the empty key has no words.

export function topicMatches(pattern: string, key: string): boolean {
  return wordsMatch(words(pattern), words(key));
}

function words(text: string): string[] {
  return text === '' ? [] : text.split('.');
}

function wordsMatch(pattern: readonly string[], key: readonly string[]): boolean {
  const [first, ...rest] = pattern;
  if (first === undefined) return key.length === 0;
  if (first === '#') return wordsMatch(rest, key) || (key.length > 0 && wordsMatch(pattern, key.slice(1)));
  return key.length > 0 && (first === '*' || first === key[0]) && wordsMatch(rest, key.slice(1));
}
