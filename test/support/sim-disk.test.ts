// The simulated disk does each of the things that a real one may do: a fault that never happens proves nothing.

import { describe, expect, test } from 'vitest';
import type { DiskError, DiskFile } from '../../server/store/file.ts';
import { EngineTime } from './engine.ts';
import { SimDisk } from './sim-disk.ts';
import type { SimFaults } from './sim-machine.ts';
import { seeded } from './sim-random.ts';

const SEEDS = Array.from({ length: 200 }, (_, seed) => seed);
const FAR_MS = 60_000;
const text = (words: string): Uint8Array => new TextEncoder().encode(words);
const words = (bytes: Uint8Array | undefined): string | undefined => (bytes === undefined ? undefined : new TextDecoder().decode(bytes));
const isFilled = (bytes: Uint8Array | undefined, length: number, value: number): boolean =>
  bytes !== undefined && Buffer.compare(bytes, filled(length, value)) === 0;
const filled = (length: number, value: number): Uint8Array => new Uint8Array(length).fill(value);

class Bench {
  readonly time = new EngineTime();
  readonly disk: SimDisk;

  constructor(seed: number, faults: Partial<SimFaults> = {}) {
    this.disk = new SimDisk({
      random: seeded(seed),
      schedule: (delayMs, task) => void this.time.setTimer(this.time.now() + delayMs, task),
      faults,
    });
  }
  /** A file of which name and bytes are durable. */
  durableFile(path: string, bytes: Uint8Array): DiskFile {
    const file = this.disk.openNow(path, 'create');
    file.writeNow(bytes, 0);
    file.syncNow();
    this.disk.openDirectoryNow('/').syncNow();
    return file;
  }
  /** The answer of a call, or undefined when there is none. */
  async answer(call: (done: (error: DiskError | null, bytes?: number) => void) => void): Promise<string | number | undefined> {
    let answer: string | number | undefined;
    call((error, bytes = 0) => (answer = error === null ? bytes : error.code));
    this.time.advance(FAR_MS);
    return answer;
  }
}

const bytesOf = (disk: SimDisk, path: string): Uint8Array | undefined => disk.contents().get(path);
function codeOf(act: () => unknown): unknown {
  try {
    act();
  } catch (error) {
    return error instanceof Error && 'code' in error ? error.code : error;
  }
  return undefined;
}

describe('when power is lost', () => {
  test('bytes and names that were synced are there', () => {
    for (const seed of SEEDS) {
      const { disk } = new Bench(seed);
      const file = disk.openNow('/a', 'create');
      file.writeNow(filled(5000, 7), 0);
      file.syncNow();
      disk.openDirectoryNow('/').syncNow();
      expect(isFilled(bytesOf(disk.powerLoss(), '/a'), 5000, 7)).toBe(true);
    }
  });

  test('each sector that was not synced is old, new or torn, whatever became of the others', () => {
    const kinds = new Set<string>();
    for (const seed of SEEDS) {
      const bench = new Bench(seed);
      const file = bench.durableFile('/a', filled(8 * 512, 1));
      file.writeNow(filled(8 * 512, 2), 0);
      const bytes = bytesOf(bench.disk.powerLoss(), '/a') ?? new Uint8Array(0);
      expect(bytes.length).toBe(8 * 512);
      const sectors = Array.from({ length: 8 }, (_, i) => [...new Set(bytes.subarray(i * 512, i * 512 + 512))].join(''));
      expect(sectors.every((sector) => ['1', '2', '12', '21'].includes(sector))).toBe(true);
      kinds.add(sectors.join(' '));
    }
    expect(kinds).toContain('1 1 1 1 1 1 1 1');
    expect(kinds).toContain('2 2 2 2 2 2 2 2');
    expect([...kinds].some((kind) => kind.startsWith('1') && kind.endsWith('2'))).toBe(true);
    expect([...kinds].some((kind) => kind.startsWith('2') && kind.endsWith('1'))).toBe(true);
    expect([...kinds].some((kind) => kind.includes('12'))).toBe(true);
  });

  test('a sector may be as any of several unsynced writes left it', () => {
    const seen = new Set<number | undefined>();
    for (const seed of SEEDS) {
      const bench = new Bench(seed);
      const file = bench.durableFile('/a', filled(512, 1));
      for (const value of [2, 3]) file.writeNow(filled(512, value), 0);
      seen.add(bytesOf(bench.disk.powerLoss(), '/a')?.[0]);
    }
    expect([...seen].sort()).toEqual([1, 2, 3]);
  });

  test('a file that grew is as long as before, or as after, or in between, with zeros where bytes did not make it', () => {
    const sizes = new Set<number>();
    let hasZeros = false;
    for (const seed of SEEDS) {
      const bench = new Bench(seed);
      const file = bench.durableFile('/a', filled(700, 1));
      file.writeNow(filled(2000, 2), 700);
      const bytes = bytesOf(bench.disk.powerLoss(), '/a') ?? new Uint8Array(0);
      expect(bytes.length).toBeGreaterThanOrEqual(700);
      expect([...bytes.subarray(0, 700)].every((byte) => byte === 1)).toBe(true);
      expect([...bytes.subarray(700)].every((byte) => byte === 0 || byte === 2)).toBe(true);
      hasZeros ||= bytes.subarray(700).includes(0);
      sizes.add(bytes.length);
    }
    expect(sizes.has(700) && sizes.has(2700) && sizes.size > 4 && hasZeros).toBe(true);
  });

  test('a cut is there or not, and what it cut away never comes back in a file that grew again', () => {
    const seen = new Set<string>();
    for (const seed of SEEDS) {
      const bench = new Bench(seed);
      const file = bench.durableFile('/a', filled(1024, 1));
      file.truncateNow(100);
      file.truncateNow(1024);
      const bytes = bytesOf(bench.disk.powerLoss(), '/a') ?? new Uint8Array(0);
      seen.add(`${bytes.length} ${bytes.includes(0)}`);
      if (bytes.includes(0)) expect([...bytes.subarray(100)].every((byte) => byte === 0)).toBe(true);
    }
    expect([...seen].sort()).toEqual(['100 false', '1024 false', '1024 true']);
  });

  test('one file does not depend on another', () => {
    const seen = new Set<string>();
    for (const seed of SEEDS) {
      const bench = new Bench(seed);
      const files = ['/a', '/b'].map((path) => bench.durableFile(path, filled(512, 1)));
      for (const file of files) file.writeNow(filled(512, 2), 0);
      const disk = bench.disk.powerLoss();
      seen.add(['/a', '/b'].map((path) => bytesOf(disk, path)?.[0]).join(''));
    }
    expect([...seen].sort()).toEqual(expect.arrayContaining(['11', '12', '21', '22']));
  });

  test('the bytes of a synced file are of no use while its name is not synced', () => {
    const seen = new Set(
      SEEDS.map((seed) => {
        const { disk } = new Bench(seed);
        const file = disk.openNow('/a', 'create');
        file.writeNow(text('a'), 0);
        file.syncNow();
        return words(bytesOf(disk.powerLoss(), '/a'));
      }),
    );
    expect([...seen]).toEqual(expect.arrayContaining([undefined, 'a']));
  });

  test('an unsynced rename is done or not, and both files have their own bytes', () => {
    const seen = new Set<string>();
    for (const seed of SEEDS) {
      const bench = new Bench(seed);
      bench.durableFile('/old', text('old'));
      bench.durableFile('/new', text('new'));
      bench.disk.renameNow('/new', '/old');
      const disk = bench.disk.powerLoss();
      seen.add(JSON.stringify([...disk.contents()].map(([path, bytes]) => [path, words(bytes)])));
    }
    expect([...seen].sort()).toEqual(['[["/old","new"]]', '[["/old","old"],["/new","new"]]']);
  });

  test('a rename into another directory waits for both directories', () => {
    const left = (synced: readonly string[]): Set<string> => {
      const seen = new Set<string>();
      for (const seed of SEEDS) {
        const bench = new Bench(seed);
        bench.disk.makeDirectoryNow('/x');
        bench.disk.makeDirectoryNow('/y');
        bench.disk.openNow('/x/a', 'create');
        for (const path of ['/', '/x']) bench.disk.openDirectoryNow(path).syncNow();
        bench.disk.renameNow('/x/a', '/y/a');
        for (const path of synced) bench.disk.openDirectoryNow(path).syncNow();
        seen.add([...bench.disk.powerLoss().contents().keys()].join());
      }
      return seen;
    };
    expect([...left([])].sort()).toEqual(['/x/a', '/y/a']);
    expect([...left(['/y'])].sort()).toEqual(['/x/a', '/y/a']);
    expect([...left(['/x'])].sort()).toEqual(['/x/a', '/y/a']);
    expect([...left(['/x', '/y'])]).toEqual(['/y/a']);
  });

  test('any of several unsynced changes of names may be lost, but none without those that stand on it', () => {
    const seen = new Set<string>();
    for (const seed of SEEDS) {
      const { disk } = new Bench(seed);
      disk.openNow('/gone', 'create').closeNow();
      disk.openDirectoryNow('/').syncNow();
      disk.openNow('/temporary', 'create').closeNow();
      disk.renameNow('/temporary', '/final');
      disk.removeNow('/gone');
      disk.makeDirectoryNow('/d');
      disk.openNow('/d/in', 'create').closeNow();
      disk.openDirectoryNow('/d').syncNow();
      const next = disk.powerLoss();
      const directory = next.existsNow('/d') ? (next.existsNow('/d/in') ? 'd/in' : 'd') : '';
      seen.add([...next.contents().keys()].filter((path) => !path.startsWith('/d')).join() + directory);
    }
    expect(seen).toContain('/gone');
    expect(seen).toContain('/gone,/final');
    expect(seen).toContain('/gone,/temporary');
    expect(seen).toContain('/finald/in');
    // A synced name in a directory comes and goes with the directory.
    expect([...seen].some((each) => each.endsWith('d'))).toBe(false);
  });

  test('a write in flight is there wholly, partly or not', () => {
    const seen = new Set<string>();
    for (const seed of SEEDS) {
      const bench = new Bench(seed);
      const file = bench.durableFile('/a', filled(1024, 1));
      file.write([filled(1024, 2)], 0, () => expect.unreachable('the disk is gone'));
      const disk = bench.disk.powerLoss();
      bench.time.advance(FAR_MS);
      seen.add([...new Set(bytesOf(disk, '/a'))].join(''));
    }
    expect([...seen].sort()).toEqual(['1', '12', '2', '21']);
  });

  test('the old disk is dead: nothing is answered, calls that block throw, and the new one does not see them', () => {
    const bench = new Bench(1);
    const file = bench.durableFile('/a', text('a'));
    let answers = 0;
    file.sync(() => answers++);
    file.read(new Uint8Array(1), 0, () => answers++);
    const disk = bench.disk.powerLoss();
    file.write([text('b')], 0, () => answers++);
    bench.disk.freeBytes('/', () => answers++);
    bench.time.advance(FAR_MS);
    expect(answers).toBe(0);
    expect(() => file.writeNow(text('b'), 0)).toThrow('the machine is off');
    expect(() => bench.disk.listNow('/')).toThrow('the machine is off');
    file.closeNow();
    expect(words(bytesOf(disk, '/a'))).toBe('a');
  });

  test('what is left is durable: a second power loss takes nothing more', () => {
    for (const seed of SEEDS.slice(0, 50)) {
      const bench = new Bench(seed);
      const file = bench.durableFile('/a', filled(4096, 1));
      file.writeNow(filled(4096, 2), 0);
      bench.disk.openNow('/b', 'create');
      const once = bench.disk.powerLoss();
      expect(once.powerLoss().contents()).toEqual(once.contents());
    }
  });
});

describe('when the process is killed', () => {
  test('what was answered is there, synced or not, and a write in flight wholly, partly or not', () => {
    const seen = new Set<string>();
    for (const seed of SEEDS) {
      const bench = new Bench(seed);
      const file = bench.disk.openNow('/a', 'create');
      file.writeNow(filled(1000, 1), 0);
      file.write([filled(1000, 2)], 1000, () => expect.unreachable('the process is gone'));
      const bytes = bytesOf(bench.disk.kill(), '/a') ?? new Uint8Array(0);
      expect(bytes.subarray(0, 1000)).toEqual(filled(1000, 1));
      seen.add(bytes.length === 1000 ? 'not' : bytes.length === 2000 ? 'wholly' : 'partly');
    }
    expect([...seen].sort()).toEqual(['not', 'partly', 'wholly']);
  });

  test('what was not synced may still be lost with the power, unless the next process syncs it', () => {
    const seen = new Set<string | undefined>();
    for (const seed of SEEDS) {
      const bench = new Bench(seed);
      bench.durableFile('/a', text('old')).writeNow(text('new'), 0);
      bench.disk.renameNow('/a', '/b');
      const next = bench.disk.kill();
      expect(words(bytesOf(next, '/b'))).toBe('new');
      const other = next.copy();
      seen.add([...next.powerLoss().contents()].map(([path, bytes]) => path + words(bytes)).join());
      other.openNow('/b', 'change').syncNow();
      other.openDirectoryNow('/').syncNow();
      expect([...other.powerLoss().contents()].map(([path, bytes]) => path + words(bytes))).toEqual(['/bnew']);
    }
    expect([...seen].filter((each) => ['/aold', '/anew', '/bold', '/bnew'].includes(each ?? ''))).toHaveLength(4);
  });
});

describe('a sync', () => {
  test('covers what had been answered when it was called, and not what came later', () => {
    const seen = new Set<string>();
    for (const seed of SEEDS) {
      const bench = new Bench(seed);
      const file = bench.durableFile('/a', filled(1024, 1));
      file.writeNow(filled(512, 2), 0);
      let isSynced = false;
      file.write([filled(512, 2)], 512, () => undefined);
      file.sync(() => (isSynced = true));
      bench.time.advance(FAR_MS);
      expect(isSynced).toBe(true);
      const bytes = bytesOf(bench.disk.powerLoss(), '/a');
      expect(bytes?.[0]).toBe(2);
      seen.add(`${bytes?.[512]}`);
    }
    expect([...seen].sort()).toEqual(['1', '2']);
  });

  test('that fails marks the pages clean: the next one succeeds, readers see the bytes, and they are gone with the power', async () => {
    let lost = 0;
    for (const seed of SEEDS) {
      const bench = new Bench(seed);
      const file = bench.durableFile('/a', filled(4096, 1));
      file.writeNow(filled(4096, 2), 0);
      bench.disk.faults.syncError = 1;
      expect(await bench.answer((done) => file.sync(done))).toBe('EIO');
      bench.disk.faults.syncError = 0;
      expect(await bench.answer((done) => file.sync(done))).toBe(0);
      expect(isFilled(bytesOf(bench.disk, '/a'), 4096, 2)).toBe(true);
      if (bytesOf(bench.disk.powerLoss(), '/a')?.includes(1)) lost++;
    }
    expect(lost).toBeGreaterThan(100);
  });

  test('that fails when it blocks does so too', () => {
    const bench = new Bench(3, { syncError: 1 });
    expect(codeOf(() => bench.disk.openNow('/a', 'create').syncNow())).toBe('EIO');
    expect(codeOf(() => bench.disk.openDirectoryNow('/').syncNow())).toBe('EIO');
  });
});

describe('calls under way', () => {
  test('are answered in any order', () => {
    const orders = new Set<string>();
    for (const seed of SEEDS) {
      const bench = new Bench(seed);
      const file = bench.disk.openNow('/a', 'create');
      const order: string[] = [];
      for (const name of ['a', 'b', 'c']) file.write([text(name)], 0, () => order.push(name));
      bench.time.advance(FAR_MS);
      expect(words(bytesOf(bench.disk, '/a'))).toBe(order.at(-1));
      orders.add(order.join(''));
    }
    expect(orders.size).toBe(6);
  });

  test('take 5 s when the disk stalls', () => {
    const bench = new Bench(1, { stall: 1 });
    let isAnswered = false;
    bench.disk.openNow('/a', 'create').sync(() => (isAnswered = true));
    bench.time.advance(4_999);
    expect(isAnswered).toBe(false);
    bench.time.advance(1);
    expect(isAnswered).toBe(true);
  });

  test('of a writer who changes the bytes meanwhile write both', () => {
    const seen = new Set<string>();
    for (const seed of SEEDS) {
      const bench = new Bench(seed);
      const bytes = filled(1024, 1);
      bench.disk.openNow('/a', 'create').write([bytes], 0, () => undefined);
      bytes.fill(2);
      bench.time.advance(FAR_MS);
      seen.add([...new Set(bytesOf(bench.disk, '/a'))].join(''));
    }
    expect([...seen].sort()).toEqual(['1', '12', '2', '21']);
  });

  test('do not let their file be closed', () => {
    const bench = new Bench(1);
    const file = bench.disk.openNow('/a', 'create');
    file.sync(() => undefined);
    expect(() => file.closeNow()).toThrow('unanswered');
    bench.time.advance(FAR_MS);
    file.closeNow();
    expect(codeOf(() => file.closeNow())).toBe('EBADF');
  });
});

describe('faults', () => {
  test('a short write says how much it wrote, and that much is there', async () => {
    for (const seed of SEEDS.slice(0, 20)) {
      const bench = new Bench(seed, { shortWrite: 1 });
      const file = bench.disk.openNow('/a', 'create');
      const written = await bench.answer((done) => file.write([text('one'), text('two')], 0, done));
      expect(words(bytesOf(bench.disk, '/a'))).toBe('onetwo'.slice(0, Number(written)));
      expect([1, 2, 3, 4, 5]).toContain(written);
    }
  });

  test('EIO of a write and of a read', async () => {
    const bench = new Bench(1, { writeError: 1, readError: 1 });
    const file = bench.disk.openNow('/a', 'create');
    expect(await bench.answer((done) => file.write([text('a')], 0, done))).toBe('EIO');
    expect(await bench.answer((done) => file.read(new Uint8Array(1), 0, done))).toBe('EIO');
    expect(codeOf(() => file.writeNow(text('a'), 0))).toBe('EIO');
    expect(codeOf(() => file.readNow(new Uint8Array(1), 0))).toBe('EIO');
  });

  test('a full disk writes what fits, then says ENOSPC, and takes more when there is room again', async () => {
    const bench = new Bench(1, { capacityBytes: 3 * 4096 });
    const file = bench.disk.openNow('/a', 'create');
    expect(bench.disk.freeBytesNow('/')).toBe(3 * 4096);
    expect(await bench.answer((done) => file.write([filled(20_000, 1)], 0, done))).toBe(3 * 4096);
    expect(await bench.answer((done) => file.write([filled(10, 1)], 3 * 4096, done))).toBe('ENOSPC');
    expect(codeOf(() => file.writeNow(filled(10, 1), 3 * 4096))).toBe('ENOSPC');
    expect(await bench.answer((done) => bench.disk.freeBytes('/', done))).toBe(0);
    // What it holds may be written over, a cut gives space back, and a file that is merely long takes none.
    file.writeNow(filled(3 * 4096, 2), 0);
    file.truncateNow(4096);
    file.truncateNow(1 << 20);
    expect(bench.disk.freeBytesNow('/')).toBe(2 * 4096);
    bench.disk.openNow('/b', 'create').writeNow(filled(5000, 1), 0);
    expect(bench.disk.freeBytesNow('/')).toBe(0);
    bench.disk.removeNow('/b');
    expect(bench.disk.freeBytesNow('/')).toBe(2 * 4096);
    bench.disk.faults.capacityBytes = 10 * 4096;
    file.writeNow(filled(9 * 4096, 3), 4096);
  });

  test('a bit that is read wrong is right the next time', () => {
    const bench = new Bench(1, { readBitFlip: 1 });
    const file = bench.durableFile('/a', filled(100, 0));
    const into = filled(100, 0);
    file.readNow(into, 0);
    expect([...into].filter((byte) => byte !== 0)).toHaveLength(1);
    bench.disk.faults.readBitFlip = 0;
    file.readNow(into, 0);
    expect(into).toEqual(filled(100, 0));
  });

  test('a flipped bit, a lost and a misdirected write are seen when the medium is read, though their sync succeeded', () => {
    const stored = (faults: Partial<SimFaults>): Uint8Array => {
      const bench = new Bench(2);
      const file = bench.durableFile('/a', filled(16 * 512, 1));
      Object.assign(bench.disk.faults, faults);
      file.writeNow(filled(512, 2), 8 * 512);
      file.syncNow();
      expect(bytesOf(bench.disk, '/a')?.[8 * 512]).toBe(2);
      return bytesOf(bench.disk.powerLoss(), '/a') ?? new Uint8Array(0);
    };
    const flipped = stored({ bitFlip: 1 }).subarray(8 * 512, 9 * 512);
    expect([...flipped].filter((byte) => byte !== 2)).toHaveLength(1);
    expect(stored({ lostWrite: 1 }).subarray(0, 16 * 512)).toEqual(filled(16 * 512, 1));
    const misdirected = stored({ misdirectedWrite: 1 });
    expect(misdirected[8 * 512]).toBe(1);
    expect([...misdirected].filter((byte) => byte === 2)).toHaveLength(512);
  });

  test('the n-th operation fails, once or from there on', () => {
    const codes = (onwards: boolean): unknown[] => {
      const { disk } = new Bench(1, { fail: { at: 2, code: 'ENOSPC', onwards } });
      return ['/a', '/b', '/c'].map((path) => codeOf(() => disk.openNow(path, 'create')));
    };
    expect(codes(false)).toEqual([undefined, 'ENOSPC', undefined]);
    expect(codes(true)).toEqual([undefined, 'ENOSPC', 'ENOSPC']);
  });
});

describe('the trace', () => {
  const script = (bench: Bench): void => {
    bench.disk.makeDirectoryNow('/d');
    const file = bench.disk.openNow('/d/a', 'create');
    file.write([text('abc')], 0, (error) => error ?? file.sync(() => file.truncateNow(1)));
    bench.time.advance(FAR_MS);
  };

  test('names every call and every answer, in order', () => {
    const bench = new Bench(1);
    script(bench);
    expect(bench.disk.trace).toEqual([
      'mkdir /d',
      'open-create /d/a',
      'write /d/a 0+3',
      'write /d/a 0+3 answered',
      'fdatasync /d/a',
      'fdatasync /d/a answered',
      'truncateNow /d/a 1',
    ]);
    expect(bench.disk.operations).toBe(7);
  });

  test('stops after any operation: that one happened, and was answered, and no other did', () => {
    for (let stop = 0; stop < 8; stop++) {
      const bench = new Bench(1);
      bench.disk.haltAfter(stop);
      try {
        script(bench);
        expect(stop).toBeGreaterThanOrEqual(2);
      } catch (error) {
        expect(String(error)).toContain('the machine is off');
      }
      expect(bench.disk.operations).toBe(Math.min(stop, 7));
      expect(bench.disk.isOff).toBe(stop <= 7);
    }
  });

  test('is the same for the same seed, and so is what is left', () => {
    const run = (seed: number): unknown => {
      const bench = new Bench(seed, { shortWrite: 0.5, stall: 0.1 });
      const file = bench.durableFile('/a', filled(4096, 1));
      const order: number[] = [];
      for (let i = 0; i < 20; i++) file.write([filled(500, i)], i * 300, () => order.push(i));
      bench.time.advance(FAR_MS);
      return [order, bench.disk.trace, bench.disk.powerLoss().contents()];
    };
    expect(run(5)).toEqual(run(5));
    expect(run(5)).not.toEqual(run(6));
  });
});
