// What is planted is found: each bug by what the oracle must say of it.

import { describe, expect, test } from 'vitest';
import { planted } from './planted.ts';
import { World } from './world.ts';

// Within so many seeds each planted bug must show.
const RUNS = 100;

describe('the simulation finds', () => {
  test.each(planted)('$name', async (bug) => {
    const found = new Set<string>();
    for (let seed = 1; seed <= RUNS; seed++) {
      const { complaints } = await new World(seed, bug).run();
      if (complaints.some((complaint) => bug.says.test(complaint))) return;
      for (const complaint of complaints) found.add(complaint.replaceAll(/\d+/g, 'n'));
    }
    expect.fail(`not found; instead: ${[...found].slice(0, 10).join('\n')}`);
  });
});
