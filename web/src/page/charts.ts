//! Small charts of the last minute: a line, its highest value, and nothing else.

import { FONT, fit, type Theme } from "./canvas.ts";

const SAMPLES = 300;

export class Chart {
  readonly #canvas: HTMLCanvasElement;
  readonly #output: HTMLElement;
  readonly #colour: string;
  readonly #text: (value: number) => string;
  readonly #values = new Float64Array(SAMPLES).fill(NaN);
  readonly #bar: number | undefined;
  #next = 0;
  #size = { width: 0, height: 0 };

  /** `bar`: a value that is not to be passed, drawn as a line where it is in sight. */
  constructor(name: string, colour: string, text: (value: number) => string, bar?: number) {
    this.#canvas = document.getElementById(`chart-${name}`) as HTMLCanvasElement;
    this.#output = document.getElementById(`now-${name}`)!;
    this.#colour = colour;
    this.#text = text;
    this.#bar = bar;
    new ResizeObserver(() => {
      this.#size = { width: this.#canvas.clientWidth, height: this.#canvas.clientHeight };
    }).observe(this.#canvas);
  }

  /** Adds a sample; five in a second. */
  add(value: number): void {
    this.#values[this.#next++ % SAMPLES] = value;
  }

  draw(theme: Theme): void {
    if (this.#size.width === 0) return;
    const { g, width, height } = fit(this.#canvas, this.#size), now = this.#values[(this.#next + SAMPLES - 1) % SAMPLES]!;
    const at = (i: number): number => this.#values[(this.#next + i) % SAMPLES]!;
    this.#output.textContent = this.#text(now);
    // a single spike is cut off rather than flattening all the rest
    const seen = this.#values.filter(value => value >= 0).sort(), usual = seen[Math.floor(seen.length * 0.98) - 1] ?? 0;
    const high = Math.min(seen.at(-1) ?? 0, usual * 1.5 || Infinity);
    const low = height - 3, top = 12, scale = high > 0 ? (low - top) / high : 0, x = (i: number): number => i / (SAMPLES - 1) * width;
    g.fillStyle = theme.colour("line");
    g.fillRect(0, low, width, 1);
    g.strokeStyle = theme.colour("line");
    g.setLineDash([2, 3]);
    g.beginPath();
    g.moveTo(0, top + 0.5);
    g.lineTo(width, top + 0.5);
    g.stroke();
    g.setLineDash([]);
    g.beginPath();
    let first = -1, last = -1;
    for (let i = 0; i < SAMPLES; i++) {
      const value = at(i);
      if (!(value >= 0)) continue;
      if (first < 0) first = i;
      last = i;
      const y = low - Math.min(value, high * 1.02) * scale;
      if (first === i) g.moveTo(x(i), y);
      else g.lineTo(x(i), y);
    }
    if (first >= 0) {
      const colour = theme.colour(this.#colour);
      g.strokeStyle = colour;
      g.lineWidth = 1.25;
      g.lineJoin = "round";
      g.stroke();
      g.lineTo(x(last), low);
      g.lineTo(x(first), low);
      g.globalAlpha = 0.12;
      g.fillStyle = colour;
      g.fill();
      g.globalAlpha = 1;
    }
    if (this.#bar !== undefined && high > this.#bar * 0.6) {
      g.fillStyle = theme.colour("dead");
      g.globalAlpha = 0.7;
      g.fillRect(0, low - this.#bar * scale, width, 1);
      g.globalAlpha = 1;
    }
    if (high > 0) {
      g.font = FONT;
      g.fillStyle = theme.colour("soft");
      g.textBaseline = "middle";
      g.fillText(this.#text(high), 0, 5);
    }
  }
}
