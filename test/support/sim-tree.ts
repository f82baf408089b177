// The names of a simulated disk: which file or directory bears which path, now and on the medium.
// Always: (1) a change of names is pending until every directory it touches has been synced after it; (2) a power loss keeps any subset of the
// pending changes in which nothing stands on a change that is lost: a rename is done or not, never half; (3) a file's bytes do not depend on
// its name: what bears a name after a power loss has the bytes that were its own.
// Refuses: relative paths, links, and directories that are renamed or removed: the store has none.

import { dirname, resolve } from 'node:path/posix';
import type { DiskError } from '../../server/store/file.ts';
import { SimInode } from './sim-inode.ts';
import { coin, type Random } from './sim-random.ts';

export class SimDirectory {}
type Node = SimInode | SimDirectory;
type Names = Map<string, Node>;

interface Change {
  readonly paths: readonly string[];
  readonly makes: boolean;
  /** Directories whose sync it still waits for. */
  readonly waits: Set<string>;
  apply(names: Names): void;
}

const TEXTS: Record<string, string> = {
  ENOENT: 'no such file or directory',
  EEXIST: 'file already exists',
  EISDIR: 'illegal operation on a directory',
  ENOTDIR: 'not a directory',
  EBADF: 'bad file descriptor',
  EIO: 'i/o error',
  ENOSPC: 'no space left on device',
};

/** An error as node:fs makes it. */
export class SimDiskError extends Error implements DiskError {
  readonly code: string;
  readonly syscall: string;
  readonly path: string;

  constructor(code: string, call: string, path: string) {
    super(`${code}: ${TEXTS[code] ?? 'failed'}, ${call} '${path}'`);
    this.code = code;
    this.syscall = call;
    this.path = path;
  }
}

export const diskError = (code: string, call: string, path: string): DiskError => new SimDiskError(code, call, path);

export class SimTree {
  #seen: Names = new Map([['/', new SimDirectory()]]);
  #durable: Names = new Map(this.#seen);
  #pending: Change[] = [];

  get files(): Map<string, SimInode> {
    const files = new Map<string, SimInode>();
    for (const [path, node] of this.#seen) if (node instanceof SimInode) files.set(path, node);
    return files;
  }
  get(path: string): Node | undefined {
    return this.#seen.get(resolve('/', path));
  }

  file(path: string, call: string): SimInode {
    const node = this.get(path);
    if (node === undefined) throw diskError('ENOENT', call, path);
    if (!(node instanceof SimInode)) throw diskError('EISDIR', call, path);
    return node;
  }
  directory(path: string, call: string): string {
    const node = this.get(path);
    if (node === undefined) throw diskError('ENOENT', call, path);
    if (node instanceof SimInode) throw diskError('ENOTDIR', call, path);
    return resolve('/', path);
  }

  create(path: string): SimInode {
    if (this.get(path) !== undefined) throw diskError('EEXIST', 'open', path);
    this.directory(dirname(path), 'open');
    const inode = new SimInode();
    this.#add(path, inode);
    return inode;
  }
  makeDirectory(path: string): void {
    const node = this.get(path);
    if (node instanceof SimInode) throw diskError('EEXIST', 'mkdir', path);
    if (node !== undefined) return;
    const parent = dirname(resolve('/', path));
    if (this.get(parent) instanceof SimInode) throw diskError('ENOTDIR', 'mkdir', path);
    this.makeDirectory(parent);
    this.#add(path, new SimDirectory());
  }
  list(path: string): string[] {
    const directory = this.directory(path, 'scandir');
    const names: string[] = [];
    for (const each of this.#seen.keys()) {
      if (each !== '/' && dirname(each) === directory) names.push(each.slice(directory === '/' ? 1 : directory.length + 1));
    }
    return names.sort();
  }
  rename(from: string, to: string): void {
    const inode = this.file(from, 'rename');
    this.directory(dirname(to), 'rename');
    if (this.get(to) instanceof SimDirectory) throw diskError('EISDIR', 'rename', from);
    const [old, fresh] = [resolve('/', from), resolve('/', to)];
    if (old === fresh) return;
    this.#change([old, fresh], false, (names) => {
      names.delete(old);
      names.set(fresh, inode);
    });
  }
  remove(path: string): void {
    this.file(path, 'unlink');
    const old = resolve('/', path);
    this.#change([old], false, (names) => names.delete(old));
  }

  /** What a sync of this directory, asked for now, covers. */
  pendingIn(directory: string): readonly Change[] {
    return this.#pending.filter(({ waits }) => waits.has(directory));
  }
  synced(directory: string, covered: readonly Change[]): void {
    for (const change of covered) change.waits.delete(directory);
    const left: Change[] = [];
    for (const change of this.#pending) {
      if (change.waits.size === 0 && !left.some((earlier) => standsOn(change, earlier))) change.apply(this.#durable);
      else left.push(change);
    }
    this.#pending = left;
  }

  /** The names after a power loss, of files as `survive` makes them. */
  afterPowerLoss(random: Random, survive: (inode: SimInode) => SimInode): SimTree {
    const share = random();
    const keeps = (): boolean => (share < 0.2 ? false : share < 0.4 ? true : coin(random));
    const lost: Change[] = [];
    const names = new Map(this.#durable);
    for (const change of this.#pending) {
      const isKept = keeps() || change.waits.size === 0;
      if (isKept && !lost.some((earlier) => standsOn(change, earlier))) change.apply(names);
      else lost.push(change);
    }
    const after = new SimTree();
    after.#seen = mapped(names, survive);
    after.#durable = new Map(after.#seen);
    return after;
  }

  /** The same names, pending as they are, of files as `survive` makes them. */
  afterProcessDeath(survive: (inode: SimInode) => SimInode): SimTree {
    const twins = new Map<Node, Node>();
    const twin = (node: Node): Node => {
      const known = twins.get(node);
      if (known !== undefined) return known;
      const made = node instanceof SimInode ? survive(node) : node;
      twins.set(node, made);
      return made;
    };
    const after = new SimTree();
    after.#seen = mapped(this.#seen, twin);
    after.#durable = mapped(this.#durable, twin);
    after.#pending = this.#pending.map((change) => ({
      ...change,
      waits: new Set(change.waits),
      apply: (names: Names) => {
        const own = new Map(names);
        change.apply(own);
        for (const path of change.paths) {
          const node = own.get(path);
          if (node === undefined) names.delete(path);
          else names.set(path, twin(node));
        }
      },
    }));
    return after;
  }

  #add(path: string, node: Node): void {
    const fresh = resolve('/', path);
    this.#change([fresh], node instanceof SimDirectory, (names) => names.set(fresh, node));
  }
  #change(paths: string[], makes: boolean, apply: (names: Names) => void): void {
    apply(this.#seen);
    this.#pending.push({ paths, makes, waits: new Set(paths.map((path) => dirname(path))), apply });
  }
}

const mapped = (names: Names, make: (inode: SimInode) => Node): Names =>
  new Map([...names].map(([path, node]) => [path, node instanceof SimInode ? make(node) : node]));

/** Whether `later` cannot be without `earlier`: they share a name, or one makes the directory that the other happens in. */
function standsOn(later: Change, earlier: Change): boolean {
  return later.paths.some(
    (path) => earlier.paths.includes(path) || (earlier.makes && earlier.paths.some((made) => path.startsWith(`${made}/`))),
  );
}
