//! The colour scale: its range, typed or the data's own, its legend, and how many values lie where.

import { FONT, fit, type Theme } from "./canvas.ts";
import { KINDS, table as colours, type MapName } from "./colour.ts";
import { digits } from "./format.ts";
import type { Look } from "./points.ts";
import { FROM_DATA, conflict, rangeOfEnds, typed, type Ends } from "./range.ts";
import { rangeOf } from "./sources.ts";

const $ = <T extends HTMLElement>(id: string): T => document.getElementById(id) as T;
/** Columns of the histogram. */
const BINS = 56;
/** Where the strip of colours begins, below the histogram. */
const STRIP = 30;

/** What the legend shows. */
export interface Shown {
  /** What is coloured by; empty: the tables. */
  readonly colour: string;
  /** The unit of its values; empty: none is known. */
  readonly unit: string;
  readonly map: MapName;
  readonly mode: Look["mode"];
  /** Why there are no values, where that is known. */
  readonly missing: string;
  /** The tables' colours and numbers. */
  readonly tables: readonly (readonly [colour: string, name: string])[];
}

export class Legend {
  /** The colours' range, in values; none before the data say it. */
  range: [number, number] | undefined;
  #ends: Ends = FROM_DATA;
  #sample: Float64Array | undefined;
  #shown: Shown = { colour: "", unit: "", map: "viridis", mode: "linear", missing: "", tables: [] };
  readonly #theme: Theme;
  readonly #changed: () => void;

  /** `changed`: the range is another one. */
  constructor(theme: Theme, changed: () => void) {
    this.#theme = theme;
    this.#changed = changed;
    for (const id of ["low", "high"] as const) $<HTMLInputElement>(id).onchange = () => this.#typed(id);
    $("auto").onchange = () => {
      const [low, high] = this.range ?? [undefined, undefined];
      this.setEnds($<HTMLInputElement>("auto").checked ? FROM_DATA : { low, high });
    };
  }

  /** The ends that were typed. */
  get ends(): Ends {
    return this.#ends;
  }

  /** The range as the GPU wants it: of logarithms where the scale is one. */
  get scaled(): { low: number; high: number } {
    const [low, high] = this.range ?? [0, 1];
    return this.#isLog ? { low: Math.log(Math.max(low, Number.MIN_VALUE)), high: Math.log(Math.max(high, Number.MIN_VALUE)) } : { low, high };
  }

  get #isLog(): boolean {
    return this.#shown.mode === "log";
  }

  /** Takes in the values at hand, sorted. */
  data(sample: Float64Array | undefined): void {
    this.#sample = sample;
    const { low, high } = this.#ends, isAuto = low === undefined && high === undefined;
    let range = rangeOfEnds(rangeOf(sample, this.#isLog), this.#ends, this.#shown.map === "balance" && !this.#isLog);
    // a logarithm begins above 0
    if (range && this.#isLog && !(range[0] > 0)) range = range[1] > 0 ? [range[1] * 1e-6, range[1]] : undefined;
    if (!range) {
      this.draw();
      return;
    }
    // a range that hardly changes stays: the legend is to be read
    const [a, b] = this.range ?? [0, 0], width = b - a;
    if (!(isAuto && Math.abs(range[0] - a) < width * 0.04 && Math.abs(range[1] - b) < width * 0.04 && width > 0)) {
      this.range = range;
      this.#changed();
    }
    this.draw();
  }

  /** Other values than before: their range says nothing of these. */
  forget(): void {
    this.range = this.#sample = undefined;
    this.setEnds(FROM_DATA);
  }

  setEnds(ends: Ends): void {
    this.#ends = ends;
    $<HTMLInputElement>("auto").checked = ends.low === undefined && ends.high === undefined;
    for (const id of ["low", "high"] as const) {
      const input = $<HTMLInputElement>(id), end = ends[id];
      input.setCustomValidity("");
      if (end === undefined) input.value = "";
      else if (typed(input.value).value !== end) input.value = String(end);
    }
    this.#changed();
  }

  /** Takes what was typed at an end: a number fixes it, nothing gives it back to the data; the rest is told and left. */
  #typed(id: "low" | "high"): void {
    const input = $<HTMLInputElement>(id), { value, fault } = typed(input.value), ends = { ...this.#ends, [id]: value };
    const why = fault || conflict(ends) || (this.#isLog && value !== undefined && value <= 0 ? `${value} has no logarithm: an end of a logarithmic scale is above 0` : "");
    input.setCustomValidity(why);
    if (why === "") this.setEnds(ends);
    else input.reportValidity();
  }

  show(shown: Shown): void {
    this.#shown = shown;
    this.draw();
  }

  draw(): void {
    const { colour, unit, mode, missing, tables } = this.#shown, theme = this.#theme, canvas = $("legend") as HTMLCanvasElement, { g, width } = fit(canvas);
    g.font = FONT;
    g.textBaseline = "middle";
    const isKinds = mode === "kinds", bare = colour === "" || isKinds;
    canvas.parentElement!.querySelector<HTMLElement>(".range")!.style.visibility = bare ? "hidden" : "";
    const range = missing ? undefined : this.range;
    const said = colour === "" ? "Colours of the tables" : isKinds ? `Colours of ${colour}: kinds 0 to 7, then again` :
      `Colour scale: ${colour}, ${range ? `${digits(range[0])} to ${digits(range[1])}${unit && ` ${unit}`}${this.#isLog ? ", logarithmic" : ""}` : missing || "no values yet"}`;
    canvas.setAttribute("aria-label", said);
    for (const [id, end] of [["low", range?.[0]], ["high", range?.[1]]] as const) $<HTMLInputElement>(id).placeholder = end === undefined ? "" : digits(end);
    if (bare) return this.#kinds(g, isKinds && colour !== "" ? KINDS.map((colour, i) => [colour, String(i)]) : tables);
    const { map } = this.#shown, palette = colours(map, theme.dark), gradient = g.createLinearGradient(0, 0, width, 0);
    const at = (t: number): string => {
      const i = Math.round(t * 255) * 4;
      return `rgb(${palette[i]} ${palette[i + 1]} ${palette[i + 2]})`;
    };
    for (let i = 0; i <= 17; i++) gradient.addColorStop(i / 17, at(i / 17));
    g.fillStyle = gradient;
    g.fillRect(0, STRIP, width, 11);
    g.fillStyle = theme.colour("soft");
    if (!range) {
      if (missing) g.fillText(missing, 0, STRIP + 22);
      return;
    }
    this.#histogram(g, width, range, at);
    const [low, high] = range;
    g.fillStyle = theme.colour("soft");
    for (let i = 0; i <= 4; i++) {
      const x = Math.round(i / 4 * (width - 1)), value = this.#isLog ? low * (high / low) ** (i / 4) : low + (high - low) * i / 4;
      g.fillRect(x, STRIP + 11, 1, 4);
      g.textAlign = i === 0 ? "left" : i === 4 ? "right" : "center";
      g.fillText(digits(value), x, STRIP + 22);
    }
    g.textAlign = "right";
    g.fillText(unit, width, 7);
    g.textAlign = "left";
  }

  #kinds(g: CanvasRenderingContext2D, kinds: readonly (readonly [colour: string, name: string])[]): void {
    kinds.slice(0, 8).forEach(([colour, name], i) => {
      g.fillStyle = colour;
      g.fillRect(i * 31, STRIP - 8, 26, 13);
      g.fillStyle = this.#theme.colour("soft");
      g.fillText(name, i * 31 + 9, STRIP + 14);
    });
  }

  /** How many of the values lie where between the ends, and, in narrow columns at the sides, how many beyond them. */
  #histogram(g: CanvasRenderingContext2D, width: number, [low, high]: [number, number], colour: (t: number) => string): void {
    const counts = histogram(this.#sample, low, high, this.#isLog, BINS), most = Math.max(...counts);
    if (most === 0) return;
    const step = width / BINS;
    counts.forEach((count, i) => {
      if (count === 0) return;
      // few of many are to be seen, too
      const height = Math.max(1, Math.sqrt(count / most) * (STRIP - 4));
      g.fillStyle = colour((i + 0.5) / BINS);
      g.fillRect(Math.floor(i * step), STRIP - 1 - height, Math.ceil(step) - 1, height);
    });
  }
}

/** How many values of a sorted sample lie in each of so many equal parts of a range; those beyond an end count in its part. */
export function histogram(sorted: Float64Array | undefined, low: number, high: number, isLog: boolean, bins: number): number[] {
  const counts = new Array<number>(bins).fill(0), scale = isLog ? Math.log : (value: number): number => value;
  const from = scale(low), width = scale(high) - from;
  for (const value of sorted ?? []) {
    const t = (scale(value) - from) / width;
    if (t === t && !(isLog && value <= 0)) counts[Math.max(0, Math.min(bins - 1, Math.floor(t * bins)))]!++;
  }
  return counts;
}
