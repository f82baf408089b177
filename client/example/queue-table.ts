// The table of queues: a row for each, kept from sample to sample, so that its chart remembers the last minute.
// Always: (1) names are text, never markup: they are whatever a stranger called a queue; (2) a queue that is no longer in the sample has no row.

import type { Stats } from 'leveret-client';
import { Chart } from './chart.ts';

type QueueSample = Stats['queues'][number];

interface Row {
  readonly element: HTMLTableRowElement;
  readonly chart: Chart;
  readonly cells: readonly HTMLTableCellElement[];
}

/** A figure, and whether a number above 0 is bad news. */
interface Column {
  readonly value: (queue: QueueSample) => number;
  readonly trouble?: boolean;
}

const COLUMNS: readonly Column[] = [
  { value: (queue) => queue.ready },
  { value: (queue) => queue.unacked },
  { value: (queue) => queue.publishRate ?? 0 },
  { value: (queue) => queue.deliverRate ?? 0 },
  { value: (queue) => queue.counts.acked },
  { value: (queue) => queue.counts.deadLettered, trouble: true },
  { value: (queue) => queue.counts.expired, trouble: true },
  { value: (queue) => queue.counts.dropped, trouble: true },
  { value: (queue) => queue.consumers },
];

export class QueueTable {
  readonly #body: HTMLTableSectionElement;
  readonly #pointsMax: number;
  readonly #rows = new Map<string, Row>();

  constructor(body: HTMLTableSectionElement, pointsMax: number) {
    this.#body = body;
    this.#pointsMax = pointsMax;
  }

  show(queues: readonly QueueSample[]): void {
    const names = new Set(queues.map((sample) => sample.queue));
    for (const [name, row] of this.#rows) {
      if (names.has(name)) continue;
      row.element.remove();
      this.#rows.delete(name);
    }
    for (const sample of [...queues].sort((one, other) => (one.queue < other.queue ? -1 : 1)))
      this.#fill(this.#rowOf(sample.queue), sample);
  }

  #rowOf(name: string): Row {
    const known = this.#rows.get(name);
    if (known !== undefined) return known;
    const element = document.createElement('tr');
    const head = document.createElement('th');
    head.scope = 'row';
    head.textContent = name;
    head.title = name;
    const canvas = document.createElement('canvas');
    canvas.className = 'spark';
    const chartCell = document.createElement('td');
    chartCell.append(canvas);
    const cells = COLUMNS.map(() => document.createElement('td'));
    element.append(head, chartCell, ...cells);
    // Rows stand in the order of their names: before the first one that is greater.
    const after = [...this.#rows].filter(([other]) => other > name).sort(([one], [other]) => (one < other ? -1 : 1))[0];
    this.#body.insertBefore(element, after?.[1].element ?? null);
    const row = { element, chart: new Chart(canvas, this.#pointsMax), cells };
    this.#rows.set(name, row);
    return row;
  }

  #fill(row: Row, sample: QueueSample): void {
    row.chart.add(sample.ready);
    for (const [index, column] of COLUMNS.entries()) {
      const cell = row.cells[index];
      if (cell === undefined) continue;
      const value = column.value(sample);
      cell.textContent = rounded(value);
      cell.className = value === 0 ? 'nought' : column.trouble === true ? 'trouble' : '';
    }
  }
}

/** As people read a figure: grouped, and one decimal only below ten. */
export function rounded(value: number): string {
  return value.toLocaleString('en', { maximumFractionDigits: value < 10 ? 1 : 0 });
}
