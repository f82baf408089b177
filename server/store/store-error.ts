// What can be wrong with a data directory, as one error that a person can act on.
// Always: it names the file, and the offset where there is one; `hint` says what to do next. compose and the command line translate it into
// an exit code; nothing in store/ prints.

/** in-use: another process has it. damaged: synced data does not check out. format: of a newer version. unusable: cannot be read, written or made. */
export type StoreFault = 'in-use' | 'damaged' | 'format' | 'unusable';

export class StoreError extends Error {
  readonly fault: StoreFault;
  readonly path: string;
  readonly offset: number | undefined;
  readonly hint: string;

  constructor(fault: StoreFault, text: string, where: { path: string; offset?: number; hint: string }) {
    super(text);
    this.name = 'StoreError';
    this.fault = fault;
    this.path = where.path;
    this.offset = where.offset;
    this.hint = where.hint;
  }
}
