// `await using` in hosts without Symbol.asyncDispose: the symbol that compilers' own helpers look for. Import it before a class that has the method.

const known: { asyncDispose?: symbol } = Symbol;
known.asyncDispose ??= Symbol.for('Symbol.asyncDispose');

export const asyncDispose: typeof Symbol.asyncDispose = Symbol.asyncDispose;
