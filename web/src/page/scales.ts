//! The axes of all views, on one canvas over the points.

import type { Bounds } from "./camera.ts";
import { fit, within, type Theme } from "./canvas.ts";
import { drawScale } from "./scale.ts";
import { boundsBy, ordered, type Views } from "./views.ts";

/** What the names of two axes take beside the camera's buttons, pixels. */
const NAMES_WIDTH = 190;

/** Draws the axes of each view, where one ends, and which is the active one; `buttons` lie over the upper right one. */
export function drawScales(canvas: HTMLCanvasElement, buttons: HTMLElement, { all, count, active }: Views, theme: Theme, names: [string, string, string], bounds: Bounds | undefined): void {
  const { g, width, height } = fit(canvas), under = buttons.offsetTop + buttons.offsetHeight;
  for (const { camera, order, ...rect } of all) {
    const inset = rect.top === 0 && rect.left + NAMES_WIDTH > buttons.offsetLeft ? under : 0;
    within(g, rect, () => drawScale(g, camera, theme, ordered(order, names), bounds && boundsBy(order, bounds), inset));
  }
  if (count === 1) return;
  for (const { left, top } of all) {
    g.fillStyle = theme.colour("line");
    if (left > 0) g.fillRect(left, 0, 1, height);
    if (top > 0) g.fillRect(0, top, width, 1);
  }
  g.strokeStyle = theme.colour("accent");
  g.strokeRect(active.left + 1.5, active.top + 1.5, active.width - 2, active.height - 2);
}
