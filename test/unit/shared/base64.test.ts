// Base64 without Buffer, against Node.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeBase64, encodeBase64, isBase64 } from '../../../shared/base64.ts';

describe('base64', () => {
  test('is what the platform writes, and comes back', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        const text = encodeBase64(bytes);
        expect(text).toBe(Buffer.from(bytes).toString('base64'));
        expect(isBase64(text)).toBe(true);
        expect(decodeBase64(text)).toEqual(bytes);
      }),
    );
  });

  test('that decodes is exactly what would be written', () => {
    const digits = fc.string({ unit: fc.constantFrom(...'ABCQZaz019+/=-_ é'), maxLength: 12 });
    fc.assert(
      fc.property(digits, (text) => {
        const written = Buffer.from(text, 'base64').toString('base64');
        if (written === text) expect(Buffer.from(decodeBase64(text)).toString('base64')).toBe(text);
        else expect(() => decodeBase64(text)).toThrow(expect.objectContaining({ code: 502 }));
      }),
      { numRuns: 2000 },
    );
  });

  test.each(['A', 'AA', 'AAA', 'AA=A', '====', 'A===', 'AAAA\n', 'AA-_', 'AB=='])('%j is refused', (text) => {
    expect(() => decodeBase64(text)).toThrow(expect.objectContaining({ code: 502 }));
  });
});
