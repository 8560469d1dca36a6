//! One, two or four looks at a world, each with its own camera: the main one, and flat ones along the axes.

import { cameraText, placeCamera } from "./address.ts";
import { Camera, type Bounds } from "./camera.ts";
import type { Batch, Rect } from "./points.ts";

/** Which axis goes right, which up, and which towards the eye. */
export type Order = readonly [0 | 1 | 2, 0 | 1 | 2, 0 | 1 | 2];

export interface View extends Rect {
  readonly camera: Camera;
  readonly order: Order;
}

export const COUNTS = [1, 2, 4] as const;
export type Count = typeof COUNTS[number];

const FRONT: Order = [0, 1, 2], TOP: Order = [0, 2, 1], SIDE: Order = [2, 1, 0];
/** The flat views beside the main one, which comes last. */
const BESIDE: Readonly<Record<Count, readonly Order[]>> = { 1: [], 2: [TOP], 4: [TOP, SIDE, FRONT] };

export class Views {
  readonly main = new Camera();
  #all: readonly View[] = [{ camera: this.main, order: FRONT, left: 0, top: 0, width: 1, height: 1 }];
  #active = 0;
  #size = { width: 1, height: 1 };
  /** Counts changes of the views themselves. */
  #shown = 0;

  /** From left to right, and from above. */
  get all(): readonly View[] {
    return this.#all;
  }

  get count(): Count {
    return this.#all.length as Count;
  }

  /** The one that keys and buttons move. */
  get active(): View {
    return this.#all[this.#active] ?? this.#all.at(-1)!;
  }

  /** Grows with each change of a camera, or of what views there are. */
  get changes(): number {
    return this.#all.reduce((sum, { camera }) => sum + camera.changes, this.#shown);
  }

  /** Shows so many views. */
  show(count: Count): void {
    if (count === this.count) return;
    const cameras = [...BESIDE[count].map(() => new Camera()), this.main], orders = [...BESIDE[count], FRONT];
    this.#all = cameras.map((camera, i) => ({ camera, order: orders[i]!, left: 0, top: 0, width: 1, height: 1 }));
    this.#active = count - 1;
    this.resize(this.#size.width, this.#size.height);
  }

  resize(width: number, height: number): void {
    this.#size = { width, height };
    this.#shown++;
    const { count } = this, wide = width >= height, columns = count === 1 ? 1 : count === 4 || wide ? 2 : 1, lines = Math.ceil(count / columns);
    this.#all = this.#all.map(({ camera, order }, i) => {
      const column = i % columns, line = Math.floor(i / columns), left = Math.round(width * column / columns), top = Math.round(height * line / lines);
      const rect = { left, top, width: Math.round(width * (column + 1) / columns) - left, height: Math.round(height * (line + 1) / lines) - top };
      camera.resize(rect.width, rect.height);
      return { camera, order, ...rect };
    });
  }

  /** The view at a place of the canvas. */
  at(x: number, y: number): View {
    return this.#all.find(({ left, top, width, height }) => x >= left && y >= top && x < left + width && y < top + height) ?? this.active;
  }

  /** From now on keys and buttons move this one. */
  activate(view: View): void {
    const at = this.#all.indexOf(view);
    if (at < 0 || at === this.#active) return;
    this.#active = at;
    this.#shown++;
  }

  /** Shows all of the data in each. */
  fit(bounds: Bounds): void {
    for (const { camera, order } of this.#all) camera.fit(boundsBy(order, bounds));
  }

  /** All cameras go by so much. */
  move(by: readonly [number, number, number]): void {
    for (const { camera, order } of this.#all) camera.move(by[order[0]], by[order[1]], by[order[2]]);
  }

  /** The cameras beside the main one as a text, and from one; false where it says nothing of use. */
  get text(): string {
    return this.#all.slice(0, -1).map(({ camera }) => cameraText(camera)).join(";");
  }

  place(text: string | null): boolean {
    const all = (text ?? "").split(";");
    return text !== null && all.length === this.count - 1 && all.every((one, i) => one.startsWith("2d,") && placeCamera(this.#all[i]!.camera, one));
  }
}

/** Three things, one for each axis, in a view's order. */
export function ordered<T>(order: Order, of: readonly [T, T, T]): [T, T, T] {
  return [of[order[0]], of[order[1]], of[order[2]]];
}

export function boundsBy(order: Order, b: Bounds): Bounds {
  return [...ordered(order, [b[0], b[1], b[2]]), ...ordered(order, [b[3], b[4], b[5]])];
}

/** The tables as a view shows them. */
export function seen(order: Order, batches: readonly Batch[]): readonly Batch[] {
  if (order === FRONT) return batches;
  return batches.map(batch => {
    const [x, y, z] = ordered(order, [batch.x, batch.y, batch.z]);
    return { ...batch, x, y, z, ...(batch.arrow ? { arrow: ordered(order, batch.arrow as [Batch["x"], Batch["x"], Batch["x"]]) } : {}) };
  });
}
