// Secrets that a test plants, and all that was said while they were around.
// Always: a secret is looked for as it is, in base64 (alone, and at the end of Basic credentials), in hex, and as the numbers of its bytes, which is how
// a logged buffer looks. Refuses: to show what it found beyond the name of the secret and the place.

export interface Heard {
  readonly where: string;
  readonly text: string;
}

export class Ears {
  readonly #heard: Heard[] = [];
  readonly #secrets = new Map<string, string>();

  /** Must never be said. Answers the secret. */
  plant(name: string, secret: string): string {
    this.#secrets.set(name, secret);
    return secret;
  }

  hear(where: string, text: string): void {
    this.#heard.push({ where, text });
  }

  /** All of it, for what has to be there. */
  get text(): string {
    return this.#heard.map(({ text }) => text).join('\n');
  }

  /** `secret in place`, for each that was said. `isMeant` knows what may be said where. */
  leaks(isMeant: (name: string, where: string) => boolean = () => false): string[] {
    const found: string[] = [];
    for (const [name, secret] of this.#secrets) {
      const shapes = shapesOf(secret);
      for (const { where, text } of this.#heard)
        if (!isMeant(name, where) && shapes.some((shape) => text.includes(shape))) found.push(`${name} in ${where}`);
    }
    return found;
  }
}

function shapesOf(secret: string): string[] {
  const bytes = Buffer.from(secret);
  // In base64 three bytes are four letters: how a secret looks depends on where it begins, and the letters at its ends on its neighbours.
  const encoded = [0, 1, 2].map((before) => {
    const text = Buffer.concat([Buffer.alloc(before), bytes])
      .toString('base64')
      .replace(/=+$/, '');
    return text.slice(before === 0 ? 0 : before + 1, -1);
  });
  return [secret, ...encoded, bytes.toString('hex'), [...bytes].join(',')];
}
