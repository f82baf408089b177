// The version that hello, --version and the start line tell. test/tidy or its like compares it with package.json.
// Refuses to read package.json at run time: the file is not where compiled code expects it in every package layout.

export const VERSION = '0.1.0';
