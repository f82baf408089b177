// Where a plan of a definitions file is made and carried out: by a Leveret itself, all or nothing; here, step by step, for a RabbitMQ, which knows no plans.
// Always: (1) a broker is asked for a plan only when it says that it is a Leveret: another one would take the question for an import; (2) what a RabbitMQ would
// refuse, or cannot delete, is told before anything is done. Refuses: to show a plan (plan-text.ts).
// On a RabbitMQ a failure half way leaves what was done until then.

import { AmqpError } from '../../shared/error.ts';
import type { JsonObject } from '../../shared/protocol/control.ts';
import { readDefinitions, type Wanted } from '../broker/definitions-file/from-json.ts';
import { type Plan, plan } from '../broker/definitions-file/plan.ts';
import { type Api, type Fields, isFields, path } from './api.ts';
import { deletionsOf } from './deletions.ts';
import { CliError, ExitCode } from './exit-codes.ts';
import { printable } from './output.ts';
import { isShownStep, type ShownStep } from './plan-text.ts';

export interface ShownPlan {
  readonly steps: readonly ShownStep[];
  /** Sections of the file that nobody knows. */
  readonly unknown: readonly string[];
}

export interface Planner {
  plan(file: JsonObject, prune: boolean): Promise<ShownPlan>;
  /** Does what `planned` shows. */
  apply(file: JsonObject, prune: boolean, planned: ShownPlan): Promise<void>;
}

export async function plannerOf(api: Api): Promise<Planner> {
  return (await api.get(path('overview')))['product_name'] === 'Leveret' ? leveret(api) : rabbitMq(api);
}

function leveret(api: Api): Planner {
  const target = path('definitions');
  const queryOf = (prune: boolean): { prune: string | undefined } => ({ prune: prune ? 'true' : undefined });
  return {
    plan: async (file, prune) => readPlan(await api.post(target, file, { query: { plan: 'true', ...queryOf(prune) } })),
    apply: async (file, prune) => void (await api.post(target, file, { query: queryOf(prune) })),
  };
}

function rabbitMq(api: Api): Planner {
  return {
    async plan(file, prune) {
      const wanted = read(file, 'the file');
      // Through text, so that both are read in the same way.
      const { things } = read(JSON.parse(JSON.stringify(await api.get(path('definitions')))), 'what the broker has');
      const planned: Plan = plan({ things, exclusive: [], limits: NO_LIMITS }, wanted, { prune, caller: api.address.user });
      await deletionsOf(api, planned.steps);
      return planned;
    },
    async apply(file, _prune, { steps }) {
      const deletions = await deletionsOf(api, steps);
      if (steps.some(({ act }) => act === 'create' || act === 'change')) await api.post(path('definitions'), file);
      for (const { target } of deletions) await api.delete(target);
    },
  };
}

// RabbitMQ has limits of its own, and says so.
const NO_LIMITS = {
  queuesPerVhost: Number.POSITIVE_INFINITY,
  bindingsPerQueue: Number.POSITIVE_INFINITY,
  topicWords: Number.POSITIVE_INFINITY,
};

function read(definitions: JsonObject, what: string): Wanted {
  try {
    return readDefinitions(definitions);
  } catch (error) {
    if (!(error instanceof AmqpError)) throw error;
    const { path: at, hint } = error.detail;
    throw new CliError(ExitCode.BadInput, printable(`${what}${at === undefined ? '' : `, at ${at}`}: ${error.message}`), hint);
  }
}

function readPlan(answer: unknown): ShownPlan {
  const { steps, unknown }: Fields = isFields(answer) ? answer : {};
  if (!Array.isArray(steps) || !steps.every(isShownStep)) throw new CliError(ExitCode.Failure, 'the broker did not plan');
  return { steps, unknown: Array.isArray(unknown) ? unknown.map(String) : [] };
}
