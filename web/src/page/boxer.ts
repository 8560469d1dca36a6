//! The rectangle that chooses: drawn with Ctrl held, or while its button is pressed.

import type { Place } from "./input.ts";
import type { View, Views } from "./views.ts";

const $ = <T extends HTMLElement>(id: string): T => document.getElementById(id) as T;

export class Boxer {
  #on = false;
  readonly #views: Views;
  readonly #chosen: (view: View, corners: [number, number, number, number], add: boolean) => void;

  /** `chosen`: a rectangle was drawn in a view; its corners are the view's own pixels. */
  constructor(views: Views, chosen: (view: View, corners: [number, number, number, number], add: boolean) => void) {
    this.#views = views;
    this.#chosen = chosen;
  }

  readonly wanted = (): boolean => this.#on;

  /** Dragging draws rectangles, or moves the camera again. */
  toggle(): void {
    this.#on = !this.#on;
    $("box").setAttribute("aria-pressed", String(this.#on));
  }

  readonly draw = (from: Place, to: Place, done: { add: boolean } | "drawing" | undefined): void => {
    const { left, top, width, height } = this.#views.active, view = this.#views.active, rect = $("rect");
    const x = [from.x, to.x].map(at => Math.min(Math.max(at, left), left + width)).sort((a, b) => a - b) as [number, number];
    const y = [from.y, to.y].map(at => Math.min(Math.max(at, top), top + height)).sort((a, b) => a - b) as [number, number];
    rect.hidden = done !== "drawing";
    if (done === "drawing") {
      rect.style.transform = `translate(${x[0]}px, ${y[0]}px)`;
      rect.style.width = `${x[1] - x[0]}px`;
      rect.style.height = `${y[1] - y[0]}px`;
    } else if (done) {
      this.#chosen(view, [x[0] - left, y[0] - top, x[1] - left, y[1] - top], done.add);
    }
  };
}
