// A small line chart on a canvas: the last minute of one number.
// Always: (1) it holds as many points as it was made for, the oldest go first; while it has few, they are drawn wider; (2) its colours are the page's own (CSS variables).

// From here on a chart is not stretched any further: two points over the whole width would say more than is known.
const POINTS_DRAWN_MIN = 30;

export class Chart {
  readonly #canvas: HTMLCanvasElement;
  readonly #points: number[] = [];
  readonly #pointsMax: number;

  constructor(canvas: HTMLCanvasElement, pointsMax: number) {
    this.#canvas = canvas;
    this.#pointsMax = pointsMax;
  }

  add(value: number): void {
    this.#points.push(value);
    if (this.#points.length > this.#pointsMax) this.#points.splice(0, 1);
    this.#draw();
  }

  clear(): void {
    this.#points.length = 0;
    this.#draw();
  }

  #draw(): void {
    const context = this.#canvas.getContext('2d');
    if (context === null) return;
    // One canvas pixel for each pixel of the screen, or lines are blurred.
    const width = Math.round(this.#canvas.clientWidth * devicePixelRatio);
    const height = Math.round(this.#canvas.clientHeight * devicePixelRatio);
    this.#canvas.width = width;
    this.#canvas.height = height;
    if (this.#points.length < 2) return;
    const style = getComputedStyle(this.#canvas);
    const top = Math.max(1, ...this.#points);
    const line = 1.5 * devicePixelRatio;
    const steps = Math.max(this.#points.length, Math.min(POINTS_DRAWN_MIN, this.#pointsMax)) - 1;
    const x = (index: number): number => width - ((this.#points.length - 1 - index) * width) / steps;
    const y = (value: number): number => height - line - (value / top) * (height - 2 * line);
    context.beginPath();
    for (const [index, value] of this.#points.entries()) context.lineTo(x(index), y(value));
    context.strokeStyle = style.getPropertyValue('--accent');
    context.lineWidth = line;
    context.lineJoin = 'round';
    context.stroke();
    context.lineTo(width, height);
    context.lineTo(x(0), height);
    context.fillStyle = style.getPropertyValue('--accent-soft');
    context.fill();
  }
}
