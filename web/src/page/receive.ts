//! What is received, in the panel's section of that name: a box of space, rounding, and what both come to.

import type { Connection } from "../view/connect.ts";
import type { SubscribeOptions } from "../view/protocol.ts";
import { set } from "./dom.ts";
import { bytes, count, digits } from "./format.ts";
import type { Shown } from "./sources.ts";
import { Follower, readBox, readErrors, suggestion, type Box, type Seen } from "./wishes.ts";

const $ = <T extends HTMLElement = HTMLInputElement>(id: string): T => document.getElementById(id) as T;
const AXES = ["x", "y", "z"] as const;
type Axis = typeof AXES[number];
const SPACES = ["", "view", "box"] as const;
/** Values of a column that are looked at for a suggestion. */
const SAMPLE = 4000;

export type Wish = Pick<SubscribeOptions, "box" | "quantise">;

export class Receive {
  readonly #connection: Connection;
  readonly #ask: () => void;
  readonly #seen: () => Seen | undefined;
  readonly #follower = new Follower();
  #space: typeof SPACES[number] = "";
  #axes: Record<Axis, string> = { x: "", y: "", z: "" };
  #ends: Record<Axis, [low: string, high: string]> = { x: ["", ""], y: ["", ""], z: ["", ""] };
  /** Largest errors as they were typed, by field. */
  #errors = new Map<string, string>();
  /** Why the server refused what is chosen; empty: it did not. */
  #refused = { box: "", quantise: "" };
  /** What was in force last. */
  #good: Wish = {};
  /** All is received for a moment, to be looked at: what is done then. */
  #opening: (() => void) | undefined;
  #listed = "";
  /** Bytes a second before the last change. */
  #before = NaN;

  /** `ask`: asks the server anew. `seen`: what the picture shows, where a box can go with it. */
  constructor(connection: Connection, ask: () => void, seen: () => Seen | undefined) {
    this.#connection = connection;
    this.#ask = ask;
    this.#seen = seen;
    $<HTMLSelectElement>("space").onchange = event => {
      this.#space = SPACES.find(space => space === (event.target as HTMLSelectElement).value) ?? "";
      this.#boxChanged();
    };
    for (const axis of AXES) {
      (["low", "high"] as const).forEach((end, k) => ($(`box-${axis}-${end}`).onchange = event => {
        this.#ends[axis][k] = (event.target as HTMLInputElement).value.trim();
        this.#boxChanged();
      }));
    }
    $("round-suggest").onclick = () => this.#round(({ value, placeholder }) => value.trim() === "" && Number(placeholder) > 0 ? placeholder : value);
    $("round-none").onclick = () => {
      this.#errors.clear();
      this.#round(() => "");
    };
    $<HTMLDetailsElement>("rounding").ontoggle = () => this.#suggest();
    connection.onFrame(({ full }) => {
      const then = this.#opening;
      if (!full || !then || connection.world.tables.some(table => table.inBox)) return;
      this.#opening = undefined;
      then();
    });
  }

  /** Begins with another layout. */
  announce(axes: Record<Axis, string>): void {
    this.#good = {};
    this.restore(() => "", axes);
  }

  /** Takes in what the axes are: ends of another column say nothing of this one. `then`: when all of them is there. */
  setAxes(axes: Record<Axis, string>, then: () => void): void {
    for (const axis of AXES) if (axes[axis] !== this.#axes[axis]) this.#ends[axis] = ["", ""];
    this.#axes = { ...axes };
    this.#refused.box = "";
    this.#follower.forget();
    this.#show();
    this.open(then);
  }

  /** Lets everything in, where the box is the view's, and calls `then` when it is there: what is shown may be all that there is. False: nothing is kept out. */
  open(then: () => void): boolean {
    if (this.#space !== "view" || !this.#connection.asked.box || this.#connection.state !== "live") return false;
    this.#opening = then;
    this.#follower.forget();
    this.#ask();
    return true;
  }

  state(): Record<"space" | "box" | "round", string> {
    const round = [...this.#errors].filter(([, text]) => text !== "").map(([name, text]) => `${name}:${text}`);
    const ends = AXES.map(axis => this.#ends[axis].join()).join(";");
    return { space: this.#space, box: ends === ",;,;," ? "" : ends, round: round.join(";") };
  }

  /** Takes over what an address says. */
  restore(text: (name: "space" | "box" | "round") => string, axes: Record<Axis, string>): void {
    this.#axes = { ...axes };
    this.#space = SPACES.find(space => space === text("space")) ?? "";
    const sides = text("box").split(";");
    AXES.forEach((axis, i) => {
      const [low = "", high = ""] = (sides[i] ?? "").split(",");
      this.#ends[axis] = [low.trim(), high.trim()];
    });
    const pairs = text("round").split(";").map(pair => pair.split(":"));
    this.#errors = new Map(pairs.flatMap(([name, error]) => name && error ? [[name, error.trim()] as const] : []));
    this.#refused = { box: "", quantise: "" };
    this.#opening = undefined;
    this.#follower.forget();
    this.#listed = "";
    this.#show();
  }

  /** What to ask for besides these components. */
  wanted(columns: readonly string[]): Wish {
    const box = this.#box(), errors = this.#wantedErrors();
    const quantise = Object.fromEntries(Object.entries(errors).filter(([name]) => columns.includes(name.split(".")[0]!)));
    this.#list(columns);
    return { ...(box ? { box } : {}), ...(Object.keys(quantise).length > 0 ? { quantise } : {}) };
  }

  /** The server agreed. */
  accepted({ box, quantise }: Wish): void {
    this.#good = { ...(box ? { box } : {}), ...(quantise ? { quantise } : {}) };
    set("subscription-fault", "");
  }

  /** The server refused a wish: the reason is shown where it is chosen. False where it is about something else. */
  refused(text: string, wish: Wish): boolean {
    const changed = (["box", "quantise"] as const).filter(part => wish[part] && !alike(wish[part], this.#good[part]));
    const all = changed.length > 0 ? changed : (["box", "quantise"] as const).filter(part => wish[part]);
    const part = all.length === 2 ? blamed(text, wish) : all[0];
    if (!part) {
      set("subscription-fault", text);
      return false;
    }
    this.#refused[part] = text;
    // what was in force before may be what is refused now
    if (alike(wish[part], this.#good[part])) {
      const { [part]: _, ...other } = this.#good;
      this.#good = other;
    }
    this.#show();
    return true;
  }

  /** Now and then: the box goes with the view. */
  follow(): void {
    if (this.#connection.state === "live" && this.#space === "view" && !this.#opening && !alike(this.#box(), this.#connection.asked.box)) this.#ask();
  }

  /** Each second: what it comes to. */
  tell(world: Shown): void {
    const { stats, subscribed, state } = this.#connection, out = outside(world), before = this.#before;
    const rounded = subscribed?.quantised.length ?? 0;
    set("box-text", this.#space === "" ? "" : this.#whyNoBox() || `${count(world.entities.count)} inside, ${count(out)} outside`);
    set("round-text", rounded > 0 ? `${rounded} ${rounded === 1 ? "column" : "columns"}` : "none");
    const rate = (value: number): string => `${bytes(value)}/s`;
    set("stream-text", state !== "live" ? "nothing is received now" : `${rate(stats.bytesPerSecond)} in ${digits(stats.updatesPerSecond)} updates a second${before === before ? `; ${rate(before)} before the last change` : ""}`);
    this.#suggest();
  }

  /** Something that people chose is about to change what is sent. */
  note(): void {
    this.#before = this.#connection.stats.bytesPerSecond;
  }

  #boxChanged(): void {
    this.#refused.box = "";
    this.#opening = undefined;
    this.#follower.forget();
    this.#show();
    this.note();
    this.#ask();
  }

  #round(text: (input: HTMLInputElement) => string): void {
    for (const input of $("round").querySelectorAll("input")) {
      input.value = text(input).trim();
      this.#errors.set(input.name, input.value);
    }
    this.#refused.quantise = "";
    this.#show();
    this.note();
    this.#ask();
  }

  /** The box to ask for; where what is chosen cannot be, the one before. */
  #box(): Box | undefined {
    if (this.#space === "" || this.#opening) return undefined;
    if (this.#refused.box !== "") return this.#good.box;
    if (this.#space === "view") return this.#viewBox();
    const { box, fault } = this.#typed();
    return fault === "" ? box : this.#good.box;
  }

  #viewBox(): Box | undefined {
    const { x, y } = this.#axes, seen = this.#seen();
    if (!seen) return undefined;
    const [x0, x1, y0, y1] = this.#follower.follow(seen, performance.now());
    const sides = [[x, x0, x1], [y, y0, y1]] as const, of = sides.filter(([name], i) => this.#isPlain(name) && !(i === 1 && x === y));
    return of.length === 0 ? undefined : { fields: of.map(([name]) => name), min: of.map(([, low]) => low), max: of.map(([, , high]) => high) };
  }

  #typed(): { box: Box | undefined; fault: string } {
    return readBox(AXES.filter(axis => this.#isPlain(this.#axes[axis])).map(axis => ({ field: this.#axes[axis], low: this.#ends[axis][0], high: this.#ends[axis][1] })));
  }

  /** A box has sides of columns with one number a row. */
  #isPlain(name: string): boolean {
    return this.#connection.world.columns.get(name)?.lanes === 1;
  }

  #whyNoBox(): string {
    if (this.#refused.box !== "" || this.#connection.asked.box) return "";
    if (this.#space === "box") return "all is received: type an end of an axis";
    const { x, y } = this.#axes;
    if (x === "") return "nothing is received yet";
    if (!this.#isPlain(x) && !this.#isPlain(y)) return `all is received: ${x} and ${y} are values of arrays, which boxes do not have`;
    return this.#seen() ? "" : "all is received: the box goes with a single flat view";
  }

  #wantedErrors(): Readonly<Record<string, number>> {
    const { errors, fault } = readErrors(this.#errors);
    return fault !== "" || this.#refused.quantise !== "" ? this.#good.quantise ?? {} : errors;
  }

  /** Puts into the fields what is chosen, and what is wrong with it. */
  #show(): void {
    const box = this.#space === "box" ? this.#typed().fault : "", { fault, at } = readErrors(this.#errors);
    $<HTMLSelectElement>("space").value = this.#space;
    $("box-lines").hidden = this.#space !== "box";
    for (const axis of AXES) {
      const name = this.#axes[axis], [low, high] = this.#ends[axis];
      $(`box-${axis}`).hidden = name === "";
      set(`box-${axis}-name`, name);
      ([["low", low], ["high", high]] as const).forEach(([end, text]) => {
        const input = $(`box-${axis}-${end}`);
        input.value = text;
        input.disabled = !this.#isPlain(name);
      });
    }
    set("box-fault", box || this.#refused.box);
    set("round-fault", fault || this.#refused.quantise);
    if (fault || this.#refused.quantise) $<HTMLDetailsElement>("rounding").open = true;
    for (const input of $("round").querySelectorAll("input")) {
      input.value = this.#errors.get(input.name) ?? "";
      input.setCustomValidity(input.name === at ? fault : "");
    }
  }

  /** The columns that can be rounded, of those that are received. */
  #list(columns: readonly string[]): void {
    const { world } = this.#connection, names = world.components.filter(({ name }) => columns.includes(name))
      .flatMap(({ name, fields }) => fields.filter(({ scalar }) => scalar === "f32" || scalar === "f64").map(field => `${name}.${field.name}`));
    if (names.join() === this.#listed) return;
    this.#listed = names.join();
    $("round").replaceChildren(...names.map(name => {
      const label = document.createElement("label"), input = document.createElement("input");
      label.className = "line";
      input.name = name;
      input.inputMode = "decimal";
      input.autocomplete = "off";
      input.placeholder = "exact";
      input.setAttribute("aria-describedby", "round-fault");
      input.onchange = () => this.#round(({ value }) => value);
      label.append(name, input);
      return label;
    }));
    this.#show();
    this.#suggest();
  }

  /** Where rounding is being looked at: an error for each column that has none. */
  #suggest(): void {
    if (!$<HTMLDetailsElement>("rounding").open) return;
    for (const input of $("round").querySelectorAll("input")) {
      const found = suggestion(sample(this.#connection.world, input.name));
      input.placeholder = found === undefined ? "exact" : String(found);
      input.title = found === undefined ? "The largest error; empty: exact" : `The largest error; empty: exact. ${found} is about a thousandth of its range`;
    }
  }
}

/** How many are outside the box. */
export function outside(world: Pick<Shown, "tables">): number {
  return world.tables.reduce((sum, table) => sum + table.rows - table.rowsShown, 0);
}

/** What a refusal of both is about, as far as its text tells: where the other one is to blame, too, the next refusal is about that. */
function blamed(text: string, { box, quantise }: Wish): "box" | "quantise" {
  if (/error bound|float|round|quantis/i.test(text)) return "quantise";
  const names = Object.keys(quantise ?? {}).filter(name => !box?.fields.includes(name));
  return names.some(name => text.includes(name)) ? "quantise" : "box";
}

function alike(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** Some values of a field, of rows that are shown. */
function* sample(world: Pick<Shown, "tables">, name: string): Generator<number> {
  const tables = world.tables.filter(table => table.columns.has(name)), rows = tables.reduce((sum, table) => sum + table.rows, 0), step = Math.max(1, Math.floor(rows / SAMPLE));
  for (const table of tables) {
    const { data, lanes, component } = table.columns.get(name)!, bits = table.toggles.get(component);
    for (let row = 0; row < table.rows; row += step) {
      if (!table.shows(row) || bits?.has(row) === false) continue;
      for (let lane = 0; lane < lanes; lane++) yield Number(data[row * lanes + lane]);
    }
  }
}
