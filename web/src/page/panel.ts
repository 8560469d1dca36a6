//! The choosers at the side: what is shown and how, and what is received for it. They show and change what is chosen, and tell.

import type { Connection } from "../view/connect.ts";
import { RefusedError, messageOf } from "../view/errors.ts";
import type { SubscribeOptions } from "../view/protocol.ts";
import { MAP_NAMES, type MapName } from "./colour.ts";
import { formula, type Formula } from "./expression.ts";
import type { Look } from "./points.ts";
import { digits } from "./format.ts";
import { Receive } from "./receive.ts";
import { choices, componentsOf, linkFields, vectors, type Chosen } from "./sources.ts";
import type { Seen } from "./wishes.ts";

const RATES = [1, 2, 5, 10, 20, 30, 60];
/** The choice that stands for what is typed. */
const TYPED = "=";
const SHAPES = ["points", "spheres"] as const, MODES = ["linear", "log", "kinds"] as const, OUTSIDE = ["clamp", "grey", "hide"] as const;
const $ = <T extends HTMLElement>(id: string): T => document.getElementById(id) as T;

/** What changed: `axes` what stands where, `colour` what is coloured by, `shown` who is shown, `arrows` whose vectors, `look` all else. */
export type What = "axes" | "look" | "colour" | "shown" | "arrows";

/** What is typed as a formula. */
const FORMULAS = ["formula", "filter", "radius", "opacity"] as const;
type Typed = (typeof FORMULAS)[number];

export class Panel {
  map: MapName = MAP_NAMES[0]!;
  size = 2;
  rate = 20;
  shape: Look["shape"] = "points";
  mode: Look["mode"] = "linear";
  outside: Look["outside"] = "clamp";
  /** Whether what is far is fainter. */
  haze = false;
  /** Arrows: a power of ten, of the length that they have to begin with. */
  stretch = 0;
  /** The radius where none is chosen. */
  radiusDefault = 1;
  readonly receive: Receive;
  readonly #connection: Connection;
  readonly #changed: (what: What) => void;
  #axes = { x: "", y: "", z: "" };
  /** A choice, or {@link TYPED}. */
  #colour = "";
  readonly #formulas: Record<Typed, { text: string; formula: Formula | undefined }> = {
    formula: { text: "", formula: undefined }, filter: { text: "", formula: undefined }, radius: { text: "", formula: undefined }, opacity: { text: "", formula: undefined },
  };
  /** A vector's name and a field of handles; empty: none. */
  #arrows = "";
  #links = "";
  #vectors: ReadonlyMap<string, readonly string[]> = new Map();
  #lengthDefault = 1;
  #hidden = new Set<string>();
  #components = new Set<string>();
  /** Those that others need: what is plotted. */
  #more: readonly string[] = [];
  #layout = "";
  /** The points' size was chosen. */
  #sized = false;
  #defaults: Record<string, string> = {};
  /** How often the server was asked; and whether it has not answered, and is to be asked again then. */
  #asks = 0;
  #isAsking = false;
  #again = false;

  /** `seen`: what the picture shows, where a box can go with it. */
  constructor(connection: Connection, changed: (what: What) => void, seen: () => Seen | undefined) {
    this.#connection = connection;
    this.#changed = changed;
    this.receive = new Receive(connection, () => this.#subscribe(), seen);
    connection.onFrame(({ full }) => {
      if (full && !this.#isAsking) this.receive.accepted(connection.asked);
    });
    for (const axis of ["x", "y", "z"] as const) {
      $<HTMLSelectElement>(`axis-${axis}`).onchange = event => {
        this.#axes[axis] = (event.target as HTMLSelectElement).value;
        this.receive.setAxes(this.#axes, () => this.#changed("axes"));
        this.#subscribe();
        this.#changed("axes");
      };
    }
    $<HTMLSelectElement>("colour").onchange = event => {
      this.#colour = (event.target as HTMLSelectElement).value;
      $("formula-line").hidden = this.#colour !== TYPED;
      this.#subscribe();
      this.#changed("colour");
      if (this.#colour === TYPED) $("formula").focus();
    };
    for (const id of FORMULAS) $<HTMLInputElement>(id).oninput = () => this.#read(id, true);
    this.#select("map", MAP_NAMES, "look");
    this.#select("shape", SHAPES, "look");
    this.#select("mode", MODES, "colour");
    this.#select("outside", OUTSIDE, "look");
    $<HTMLInputElement>("haze").onchange = event => {
      this.haze = (event.target as HTMLInputElement).checked;
      this.#changed("look");
    };
    $<HTMLInputElement>("size").oninput = event => {
      this.size = Number((event.target as HTMLInputElement).value);
      this.#show();
      this.#changed("look");
    };
    $<HTMLSelectElement>("arrows").onchange = event => this.#lines("arrows", (event.target as HTMLSelectElement).value);
    $<HTMLSelectElement>("links").onchange = event => this.#lines("links", (event.target as HTMLSelectElement).value);
    $<HTMLInputElement>("stretch").oninput = event => {
      this.stretch = Number((event.target as HTMLInputElement).value);
      this.#show();
      this.#changed("look");
    };
    $<HTMLSelectElement>("rate").onchange = event => {
      this.rate = Number((event.target as HTMLSelectElement).value);
      this.receive.note();
      this.#subscribe(true);
    };
    this.#show();
  }

  /** The chosen view. */
  get chosen(): Chosen {
    const { formula, filter, radius, opacity } = this.#formulas, typed = this.#colour === TYPED || this.#colour.startsWith("|");
    const text = this.#colour === TYPED ? formula : { text: this.#colour, formula: this.#colour.startsWith("|") ? this.#parsed(this.#colour) : undefined };
    return {
      ...this.#axes, colour: typed ? (text.formula ? text.text : "") : this.#colour, formula: typed ? text.formula : undefined,
      filter: filter.formula, radius: radius.formula ?? this.radiusDefault, opacity: opacity.formula, arrows: this.#vectors.get(this.#arrows) ?? [], links: this.#links, hidden: this.#hidden,
    };
  }

  /** Fills the choosers for the layout at hand, from `state` where it says something. True where it is another layout than before. */
  announce(state: URLSearchParams): boolean {
    const { hello, world } = this.#connection;
    if (!hello || this.#layout === hello.layoutHash + hello.region) return false;
    this.#layout = hello.layoutHash + hello.region;
    const all = choices(world), columns = all.filter(choice => choice.kind === "column");
    const number = (name: string): boolean => {
      const type = world.columns.get(name.replace(/\[\d+\]$/, ""))?.type;
      return type !== undefined && type !== "i64" && type !== "u64" && type !== "bool";
    };
    const axes = columns.filter(choice => number(choice.name)).map(choice => choice.name);
    const find = (letter: string, place: number): string =>
      axes.find(name => name === `position.${letter}`) ?? axes.find(name => name.startsWith("position.") && name.endsWith(`[${place}]`))
      ?? axes.find(name => name.endsWith(`.${letter}`)) ?? "";
    this.#axes = { x: find("x", 0) || axes[0] || "", y: find("y", 1) || axes[1] || axes[0] || "", z: find("z", 2) };
    this.#colour = columns.find(choice => choice.component === "velocity")?.name ?? this.#axes.z;
    for (const axis of ["x", "y", "z"] as const) {
      options($(`axis-${axis}`), [...(axis === "z" ? [["", "none"] as const] : []), ...axes.map(name => [name, name] as const)], this.#axes[axis]);
    }
    options($("colour"), [["", "table"], [TYPED, "a formula …"], ...all.map(({ name, kind }) => [name, kind === "presence" ? `${name}?` : name] as const)], this.#colour);
    this.#vectors = vectors(world);
    this.#arrows = this.#links = "";
    this.stretch = 0;
    for (const [id, names] of [["arrows", [...this.#vectors.keys()]], ["links", linkFields(world)]] as const) {
      options($(id), [["", "none"], ...names.map(name => [name, name] as const)], "");
      $(`${id}-line`).hidden = names.length === 0;
    }
    $("names").replaceChildren(...all.map(({ name }) => new Option(name)));
    const rates = [...new Set([...RATES.filter(rate => rate < hello.rateMax), hello.rateMax])];
    if (!rates.includes(this.rate)) this.rate = rates.at(-1)!;
    options($("rate"), rates.map(rate => [String(rate), `${rate} per second`]), String(this.rate));
    this.#components = new Set(["velocity", ...world.components.filter(component => component.fields.length === 0).map(component => component.name)]);
    this.#hidden = new Set();
    this.receive.announce(this.#axes);
    // what has a radius is a sphere
    const radius = columns.find(({ name }) => /(^|\.)radius(\.|$)/.test(name))?.name ?? "";
    this.#write("radius", radius);
    this.#write("filter", "");
    this.#write("opacity", "");
    this.#write("formula", "");
    this.shape = radius === "" ? "points" : "spheres";
    this.#sized = state.has("size");
    this.#defaults = this.#state();
    this.restore(state);
    this.#fill();
    return true;
  }

  /** What is chosen, where it is not what would be chosen anyway. */
  state(): Record<string, string> {
    return Object.fromEntries(Object.entries(this.#state()).filter(([name, text]) => text !== this.#defaults[name]));
  }

  #state(): Record<string, string> {
    const { formula, filter, radius, opacity } = this.#formulas;
    return {
      ...this.#axes, colour: this.#colour, formula: this.#colour === TYPED ? formula.text : "", filter: filter.text, radius: radius.text, opacity: opacity.text, shape: this.shape, size: String(this.size),
      arrows: this.#arrows, stretch: String(this.stretch), links: this.#links, map: this.map, scale: this.mode, outside: this.outside, haze: this.haze ? "on" : "", hidden: [...this.#hidden].join(";"), rate: String(this.rate),
      ...this.receive.state(),
    };
  }

  /** Takes over a state that was kept; names that this layout does not have are left out. */
  restore(from: URLSearchParams): void {
    const text = (name: string): string => from.get(name) ?? this.#defaults[name] ?? "";
    const offered = (id: string, value: string): string | undefined => [...$<HTMLSelectElement>(id).options].some(option => option.value === value) ? value : undefined;
    for (const axis of ["x", "y", "z"] as const) this.#axes[axis] = offered(`axis-${axis}`, text(axis)) ?? this.#axes[axis];
    this.#colour = offered("colour", text("colour")) ?? this.#colour;
    for (const id of FORMULAS) this.#write(id, text(id));
    const one = <T extends string>(all: readonly T[], name: string, now: T): T => all.find(value => value === text(name)) ?? now;
    this.shape = one(SHAPES, "shape", this.shape);
    this.map = one(MAP_NAMES, "map", this.map);
    this.mode = one(MODES, "scale", this.mode);
    this.outside = one(OUTSIDE, "outside", this.outside);
    this.haze = text("haze") === "on";
    this.#arrows = offered("arrows", text("arrows")) ?? this.#arrows;
    this.#links = offered("links", text("links")) ?? this.#links;
    const stretch = Number(text("stretch"));
    if (stretch >= -2 && stretch <= 2) this.stretch = stretch;
    const size = Number(text("size")), rate = offered("rate", text("rate"));
    if (size >= 0.5 && size <= 8) this.size = size;
    if (rate !== undefined) this.rate = Number(rate);
    this.#hidden = new Set(text("hidden").split(";").filter(name => name !== ""));
    this.receive.restore(text, this.#axes);
    this.#show();
  }

  /** Asks for what is chosen, where it is more than is asked for already; and tells. */
  restored(from: URLSearchParams): void {
    this.restore(from);
    this.#subscribe(true);
    this.#changed("axes");
    this.#changed("colour");
    this.#changed("arrows");
    this.#changed("look");
  }

  /** How long one unit of a vector is drawn, in values. */
  get arrowLength(): number {
    return this.#lengthDefault * 10 ** this.stretch;
  }

  /** Sets the length that arrows have to begin with. */
  setArrowLength(length: number): void {
    this.#lengthDefault = length;
    this.#show();
  }

  #lines(what: "arrows" | "links", name: string): void {
    if (what === "arrows") this.#arrows = name;
    else this.#links = name;
    this.#show();
    this.#subscribe();
    this.#changed(what === "arrows" ? "arrows" : "look");
  }

  /** Shows or hides a table. */
  toggle(name: string, shown: boolean): void {
    if (shown) this.#hidden.delete(name);
    else this.#hidden.add(name);
    this.#changed("shown");
  }

  /** What to ask the server for. */
  wanted(): SubscribeOptions & { columns: string[] } {
    const needed = this.#needed(), known = this.#connection.world.components.map(component => component.name);
    const columns = known.filter(name => needed.has(name) || this.#components.has(name));
    return { columns, rateHz: this.rate, ...this.receive.wanted(columns) };
  }

  #needed(): Set<string> {
    return new Set([...componentsOf(this.chosen), ...this.#more]);
  }

  /** Components that are to be received for something else. */
  need(components: readonly string[]): void {
    this.#more = components;
    this.#subscribe();
  }

  #select<K extends "map" | "shape" | "mode" | "outside">(id: K, all: readonly this[K][], what: What): void {
    options($(ELEMENTS[id]), all.map(name => [name, NAMES[name] ?? name]), this[id]);
    $<HTMLSelectElement>(ELEMENTS[id]).onchange = event => {
      this[id] = (event.target as HTMLSelectElement).value as this[K];
      this.#show();
      this.#subscribe();
      this.#changed(what);
    };
  }

  #parsed(text: string): Formula | undefined {
    try {
      return formula(text, this.#connection.world.components);
    } catch {
      // a layout without that vector: it is not offered either
      return undefined;
    }
  }

  /** Sets a formula's field, and takes it in. */
  #write(id: Typed, text: string): void {
    $<HTMLInputElement>(id).value = text;
    this.#read(id, false);
  }

  /** Takes what was typed: a formula that cannot be is told, and the one before stays in force. */
  #read(id: Typed, tell: boolean): void {
    const input = $<HTMLInputElement>(id), text = input.value.trim(), held = this.#formulas[id];
    let fault = "";
    try {
      const read = text === "" ? undefined : formula(text, this.#connection.world.components);
      held.text = text;
      held.formula = read;
    } catch (error) {
      fault = messageOf(error);
      if (!tell) Object.assign(held, { text: "", formula: undefined });
    }
    input.setCustomValidity(fault);
    $(`${id}-fault`).textContent = fault;
    if (fault !== "" || !tell) return;
    this.#subscribe();
    this.#changed(id === "formula" ? "colour" : id === "filter" ? "shown" : "look");
  }

  /** Puts into the fields what is chosen. */
  #show(): void {
    for (const axis of ["x", "y", "z"] as const) $<HTMLSelectElement>(`axis-${axis}`).value = this.#axes[axis];
    for (const id of ["map", "shape", "mode", "outside"] as const) $<HTMLSelectElement>(ELEMENTS[id]).value = this[id];
    $<HTMLSelectElement>("colour").value = this.#colour;
    $("formula-line").hidden = this.#colour !== TYPED;
    $<HTMLSelectElement>("rate").value = String(this.rate);
    $<HTMLInputElement>("size").value = String(this.size);
    $("size-text").textContent = `${this.size} px`;
    $<HTMLInputElement>("haze").checked = this.haze;
    $<HTMLSelectElement>("arrows").value = this.#arrows;
    $<HTMLSelectElement>("links").value = this.#links;
    $<HTMLInputElement>("stretch").value = String(this.stretch);
    $("stretch-text").textContent = `× ${digits(this.arrowLength)}`;
    $("stretch-line").hidden = this.#arrows === "";
    $("size-line").hidden = this.shape === "spheres";
    $("radius-line").hidden = this.shape !== "spheres";
    $<HTMLInputElement>("radius").placeholder = `${Number(this.radiusDefault.toPrecision(2))}`;
  }

  /** Takes in how many entities there are: few points are large ones, where no size was chosen. */
  setCount(count: number): void {
    if (this.#sized) return;
    this.#sized = true;
    this.size = count <= 300 ? 7 : count <= 5000 ? 3 : 2;
    this.#defaults["size"] = String(this.size);
    this.#show();
  }

  /** Sets the radius for spheres that have none of their own. */
  setRadius(radius: number): void {
    if (!(radius > 0) || !Number.isFinite(radius)) return;
    this.radiusDefault = radius;
    $<HTMLInputElement>("radius").placeholder = `${Number(radius.toPrecision(2))}`;
  }

  #fill(): void {
    const needed = this.#needed(), box = $("components");
    box.querySelectorAll("label").forEach(label => label.remove());
    for (const { name, fields, storage } of this.#connection.world.components) {
      const label = document.createElement("label"), input = document.createElement("input");
      input.type = "checkbox";
      input.checked = needed.has(name) || this.#components.has(name);
      input.disabled = needed.has(name);
      label.title = needed.has(name) ? "needed for what is shown" : fields.length > 0 ? fields.map(field => `${field.name} ${field.scalar}`).join(", ") : storage === "toggle" ? "toggle" : "tag";
      if (fields.length === 0) label.className = "tag";
      input.onchange = () => {
        if (input.checked) this.#components.add(name);
        else this.#components.delete(name);
        this.#subscribe(true);
      };
      label.append(input, name);
      box.append(label);
    }
  }

  /** Asks anew, where what is asked for has changed. */
  #subscribe(always = false): void {
    if (!this.#layout) return;
    this.#fill();
    // one at a time: a refusal does not say what it is about
    if (this.#isAsking && this.#connection.state === "live") {
      this.#again = true;
      return;
    }
    const wanted = this.wanted(), { columns = [], ...before } = this.#connection.asked, mine = ++this.#asks;
    const isSame = JSON.stringify([before.box, before.quantise, before.rateHz]) === JSON.stringify([wanted.box, wanted.quantise, wanted.rateHz]);
    if (!always && isSame && wanted.columns.every(name => columns.includes(name))) return;
    this.#isAsking = true;
    this.#connection.subscribe(wanted).then(() => this.receive.accepted(wanted), (error: unknown) => {
      if (!(error instanceof RefusedError)) console.warn(messageOf(error));
      else if (this.receive.refused(error.message, wanted)) this.#again = true;
    }).finally(() => {
      if (mine !== this.#asks) return;
      this.#isAsking = false;
      if (!this.#again) return;
      this.#again = false;
      this.#subscribe();
    });
  }
}

/** Where the choosers are. */
const ELEMENTS = { map: "map", shape: "shape", mode: "mode-scale", outside: "outside" } as const;
const NAMES: Readonly<Record<string, string>> = { log: "logarithmic", kinds: "kinds 0, 1, 2 …", clamp: "end colour" };

function options(select: HTMLSelectElement, items: readonly (readonly [string, string])[], chosen: string): void {
  select.replaceChildren(...items.map(([value, text]) => new Option(text, value, false, value === chosen)));
}
