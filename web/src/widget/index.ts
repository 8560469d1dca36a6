//! The points of a notebook: the page's own drawing in a cell, of what Python puts into the widget's traits.
//!
//! An anywidget: `render` draws into the cell, and draws again when traits change. Positions are three floats a point, one
//! after the other; values one float a point, or none. The camera is the cell's own, and stays while values change.

import { Camera, type Bounds } from "../page/camera.ts";
import { KINDS, MAP_NAMES, table as colours, type MapName } from "../page/colour.ts";
import { digits } from "../page/format.ts";
import { listen } from "../page/input.ts";
import { fit as sized } from "../page/canvas.ts";
import type { Source } from "../page/gpu.ts";
import { Points, type Batch } from "../page/points.ts";
import { drawScale } from "../page/scale.ts";
import css from "./widget.css";

/** The widget's traits. */
export interface Traits {
  /** Three f32 of each point. */
  positions: DataView;
  /** One f32 of each point, or nothing. */
  values: DataView;
  /** Two axes, or three. */
  axes: string[];
  /** What the values are. */
  colour: string;
  /** The ends of the colours' range. */
  low: number;
  high: number;
  map: string;
  /** Pixels across; or the radius of spheres, in values. */
  size: number;
  spheres: boolean;
  /** Pixels. */
  height: number;
  title: string;
}

/** What an anywidget gets of its model. */
export interface Model {
  get<K extends keyof Traits>(name: K): Traits[K];
  on(event: string, call: () => void): void;
  off(event: string, call: () => void): void;
}

/** The widget in a cell, as tests look at it. */
export interface Drawn {
  readonly camera: Camera;
  readonly canvas: HTMLCanvasElement;
}

declare global {
  interface HTMLElement { hypostyle?: Drawn }
}

const COLOURS: Record<string, readonly [light: string, dark: string]> = {
  ink: ["#1b2430", "#e6ebf2"], soft: ["#5d6b7c", "#93a1b3"], line: ["#d5dce5", "#2b3542"],
  dead: ["#c0392b", "#ff7b6b"], good: ["#1e8449", "#5fd38d"], accent: ["#1f6fb2", "#56b4e9"],
};

/** The colours of the notebook: dark where its ground is. */
class Colours {
  dark = false;

  refresh(element: Element): void {
    for (let at: Element | null = element; at; at = at.parentElement) {
      const parts = /rgba?\((\d+), (\d+), (\d+)(?:, ([\d.]+))?\)/.exec(getComputedStyle(at).backgroundColor);
      if (!parts || parts[4] === "0") continue;
      this.dark = 0.3 * Number(parts[1]) + 0.59 * Number(parts[2]) + 0.11 * Number(parts[3]) < 128;
      return;
    }
    this.dark = matchMedia("(prefers-color-scheme: dark)").matches;
  }

  colour(name: string): string {
    return (COLOURS[name] ?? COLOURS["ink"]!)[this.dark ? 1 : 0];
  }
}

/** The floats of a trait, where they stand at a multiple of 4 bytes. */
export function floats(bytes: DataView): Float32Array {
  const length = bytes.byteLength >> 2;
  if (bytes.byteOffset % 4 === 0) return new Float32Array(bytes.buffer, bytes.byteOffset, length);
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + 4 * length));
}

/** The smallest box around finite positions. */
export function boundsOf(positions: Float32Array): Bounds {
  const bounds: Bounds = [Infinity, Infinity, Infinity, -Infinity, -Infinity, -Infinity];
  for (let i = 0; i + 2 < positions.length; i += 3) {
    if (!Number.isFinite(positions[i]! + positions[i + 1]! + positions[i + 2]!)) continue;
    for (let k = 0; k < 3; k++) {
      bounds[k] = Math.min(bounds[k]!, positions[i + k]!);
      bounds[k + 3] = Math.max(bounds[k + 3]!, positions[i + k]!);
    }
  }
  return bounds[0] > bounds[3] ? [-1, -1, -1, 1, 1, 1] : bounds;
}

function made(tag: "div" | "canvas", name: string, parent: HTMLElement): HTMLElement {
  const element = document.createElement(tag);
  element.className = name;
  parent.append(element);
  return element;
}

function render({ model, el }: { model: Model; el: HTMLElement }): () => void {
  const style = document.createElement("style");
  style.textContent = css;
  el.append(style);
  const cell = made("div", "hypostyle-points", el);
  const view = made("canvas", "hypostyle-view", cell) as HTMLCanvasElement, over = made("canvas", "hypostyle-scale", cell) as HTMLCanvasElement;
  const title = made("div", "hypostyle-title", cell), legend = made("div", "hypostyle-legend", cell);
  const bar = made("div", "hypostyle-bar", legend), ends = made("div", "hypostyle-ends", legend);
  view.tabIndex = 0;
  view.setAttribute("role", "img");
  const points = new Points(view), camera = new Camera(), theme = new Colours();
  let version = 0, positions = new Float32Array(0), values = new Float32Array(0), bounds: Bounds = boundsOf(positions), asked = 0, fitted = false;

  const take = (): void => {
    version++;
    positions = new Float32Array(floats(model.get("positions")));
    values = new Float32Array(floats(model.get("values")));
    bounds = boundsOf(positions);
    camera.orbit = model.get("axes").length > 2;
    if (!fitted && positions.length > 0 && camera.width > 1) {
      camera.fit(bounds);
      fitted = true;
    }
    ask();
  };
  const draw = (): void => {
    asked = 0;
    const rows = Math.floor(positions.length / 3), axes = model.get("axes"), [low, high] = [model.get("low"), model.get("high")];
    theme.refresh(el);
    const name = MAP_NAMES.find(other => other === model.get("map")) ?? MAP_NAMES[0]!;
    const map = colours(name as MapName, theme.dark), coloured = values.length >= rows && rows > 0;
    points.palette(map);
    const lane = (lane: number): Source => ({ kind: "floats", data: positions, lanes: 3, lane, version });
    const all: Source = { kind: "constant", value: 1 }, size = model.get("size");
    const batch: Batch = {
      table: { rows } as Batch["table"], x: lane(0), y: lane(1), z: axes.length > 2 ? lane(2) : { kind: "constant", value: 0 },
      colour: coloured ? { kind: "floats", data: values, lanes: 1, lane: 0, version } : all, plain: coloured ? undefined : KINDS[0],
      shown: all, opacity: all, radius: { kind: "constant", value: size },
    };
    if (points.begin()) points.draw([batch], camera, {
      shape: model.get("spheres") ? "spheres" : "points", size: size * devicePixelRatio, perspective: false, low, high, mode: "linear", outside: "clamp", version, alpha: 1,
    });
    points.end();
    drawScale(sized(over, camera).g, camera, theme, [axes[0] ?? "x", axes[1] ?? "y", axes[2] ?? "z"], rows > 0 ? bounds : undefined);
    title.textContent = model.get("title");
    view.setAttribute("aria-label", `${rows} points: ${model.get("title")}`);
    legend.hidden = !coloured;
    const stops = Array.from({ length: 9 }, (_, i) => Math.min(i * 32, 255) * 4).map(at => `rgb(${map.slice(at, at + 3).join(" ")})`);
    bar.style.background = `linear-gradient(90deg, ${stops.join(", ")})`;
    ends.textContent = `${digits(low)}   ${model.get("colour")}   ${digits(high)}`;
    for (const element of [title, ends]) element.style.color = theme.colour("ink");
  };
  const ask = (): void => {
    asked ||= requestAnimationFrame(draw);
  };
  const size = (): void => {
    cell.style.height = `${model.get("height")}px`;
    const width = cell.clientWidth, height = cell.clientHeight;
    view.width = Math.round(width * devicePixelRatio);
    view.height = Math.round(height * devicePixelRatio);
    camera.resize(width, height);
    take();
  };
  const fit = (): boolean => {
    camera.fit(bounds);
    ask();
    return true;
  };
  listen(view, () => ({ camera, left: 0, top: 0 }), { changed: ask, hover: () => {}, leave: () => {}, click: () => {}, key: key => key === "f" && fit() });
  view.addEventListener("dblclick", fit);
  const events = [["change:positions change:values change:axes", take], ["change:low change:high change:map change:size change:spheres change:title change:colour", ask], ["change:height", size]] as const;
  for (const [names, call] of events) for (const name of names.split(" ")) model.on(name, call);
  const observer = new ResizeObserver(size);
  observer.observe(cell);
  el.hypostyle = { camera, canvas: view };
  size();
  return () => {
    observer.disconnect();
    cancelAnimationFrame(asked);
    for (const [names, call] of events) for (const name of names.split(" ")) model.off(name, call);
  };
}

export default { render };
