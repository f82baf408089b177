// A Dockerfile as its instructions, in order. Always: continued lines are one; comments are none. Refuses what it does not know.

export interface Instruction {
  readonly name: string;
  readonly words: readonly string[];
  /** What follows the name, as written. */
  readonly text: string;
}

const KNOWN = ['FROM', 'WORKDIR', 'COPY', 'RUN', 'ENV', 'VOLUME', 'USER', 'EXPOSE', 'HEALTHCHECK', 'ENTRYPOINT', 'CMD'];

export function readDockerfile(file: string): Instruction[] {
  const lines = file
    .replace(/^#.*\n/gm, '')
    .replace(/\\\n\s*/g, ' ')
    .split('\n')
    .filter((line) => line.trim() !== '');
  return lines.map((line) => {
    const [, name = '', text = ''] = /^([A-Z]+) +(.*)$/.exec(line) ?? [];
    if (!KNOWN.includes(name)) throw new Error(`no instruction: ${line}`);
    return { name, text, words: text.split(/ +/) };
  });
}

/** The words of an instruction in exec form: no shell is needed for it. */
export function execForm(text: string): string[] {
  const words: unknown = JSON.parse(text.slice(text.indexOf('[')));
  if (!Array.isArray(words)) throw new Error(`not in exec form: ${text}`);
  return words.map(String);
}
