// The test vectors of docs/protocol.md. They were made without Leveret's code; a client in another language may use vectors.json as it is.

import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { AmqpError } from '../../shared/error.ts';
import { type FrameFields, readFrames, writeFrames } from './describe-frames.ts';

type Vector = { name: string; hex: string } & ({ frames: FrameFields[] } | { error: number });

const vectors: Vector[] = JSON.parse(readFileSync(new URL('./vectors.json', import.meta.url), 'utf8'));
const protocol = readFileSync(new URL('../../docs/protocol.md', import.meta.url), 'utf8');

describe('the test vector', () => {
  for (const vector of vectors) {
    const bytes = Buffer.from(vector.hex, 'hex');
    if ('frames' in vector) {
      test(`"${vector.name}" decodes to its fields`, () => expect(readFrames(bytes)).toEqual(vector.frames));
      test(`"${vector.name}" is what its fields encode to`, () => {
        expect(Buffer.from(writeFrames(vector.frames)).toString('hex')).toBe(vector.hex);
      });
    } else {
      test(`"${vector.name}" is refused with ${vector.error}`, () => {
        expect(() => readFrames(bytes)).toThrow(expect.objectContaining({ code: vector.error }));
        expect(() => readFrames(bytes)).toThrow(AmqpError);
      });
    }
  }
});

test('docs/protocol.md shows the test vectors as they are', () => {
  const block = /^## Test vectors$.*?^```$(.*?)^```$/ms.exec(protocol)?.[1] ?? '';
  const shown = block.split(/\n(?=\S)/).map((entry) => {
    const [title = '', ...lines] = entry.trim().split('\n');
    return [title, lines.map((line) => line.trim()).join('')];
  });
  const expected = vectors.map((vector) => ['error' in vector ? `${vector.name} [${vector.error}]` : vector.name, vector.hex]);
  expect(shown.filter(([title]) => title !== '')).toEqual(expected);
});
