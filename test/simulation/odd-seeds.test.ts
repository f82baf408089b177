// The odd seeds; in a file of their own, so that both halves run at once. See seeds.ts.

import { testSeeds } from './seeds.ts';

testSeeds(1, 2);
