// Verbs about definitions files: import_definitions, export_definitions, and plan and apply, which show and make the difference to a broker.
// Always: (1) plan changes nothing; (2) apply refuses a file with a conflict before it changes anything, and deletes only with --prune; (3) hashes of
// passwords are in an exported file, as in RabbitMQ's, which only its owner may read; no verb shows one.
// Refuses: to make a plan or to carry it out (planner.ts).

import { closeSync, fchmodSync, fstatSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { text as readAll } from 'node:stream/consumers';
import type { JsonObject } from '../../shared/protocol/control.ts';
import { path } from './api.ts';
import { type ApiFlags, type ApiWork, addApiFlags, type Configure, runApiVerb } from './api-verb.ts';
import { CliError, ExitCode } from './exit-codes.ts';
import { printable } from './output.ts';
import { type ShownStep, shownStep, stepText, summaryText } from './plan-text.ts';
import { plannerOf, type ShownPlan } from './planner.ts';
import { type Style, styled, type Terminal } from './terminal.ts';

const OWNER_ONLY = 0o600;

interface VhostFlags extends ApiFlags {
  readonly vhost?: string;
}
interface PlanFlags extends ApiFlags {
  readonly prune?: true;
  readonly check?: true;
}

export const verbs: Readonly<Record<string, Configure>> = {
  import_definitions(command, terminal) {
    command
      .argument('[file]', '- or nothing: the standard input')
      .option('-p, --vhost <name>', 'what belongs to this virtual host alone')
      .action(async (file: string | undefined, flags: VhostFlags) => {
        await runApiVerb(terminal, flags, async ({ api, done }) => {
          const { vhost } = flags;
          await api.post(targetOf(vhost), await readFile(terminal, file), { what: `vhost '${vhost ?? ''}'` });
          await done({ imported: file ?? '-' }, 'definitions imported');
          return ExitCode.Ok;
        });
      });
    addApiFlags(command, terminal);
  },

  export_definitions(command, terminal) {
    command
      .argument('[file]', '- or nothing: the standard output')
      .option('-p, --vhost <name>', 'what belongs to this virtual host alone')
      .action(async (file: string | undefined, flags: VhostFlags) => {
        await runApiVerb(terminal, flags, async ({ api, output, done }) => {
          const { vhost } = flags;
          const definitions = await api.get(targetOf(vhost), { what: `vhost '${vhost ?? ''}'` });
          const text = JSON.stringify(definitions, undefined, 2);
          if (file === undefined || file === '-') await output.result(definitions, () => text);
          else {
            writeFile(file, `${text}\n`);
            await done({ exported: file }, `definitions exported to ${file}, which holds hashes of passwords`);
          }
          return ExitCode.Ok;
        });
      });
    addApiFlags(command, terminal);
  },

  plan(command, terminal) {
    command
      .argument('<file>', 'a definitions file; - is the standard input')
      .option('--prune', 'also what the broker has and the file does not, of the sections the file has')
      .option('--check', 'end with 1 if anything is to be done')
      .action(async (file: string, flags: PlanFlags) => {
        await runApiVerb(terminal, flags, async (work) => {
          const definitions = await readFile(terminal, file);
          const planned = await (await plannerOf(work.api)).plan(definitions, flags.prune === true);
          await showPlan(work, terminal, planned);
          const isConflict = planned.steps.some(({ act }) => act === 'conflict');
          const isChange = planned.steps.some(({ act }) => act !== 'skip');
          return isConflict || (flags.check === true && isChange) ? ExitCode.Failure : ExitCode.Ok;
        });
      });
    addApiFlags(command, terminal);
  },

  apply(command, terminal) {
    command
      .argument('<file>', 'a definitions file; - is the standard input')
      .option('--prune', 'delete what the broker has and the file does not, of the sections the file has')
      .action(async (file: string, flags: PlanFlags) => {
        await runApiVerb(terminal, flags, (work) => applyFile(work, terminal, file, flags));
      });
    addApiFlags(command, terminal);
  },
};

async function applyFile(work: ApiWork, terminal: Terminal, file: string, flags: PlanFlags): Promise<ExitCode> {
  const prune = flags.prune === true;
  const definitions = await readFile(terminal, file);
  const planner = await plannerOf(work.api);
  const planned = await planner.plan(definitions, prune);
  await showPlan(work, terminal, planned);
  const conflict = planned.steps.find(({ act }) => act === 'conflict');
  if (conflict !== undefined) {
    const { name, why = `${name} cannot be made as the file says`, hint } = conflict;
    throw new CliError(ExitCode.Failure, printable(why), `${hint === undefined ? '' : `${printable(hint)}; `}nothing was changed`);
  }
  const count = (...acts: readonly ShownStep['act'][]): number => planned.steps.filter(({ act }) => acts.includes(act)).length;
  const [applied, deleted] = [count('create', 'change'), count('delete')];
  if (applied + deleted > 0) await planner.apply(definitions, prune, planned);
  await work.done({ applied, deleted }, applied + deleted === 0 ? 'nothing to do' : 'done');
  return ExitCode.Ok;
}

async function showPlan({ output }: ApiWork, terminal: Terminal, { steps, unknown }: ShownPlan): Promise<void> {
  for (const step of steps) await output.result(shownStep(step), () => styled(terminal, 'output', STYLES[step.act], stepText(step)));
  for (const section of unknown) output.note(`the file's section '${printable(section)}' is none that is known`);
  if (!output.json) await output.result({}, () => summaryText(steps));
}

const STYLES: Readonly<Record<ShownStep['act'], Style>> = {
  create: 'green',
  change: 'yellow',
  delete: 'red',
  skip: 'dim',
  conflict: 'red',
};

function targetOf(vhost: string | undefined): string {
  return vhost === undefined ? path('definitions') : path('definitions', vhost);
}

/** Throws CliError. */
export async function readFile({ input }: Pick<Terminal, 'input'>, file = '-'): Promise<JsonObject> {
  const name = file === '-' ? 'the standard input' : file;
  let text: string;
  try {
    text = file === '-' ? await readAll(input) : readFileSync(file, 'utf8');
  } catch (error) {
    throw new CliError(ExitCode.BadInput, `${name} cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
  try {
    const value: unknown = JSON.parse(text);
    if (isObject(value)) return value;
  } catch (error) {
    // The parser's own text quotes the file, which may hold hashes.
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw new CliError(ExitCode.BadInput, `${name} is no JSON object`, 'write one with: leveret export_definitions FILE');
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function writeFile(file: string, text: string): void {
  try {
    const opened = openSync(file, 'w', OWNER_ONLY);
    try {
      if (fstatSync(opened).isFile()) fchmodSync(opened, OWNER_ONLY); // it may have been there, for all to read
      writeFileSync(opened, text);
    } finally {
      closeSync(opened);
    }
  } catch (error) {
    throw new CliError(ExitCode.InputOutput, `${file} cannot be written: ${error instanceof Error ? error.message : String(error)}`);
  }
}
