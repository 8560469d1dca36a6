//! The entity that is looked at: its mark and its trail in the picture, its values at the side, the camera that goes with it.

import { Theme, fit, within } from "./canvas.ts";
import { count, handle as handleText, handleName, slotOf, value } from "./format.ts";
import type { Batch } from "./points.ts";
import { ordered, type View, type Views } from "./views.ts";
import { placeOf, radiusOf, type Shown } from "./sources.ts";
import { withUnit } from "./units.ts";
import { rows } from "./dom.ts";

const $ = <T extends HTMLElement>(id: string): T => document.getElementById(id) as T;
/** Places of a trail that are kept; of a longer one every second is dropped, again and again. */
const TRAIL_MAX = 1200;

interface Step {
  readonly generation: number;
  readonly at: readonly [number, number, number];
}

export class Selection {
  /** The entity's handle. */
  handle: bigint | undefined;
  follows = false;
  readonly #views: Views;
  readonly #theme: Theme;
  readonly #changed: () => void;
  #trail: Step[] = [];
  #place: [number, number, number] | undefined;
  #radius = 0;
  #drawnTrail = false;
  #marked = "";

  constructor(views: Views, theme: Theme, changed: () => void) {
    this.#views = views;
    this.#theme = theme;
    this.#changed = changed;
    $("follow").onclick = () => this.follow(!this.follows);
    $("unselect").onclick = () => this.select(undefined);
    $("trail").onchange = () => this.#changed();
  }

  select(handle: bigint | undefined): void {
    if (handle !== this.handle) {
      this.handle = handle;
      this.#trail = [];
      this.#place = undefined;
    }
    if (handle === undefined) this.follows = false;
    const slot = $<HTMLInputElement>("slot");
    if (document.activeElement !== slot) {
      slot.value = handle === undefined ? "" : slotOf(handle);
      slot.setCustomValidity("");
    }
    this.#buttons();
    this.#changed();
  }

  /** The camera goes to the entity, and with it from then on; it can still be turned and moved. */
  follow(follows: boolean): void {
    this.follows = follows && this.handle !== undefined;
    if (this.follows && this.#place) {
      for (const { camera, order } of this.#views.all) {
        const at = ordered(order, this.#place);
        camera.move(at[0] - camera.target[0], at[1] - camera.target[1], at[2] - camera.target[2]);
      }
    }
    this.#buttons();
    this.#changed();
  }

  #buttons(): void {
    $("follow").setAttribute("aria-pressed", String(this.follows));
    $<HTMLButtonElement>("follow").disabled = $<HTMLButtonElement>("unselect").disabled = this.handle === undefined;
  }

  /** Other axes: places of before are none of these. */
  forget(): void {
    this.#trail = [];
    this.#place = undefined;
  }

  /** Looks where the entity is now; the camera and the trail go with it. To be called before a picture is drawn. */
  update(world: Shown, batches: readonly Batch[]): void {
    const found = this.handle === undefined ? undefined : world.entities.find(this.handle), batch = found && batches.find(batch => batch.table === found.table);
    if (!found || !batch) {
      this.#place = undefined;
      return;
    }
    const place = placeOf(batch, found.row), before = this.#place;
    this.#radius = radiusOf(batch, found.row);
    this.#place = place;
    if (this.follows && before) this.#views.move([place[0] - before[0], place[1] - before[1], place[2] - before[2]]);
    else if (this.follows) this.follow(true);
    this.#note(world.generation, place);
  }

  /** Adds a place to the trail; going back in time takes away what came later. */
  #note(generation: number, at: [number, number, number]): void {
    while (this.#trail.length > 0 && this.#trail.at(-1)!.generation > generation) this.#trail.pop();
    const last = this.#trail.at(-1);
    if (last?.generation === generation) this.#trail.pop();
    this.#trail.push({ generation, at });
    if (this.#trail.length < TRAIL_MAX) return;
    this.#trail = this.#trail.filter((_, i) => i % 2 === 1);
  }

  /** Where the trail goes. */
  get trail(): readonly Step[] {
    return this.#trail;
  }

  /** Draws the mark and the trail over the points. */
  draw(canvas: HTMLCanvasElement, spheres: boolean): void {
    const trail = $<HTMLInputElement>("trail").checked && this.handle !== undefined ? this.#trail : [], views = this.#views, beside = views.all.slice(0, -1);
    this.#mark(views.all.at(-1)!, spheres);
    const wanted = trail.length >= 2 || this.#place !== undefined && beside.length > 0;
    if (!wanted && !this.#drawnTrail) return;
    const all = { width: canvas.clientWidth, height: canvas.clientHeight }, { g } = fit(canvas, all);
    this.#drawnTrail = wanted;
    g.strokeStyle = this.#theme.colour("mark");
    g.lineJoin = "round";
    for (const view of views.all) within(g, view, () => drawTrail(g, view, trail));
    // the main view's mark is an element of its own
    for (const view of beside) {
      within(g, view, () => {
        const at = this.#place && view.camera.project(...ordered(view.order, this.#place));
        if (!at) return;
        g.lineWidth = 2;
        g.beginPath();
        g.arc(at[0], at[1], this.#reach(view, spheres), 0, 2 * Math.PI);
        g.stroke();
      });
    }
    g.globalAlpha = 1;
  }

  #mark(view: View, spheres: boolean): void {
    const mark = $("mark"), at = this.#place && view.camera.project(...this.#place), inside = at && at[0] >= -9 && at[1] >= -9;
    if (!at || !inside) {
      if (this.#marked !== "") mark.hidden = true;
      this.#marked = "";
      return;
    }
    const half = this.#reach(view, spheres), text = `translate(${Math.round(view.left + at[0] - half)}px, ${Math.round(view.top + at[1] - half)}px) ${half}`;
    if (text !== this.#marked) {
      mark.hidden = false;
      mark.style.transform = text.slice(0, text.lastIndexOf(" "));
      mark.style.width = mark.style.height = `${half * 2}px`;
    }
    this.#marked = text;
  }

  /** Half of a mark's width. */
  #reach({ camera, order }: View, spheres: boolean): number {
    const away = camera.orbit ? camera.away(ordered(order, this.#place!)) : 1, pixels = spheres ? this.#radius * camera.pixels() * (camera.orbit ? camera.distance / away : 1) : 0;
    return Math.round(Math.max(9, Math.min(pixels + 5, 4000)));
  }

  /** Fills the table at the side: of the selected entity, else of the one under the pointer. */
  list(world: Shown, hover: bigint | undefined): void {
    const table = $<HTMLTableElement>("entity"), handle = this.handle ?? hover, place = handle !== undefined ? world.entities.find(handle) : undefined;
    if (handle === undefined || !place) {
      rows(table, handle !== undefined ? [[`entity ${handleText(handle)}`, "is gone"]] : []);
      return;
    }
    rows(table, [
      [handleName(), handleText(handle)], ["table, row", `${place.table.id}, ${count(place.row)}`],
      ...[...place.table.row(place.row)].map(([name, of]) => [withUnit(world, name), value(of, place.table.columns.get(name)?.type)] as [string, string]),
    ]);
  }
}

/** Draws a trail as a view shows it: older parts are fainter. */
function drawTrail(g: CanvasRenderingContext2D, { camera, order }: View, trail: readonly Step[]): void {
  const matrix = camera.matrix(), parts = 6, points = trail.map(step => camera.project(...ordered(order, step.at as [number, number, number]), matrix));
  g.lineWidth = 1.5;
  for (let part = 0; part < parts; part++) {
    const from = Math.floor(part / parts * points.length), to = Math.min(points.length - 1, Math.floor((part + 1) / parts * points.length));
    g.globalAlpha = 0.2 + 0.75 * (part + 1) / parts;
    g.beginPath();
    let pen = false;
    for (let i = from; i <= to; i++) {
      const point = points[i];
      if (!point) pen = false;
      else if (pen) g.lineTo(...point);
      else {
        g.moveTo(...point);
        pen = true;
      }
    }
    g.stroke();
  }
  g.globalAlpha = 1;
}
