//! The choosers at the side: what is shown, what is received. They show and change a `Chosen` and `SubscribeOptions`, and tell.

import type { Connection } from "../view/connect.ts";
import { messageOf } from "../view/errors.ts";
import { choices, type Chosen } from "./sources.ts";
import { MAP_NAMES, type MapName } from "./colour.ts";

const RATES = [1, 2, 5, 10, 20, 30, 60];
const $ = <T extends HTMLElement>(id: string): T => document.getElementById(id) as T;

export class Panel {
  chosen: { x: string; y: string; z: string; colour: string } = { x: "", y: "", z: "", colour: "" };
  map: MapName = MAP_NAMES[0]!;
  size = 2;
  rate = 20;
  readonly #connection: Connection;
  readonly #changed: (what: "axes" | "look" | "colour") => void;
  #components = new Set<string>();
  #layout = "";

  constructor(connection: Connection, changed: (what: "axes" | "look" | "colour") => void) {
    this.#connection = connection;
    this.#changed = changed;
    for (const axis of ["x", "y", "z"] as const) {
      $<HTMLSelectElement>(`axis-${axis}`).onchange = event => {
        this.chosen[axis] = (event.target as HTMLSelectElement).value;
        this.#subscribe();
        this.#changed("axes");
      };
    }
    $<HTMLSelectElement>("colour").onchange = event => {
      this.chosen.colour = (event.target as HTMLSelectElement).value;
      this.#subscribe();
      this.#changed("colour");
    };
    options($("map"), MAP_NAMES.map(name => [name, name]), this.map);
    $<HTMLSelectElement>("map").onchange = event => {
      this.map = (event.target as HTMLSelectElement).value as MapName;
      this.#changed("look");
    };
    $<HTMLInputElement>("size").oninput = event => {
      this.size = Number((event.target as HTMLInputElement).value);
      $("size-text").textContent = `${this.size} px`;
      this.#changed("look");
    };
    $<HTMLSelectElement>("rate").onchange = event => {
      this.rate = Number((event.target as HTMLSelectElement).value);
      this.#subscribe(true);
    };
  }

  /** Fills the choosers for the layout at hand. True where it is another one than before. */
  announce(): boolean {
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
    this.chosen = { x: find("x", 0) || axes[0] || "", y: find("y", 1) || axes[1] || axes[0] || "", z: find("z", 2), colour: "" };
    this.chosen.colour = columns.find(choice => choice.component === "velocity")?.name ?? this.chosen.z;
    for (const axis of ["x", "y", "z"] as const) {
      options($(`axis-${axis}`), [...(axis === "z" ? [["", "none"] as const] : []), ...axes.map(name => [name, name] as const)], this.chosen[axis]);
    }
    const presence = all.filter(choice => choice.kind === "presence");
    options($("colour"), [["", "table"], ...columns.map(({ name }) => [name, name] as const), ...presence.map(({ name }) => [name, `${name}?`] as const)], this.chosen.colour);
    const rates = [...new Set([...RATES.filter(rate => rate < hello.rateMax), hello.rateMax])];
    if (!rates.includes(this.rate)) this.rate = rates.at(-1)!;
    options($("rate"), rates.map(rate => [String(rate), `${rate} per second`]), String(this.rate));
    this.#components = new Set(["velocity", ...world.components.filter(component => component.fields.length === 0).map(component => component.name)]);
    this.#fill();
    return true;
  }

  /** What to ask the server for. */
  wanted(): { columns: string[]; rateHz: number } {
    const needed = this.#needed(), known = this.#connection.world.components.map(component => component.name);
    return { columns: known.filter(name => needed.has(name) || this.#components.has(name)), rateHz: this.rate };
  }

  /** Components without which the chosen view cannot be drawn. */
  #needed(): Set<string> {
    const { x, y, z, colour } = this.chosen;
    return new Set([x, y, z, colour].filter(name => name !== "").map(name => name.split(".")[0]!));
  }

  #fill(): void {
    const needed = this.#needed(), box = $("components");
    box.querySelectorAll("label").forEach(label => label.remove());
    for (const { name, fields, storage } of this.#connection.world.components) {
      const label = document.createElement("label"), input = document.createElement("input");
      input.type = "checkbox";
      input.checked = needed.has(name) || this.#components.has(name);
      input.disabled = needed.has(name);
      label.title = needed.has(name) ? "needed for the axes or the colour" : fields.length > 0 ? fields.map(field => `${field.name} ${field.scalar}`).join(", ") : storage === "toggle" ? "toggle" : "tag";
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
    this.#fill();
    const wanted = this.wanted(), before = this.#connection.asked.columns ?? [];
    if (!always && wanted.columns.every(name => before.includes(name))) return;
    this.#connection.subscribe(wanted).catch((error: unknown) => console.warn(messageOf(error)));
  }
}

function options(select: HTMLSelectElement, items: readonly (readonly [string, string])[], chosen: string): void {
  select.replaceChildren(...items.map(([value, text]) => new Option(text, value, false, value === chosen)));
}

export type { Chosen };
