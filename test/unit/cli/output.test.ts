// What verbs print about text they did not write.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { printable, toJson } from '../../../server/cli/output.ts';

test('no text from a message sends a control character to the terminal', () => {
  const text = fc.string({
    unit: fc.oneof(
      fc.nat({ max: 0x9f }).map((code) => String.fromCharCode(code)),
      fc.string(),
    ),
  });
  fc.assert(
    fc.property(text, (body) => {
      const controls = [...printable(body)].filter((character) => /\p{Cc}/u.test(character) && character !== '\n' && character !== '\t');
      expect(controls).toEqual([]);
    }),
  );
});

test('text without control characters is shown as it is', () => {
  expect(printable('Grüße, 世界\n\tend')).toBe('Grüße, 世界\n\tend');
  expect(printable('\x1b]0;title\x07')).toBe('\\x1b]0;title\\x07');
});

test('headers of every kind have a JSON form', () => {
  const at = new Date(0);
  expect(toJson({ big: 2n ** 60n, bytes: Uint8Array.of(1, 2, 3), at, list: [1, 'a', null, true], nested: { a: 1.5 } })).toBe(
    '{"big":"1152921504606846976","bytes":"AQID","at":"1970-01-01T00:00:00.000Z","list":[1,"a",null,true],"nested":{"a":1.5}}',
  );
});
