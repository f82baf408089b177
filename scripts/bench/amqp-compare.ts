// Both brokers in turn, RabbitMQ first, as often as the effort says; one figure out of it: the ratio of their medians.
// Always: (1) a run has fresh queues and a fresh generator; (2) beside the ratio stand both absolute figures, the version, and the generator's own ceiling;
// (3) where that is below 1.2 times the better result, the row says that it measured the generator.

import type { Plan } from '../../server/cli/amqp-bench/plan.ts';
import type { Brokers, Side } from './amqp-brokers.ts';
import { type Figures, generate, SINK } from './amqp-generator.ts';
import { type Topology, withTopology } from './amqp-topology.ts';
import { display, type Effort, type Figure, median } from './row.ts';

// What a ceiling must have above a result for the result to be the broker's.
const CEILING_MARGIN = 1.2;

export interface InTurn {
  readonly leveret: readonly number[];
  readonly rabbitMq: readonly number[];
}

/** `measure` on RabbitMQ and Leveret, again and again. */
export async function inTurn(effort: Effort, { leveret, rabbitMq }: Brokers, measure: (side: Side) => Promise<number>): Promise<InTurn> {
  const values = { leveret: [] as number[], rabbitMq: [] as number[] };
  for (let round = 0; round < effort.amqp.rounds; round++) {
    values.rabbitMq.push(await measure(rabbitMq));
    values.leveret.push(await measure(leveret));
  }
  return values;
}

/** Leveret's median to RabbitMQ's. */
export function ratio({ leveret, rabbitMq }: InTurn): number {
  return median(leveret) / median(rabbitMq);
}

/** `a unit, RabbitMQ 3.10.8 b unit` */
export function bothText({ leveret, rabbitMq }: InTurn, unit: string, version: string): string {
  return `Leveret ${display(median(leveret))} ${unit}, RabbitMQ ${version} ${display(median(rabbitMq))} ${unit}`;
}

/** The generator could hardly have made more: the row says as much of it as of the broker. */
export function isGeneratorBound(ceiling: number, result: number): boolean {
  return ceiling < CEILING_MARGIN * result;
}

export interface Flow {
  readonly plan: Partial<Plan>;
  readonly topology: Topology;
  /** Where RabbitMQ's differs. */
  readonly rabbitMqTopology?: Topology;
  /** The figure that is compared. */
  readonly value: (figures: Figures) => number;
  readonly unit: string;
  /** The plan whose rate is the ceiling; without it, `plan`. 'latency': the row is about that, and the sink's p99 stands beside it. */
  readonly ceiling?: Partial<Plan> | 'latency';
  /** More for the note. */
  readonly note?: (leveret: readonly Figures[], rabbitMq: readonly Figures[]) => string;
}

export async function compareFlow(effort: Effort, brokers: Brokers, flow: Flow): Promise<Figure> {
  const { topology, rabbitMqTopology = topology, value, unit, ceiling = flow.plan } = flow;
  const { seconds, warmUpSeconds } = effort.amqp;
  const timed = (plan: Partial<Plan>): Partial<Plan> => ({ ...plan, seconds, warmUpSeconds });
  const figures = new Map<Side, Figures[]>([
    [brokers.leveret, []],
    [brokers.rabbitMq, []],
  ]);
  const values = await inTurn(effort, brokers, async (side) => {
    const made = side === brokers.rabbitMq ? rabbitMqTopology : topology;
    const found = await withTopology(side.url, made, () => generate(side.url, timed({ ...flow.plan, queues: made.queues })));
    figures.get(side)?.push(found);
    return value(found);
  });
  const notes = [bothText(values, unit, brokers.version)];
  const more = flow.note?.(figures.get(brokers.leveret) ?? [], figures.get(brokers.rabbitMq) ?? []);
  if (more !== undefined) notes.push(more);
  const figure = { value: ratio(values), note: notes.join('; ') };
  if (ceiling === 'latency') return withFloor(figure, median(values.leveret), timed(flow.plan));
  const { receivedPerSecond, confirmedPerSecond } = await generate(SINK, timed(ceiling));
  const most = Math.max(receivedPerSecond, confirmedPerSecond);
  return { ...figure, ceiling: most, generatorBound: isGeneratorBound(most, median(values.leveret)) };
}

/** What the generator alone takes, from due to confirmed by a sink: of a latency near that, it is the larger part. */
async function withFloor(figure: Figure, result: number, plan: Partial<Plan>): Promise<Figure> {
  const { confirmLatencyUs } = await generate(SINK, { ...plan, confirmWindow: 1_000 });
  if (confirmLatencyUs === undefined) throw new Error('the sink confirmed nothing');
  const floor = confirmLatencyUs.p99;
  const generatorBound = result < CEILING_MARGIN * floor;
  return {
    ...figure,
    note: `${figure.note}; the generator alone ${display(floor)} us${generatorBound ? ': generator-bound' : ''}`,
    generatorBound,
  };
}
