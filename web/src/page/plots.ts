//! Plots over simulated time: resources, and what formulas come to over all entities. Drawn by uPlot.
//!
//! Invariants: a series never has more than `SAMPLES_MAX` samples; of a longer one every second is dropped, so that a plot
//! always goes back to its beginning.

import uPlot from "uplot";
import css from "uplot/dist/uPlot.min.css";
import type { Theme } from "./canvas.ts";
import type { Workshop } from "./computed.ts";
import { FormulaError, formula, type Formula } from "./expression.ts";
import { digits } from "./format.ts";
import type { Shown } from "./sources.ts";
import { withUnit } from "./units.ts";
import { messageOf } from "../view/errors.ts";

const SAMPLES_MAX = 2000, SERIES_MAX = 6;
/** Looking at all entities takes time: of a million four times a second are enough. */
const GAP_MS_PER_ENTITY = 250 / 1e6;
const COLOURS = ["c1", "c2", "c3", "c4", "dead", "accent"];
const $ = <T extends HTMLElement>(id: string): T => document.getElementById(id) as T;

/** What is plotted: a value of the world at a moment. */
interface Series {
  readonly text: string;
  readonly value: (world: Shown) => number;
  /** The components that must be received for it. */
  readonly components: readonly string[];
}

/** How the values of all entities become one. */
const JOINS: Readonly<Record<string, (sum: number, count: number, low: number, high: number) => number>> = {
  sum: sum => sum, mean: (sum, count) => sum / count, min: (_s, count, low) => count > 0 ? low : NaN, max: (_s, count, _l, high) => count > 0 ? high : NaN,
  count: (_, count) => count,
};

export class Plots {
  readonly #workshop: Workshop;
  readonly #theme: Theme;
  readonly #changed: () => void;
  readonly #box = $("plot");
  #series: Series[] = [];
  #data: number[][] = [[]];
  #every = 1;
  #seen = 0;
  #last = { time: -Infinity, generation: 0 };
  /** When a sample was taken. */
  #at = -Infinity;
  #plot: uPlot | undefined;
  #world: Shown | undefined;
  #offered = "";

  /** `changed`: other components are needed. */
  constructor(workshop: Workshop, theme: Theme, changed: () => void) {
    this.#workshop = workshop;
    this.#theme = theme;
    this.#changed = changed;
    const style = document.createElement("style");
    style.textContent = css;
    document.head.append(style);
    $<HTMLFormElement>("plot-form").onsubmit = event => {
      event.preventDefault();
      this.#add($<HTMLInputElement>("plot-what").value.trim());
    };
    $("plot-clear").onclick = () => this.set([]);
    new ResizeObserver(() => this.#resize()).observe(this.#box);
  }

  /** The texts of what is plotted. */
  get texts(): string[] {
    return this.#series.map(series => series.text);
  }

  /** Components that must be received. */
  get components(): string[] {
    return this.#series.flatMap(series => [...series.components]);
  }

  /** Takes in a layout: offers what can be plotted, and plots `texts`, or the first resources where there are none. */
  announce(world: Shown, texts: readonly string[] | undefined): void {
    this.#world = world;
    const resources = numbersOf(world);
    const offered = [...resources, "count(1)", ...world.components.filter(({ fields }) => fields.length > 1).slice(0, 4).map(({ name }) => `mean(|${name}|)`)];
    if (offered.join() !== this.#offered) {
      this.#offered = offered.join();
      $("plot-names").replaceChildren(...offered.map(name => new Option(name)));
    }
    const speed = world.components.some(({ name, fields }) => name === "velocity" && fields.length > 1) ? "mean(|velocity|)" : undefined;
    this.set(texts ?? [speed ?? resources[0] ?? "count(1)"]);
  }

  set(texts: readonly string[]): void {
    this.#series = [];
    this.#fault("");
    for (const text of texts.slice(0, SERIES_MAX)) this.#take(text);
    this.#begin();
    this.#changed();
  }

  #add(text: string): void {
    if (text === "" || !this.#take(text)) return;
    $<HTMLInputElement>("plot-what").value = "";
    this.#begin();
    this.#changed();
  }

  #fault(text: string): void {
    $<HTMLInputElement>("plot-what").setCustomValidity(text);
    $("plot-fault").textContent = text;
  }

  #take(text: string): boolean {
    try {
      if (this.#series.length >= SERIES_MAX) throw new FormulaError(`${SERIES_MAX} lines are plotted already: clear them first`);
      if (this.#series.some(series => series.text === text)) throw new FormulaError(`${text} is plotted already`);
      this.#series.push(this.#read(text));
      this.#fault("");
      return true;
    } catch (error) {
      this.#fault(messageOf(error));
      return false;
    }
  }

  #read(text: string): Series {
    const world = this.#world;
    if (!world) throw new FormulaError("nothing is received yet");
    if (numbersOf(world).includes(text)) return { text, value: world => resource(world, text), components: [] };
    const match = /^(\w+)\((.*)\)$/.exec(text), join = match && Object.hasOwn(JOINS, match[1]!) ? JOINS[match[1]!] : undefined;
    if (!match || !join) {
      const some = numbersOf(world).slice(0, 3);
      throw new FormulaError(`${text} is no resource; write ${some.length > 0 ? `${some.join(", ")}, or ` : ""}sum, mean, min, max or count of a formula, as in mean(|velocity|)`);
    }
    const of = formula(match[2]!, world.components);
    return { text, value: world => this.#joined(world, of, join), components: of.components };
  }

  #joined(world: Shown, of: Formula, join: (sum: number, count: number, low: number, high: number) => number): number {
    let sum = 0, count = 0, low = Infinity, high = -Infinity;
    for (const table of world.tables) {
      const { data } = this.#workshop.values(table, of, world.version);
      for (let row = 0; row < table.rows; row++) {
        const value = data[row]!;
        if (value !== value || table.inBox?.has(row) === false) continue;
        sum += value;
        count++;
        if (value < low) low = value;
        if (value > high) high = value;
      }
    }
    return join(sum, count, low, high);
  }

  /** Takes a sample of a new state. */
  sample(world: Shown): void {
    if (this.#series.length === 0 || world.generation === 0) return;
    if (world.time < this.#last.time || world.generation < this.#last.generation) this.#clear();
    if (world.time === this.#last.time) return;
    this.#last = { time: world.time, generation: world.generation };
    const now = performance.now();
    if (now - this.#at < GAP_MS_PER_ENTITY * world.entities.count) return;
    this.#at = now;
    if (this.#seen++ % this.#every !== 0) return;
    this.#data[0]!.push(world.time);
    this.#series.forEach((series, i) => this.#data[i + 1]!.push(series.value(world)));
    if (this.#data[0]!.length < SAMPLES_MAX) return;
    this.#data = this.#data.map(values => values.filter((_, i) => i % 2 === 0));
    this.#every *= 2;
  }

  draw(): void {
    if (this.#plot && this.#box.clientWidth > 0) this.#plot.setData(this.#data as uPlot.AlignedData);
  }

  /** The theme is another one, or the lines are. */
  #begin(): void {
    this.#clear();
    this.repaint();
  }

  #clear(): void {
    this.#data = [[], ...this.#series.map(() => [] as number[])];
    this.#every = 1;
    this.#seen = 0;
    this.#last = { time: -Infinity, generation: 0 };
  }

  repaint(): void {
    this.#plot?.destroy();
    this.#plot = undefined;
    $<HTMLButtonElement>("plot-clear").disabled = this.#series.length === 0;
    this.#box.setAttribute("aria-label", this.#series.length > 0 ? `Plot over simulated time: ${this.texts.join(", ")}` : "Nothing is plotted");
    $("plot-none").hidden = this.#series.length > 0;
    if (this.#series.length === 0) return;
    const theme = this.#theme, axis = { stroke: theme.colour("soft"), grid: { stroke: theme.colour("line"), width: 1 }, ticks: { stroke: theme.colour("line"), width: 1 }, font: "11px system-ui" };
    this.#plot = new uPlot({
      width: Math.max(this.#box.clientWidth, 100), height: this.#height(), scales: { x: { time: false } }, cursor: { drag: { x: true, y: false } },
      legend: { live: true }, axes: [{ ...axis, size: 24 }, { ...axis, size: 58, values: (_, ticks) => ticks.map(tick => short(tick)) }],
      series: [
        { label: "time", value: (_, value) => value == null ? "–" : `${digits(value)} s` },
        ...this.#series.map(({ text }, i) => ({ label: this.#world ? withUnit(this.#world, text) : text, stroke: theme.colour(COLOURS[i]!), width: 1.5, points: { show: false }, value: (_: uPlot, value: number | null) => value == null ? "–" : digits(value) })),
      ],
    }, this.#data as uPlot.AlignedData, this.#box);
    // what it shows is said by the box
    this.#box.querySelector("canvas")?.setAttribute("aria-hidden", "true");
  }

  #height(): number {
    return Math.max(60, this.#box.clientHeight - 24);
  }

  #resize(): void {
    if (this.#box.clientWidth > 0) this.#plot?.setSize({ width: this.#box.clientWidth, height: this.#height() });
  }
}

function short(value: number): string {
  return Math.abs(value) >= 1e5 || value !== 0 && Math.abs(value) < 1e-3 ? value.toExponential(1) : String(Number(value.toPrecision(6)));
}

/** The resources' numbers by name: `gravity.y`, and `box.size[0]` of arrays. */
export function numbersOf(world: Shown): string[] {
  const names: string[] = [];
  for (const name of world.resources) {
    for (const [field, of] of world.resource(name) ?? []) {
      const one = (value: unknown): boolean => typeof value === "number" || typeof value === "bigint" || typeof value === "boolean";
      if (Array.isArray(of)) of.slice(0, 8).forEach((value, i) => one(value) && names.push(`${name}.${field}[${i}]`));
      else if (one(of)) names.push(`${name}.${field}`);
    }
  }
  return names;
}

function resource(world: Shown, text: string): number {
  const [, name, field, lane] = /^([^.]+)\.([^[]+)(?:\[(\d+)\])?$/.exec(text) ?? [], values = name !== undefined ? world.resource(name) : undefined;
  const of = values?.get(field ?? ""), one = Array.isArray(of) ? of[Number(lane)] : of;
  return one === undefined ? NaN : Number(one);
}
