// `leveret completion bash|zsh|fish`: a script that completes verbs and their flags, made of the verbs themselves.
// Always: (1) it holds words alone, no call back into leveret, so that a key press costs nothing; (2) every word in it is one of ours, in quotes.
// Refuses: names of queues and users: they would need a broker at every key press.

import { Argument, type Command } from 'commander';
import { Output } from './output.ts';
import { processTerminal, type Terminal } from './terminal.ts';

interface Words {
  readonly verb: string;
  /** `list-queues` of `list_queues`: completed no verb, but its flags are. */
  readonly aliases: readonly string[];
  readonly summary: string;
  /** Long flags, and words such as `queue` of `declare`. */
  readonly words: readonly string[];
}

const SHELLS = ['bash', 'zsh', 'fish'] as const;
type Shell = (typeof SHELLS)[number];

/** Needs all verbs of the program configured. */
export function configure(command: Command, terminal: Terminal = processTerminal()): void {
  command.addArgument(new Argument('<shell>').choices(SHELLS)).action(async (shell: Shell) => {
    const verbs = (command.parent?.commands ?? []).map(wordsOf);
    const output = new Output(terminal, false);
    await output.result({}, () => scriptFor(shell, verbs));
    output.check();
  });
}

export function scriptFor(shell: Shell, verbs: readonly Words[]): string {
  return { bash, zsh, fish }[shell](verbs);
}

function wordsOf(command: Command): Words {
  const own = command.options.flatMap(({ long }) => (long === null || long === undefined ? [] : [long]));
  const inner = command.commands.flatMap((each) => [
    each.name(),
    ...each.options.flatMap(({ long }) => (long === null || long === undefined ? [] : [long])),
  ]);
  const choices = command.registeredArguments.flatMap(({ argChoices }) => argChoices ?? []);
  return {
    verb: command.name(),
    aliases: command.aliases(),
    summary: command.description(),
    words: [...new Set([...choices, ...own, ...inner, '--help'])],
  };
}

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
const names = (verbs: readonly Words[]): string => verbs.map(({ verb }) => verb).join(' ');

function bash(verbs: readonly Words[]): string {
  return `# leveret completion bash > /etc/bash_completion.d/leveret, or: eval "$(leveret completion bash)"
_leveret() {
  local word=\${COMP_WORDS[COMP_CWORD]} words
  if [ "$COMP_CWORD" -eq 1 ]; then
    words=${quoted(`${names(verbs)} help --help --version`)}
  else
    case \${COMP_WORDS[1]} in
${verbs.map(({ verb, aliases, words }) => `      ${[verb, ...aliases].join('|')}) words=${quoted(words.join(' '))} ;;`).join('\n')}
      help) words=${quoted(names(verbs))} ;;
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -o default -F _leveret leveret`;
}

function zsh(verbs: readonly Words[]): string {
  return `#compdef leveret
# leveret completion zsh > "\${fpath[1]}/_leveret", or: eval "$(leveret completion zsh)"
_leveret() {
  local -a verbs flags
  verbs=(
${verbs.map(({ verb, summary }) => `    ${quoted(`${verb}:${summary.replaceAll(':', '\\:')}`)}`).join('\n')}
  )
  if (( CURRENT == 2 )); then
    _describe verb verbs
    return
  fi
  case $words[2] in
${verbs.map(({ verb, aliases, words }) => `    ${[verb, ...aliases].join('|')}) flags=(${words.map(quoted).join(' ')}) ;;`).join('\n')}
  esac
  compadd -a flags
  _files
}
compdef _leveret leveret`;
}

function fish(verbs: readonly Words[]): string {
  const lines = ['# leveret completion fish > ~/.config/fish/completions/leveret.fish'];
  for (const { verb, aliases, summary, words } of verbs) {
    lines.push(`complete -c leveret -n __fish_use_subcommand -a ${verb} -d ${fishQuoted(summary)}`);
    for (const word of words) {
      const flag = word.startsWith('--') ? `-l ${word.slice(2)}` : `-a ${word}`;
      lines.push(`complete -c leveret -n '__fish_seen_subcommand_from ${[verb, ...aliases].join(' ')}' ${flag}`);
    }
  }
  return lines.join('\n');
}

const fishQuoted = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
