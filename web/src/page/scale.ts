//! The canvas over the points: axes with round numbers when flat, a box with its edges named in orbit.

import { FONT, type Theme } from "./canvas.ts";
import type { Bounds, Camera } from "./camera.ts";
import { digits, tickLabels, ticks } from "./format.ts";

/** Where the colours come from: the page's theme, or a notebook's. */
type Colours = Pick<Theme, "colour">;

/** How far beyond the picture the end of an axis may be and have its name inside. */
const EDGE = 40;

/** The nearest place in a range; its middle where there is none. */
function inside(at: number, low: number, high: number): number {
  return low > high ? (low + high) / 2 : Math.min(Math.max(at, low), high);
}

/** Draws axes for what the camera sees, from the canvas' upper left corner on; `inset`: so far from above nothing is named. */
export function drawScale(g: CanvasRenderingContext2D, camera: Camera, theme: Colours, names: readonly [string, string, string], bounds: Bounds | undefined, inset = 0): void {
  const { width, height } = camera;
  g.font = FONT;
  if (camera.orbit) {
    if (bounds) drawBox(g, camera, theme, names, bounds, { width, height });
    drawTriad(g, camera, theme, names, height);
    return;
  }
  const [cx, cy] = camera.target, { scale } = camera;
  const x0 = cx - width / 2 * scale, x1 = cx + width / 2 * scale, y0 = cy - height / 2 * scale, y1 = cy + height / 2 * scale;
  const line = (position: number, vertical: boolean, zero: boolean): void => {
    g.fillStyle = theme.colour(zero ? "soft" : "line");
    g.globalAlpha = zero ? 0.45 : 0.55;
    if (vertical) g.fillRect(Math.round(position), 0, 1, height);
    else g.fillRect(0, Math.round(position), width, 1);
    g.globalAlpha = 1;
  };
  const xs = ticks(x0, x1, width / 110), ys = ticks(y0, y1, height / 70);
  for (const x of xs) line((x - x0) / scale, true, x === 0);
  for (const y of ys) line((y1 - y) / scale, false, y === 0);
  g.fillStyle = theme.colour("soft");
  g.textBaseline = "bottom";
  g.textAlign = "left";
  const xLabels = tickLabels(xs), yLabels = tickLabels(ys);
  xs.forEach((x, i) => {
    const at = (x - x0) / scale;
    if (at > 46 && at < width - (width > 900 ? 480 : 40)) g.fillText(xLabels.labels[i]!, at + 4, height - 5);
  });
  ys.forEach((y, i) => {
    const at = (y1 - y) / scale;
    if (at > 37 + inset && at < height - 24) g.fillText(yLabels.labels[i]!, 6, at - 2);
  });
  g.fillStyle = theme.colour("ink");
  g.textBaseline = "top";
  const from = (offset: string): string => offset === "" ? "" : ` from ${offset}`;
  g.fillText(`↑ ${names[1]}${from(yLabels.offset)}   → ${names[0]}${from(xLabels.offset)}`, 8, 10 + inset);
}

function drawBox(g: CanvasRenderingContext2D, camera: Camera, theme: Colours, names: readonly [string, string, string], bounds: Bounds, size: { width: number; height: number }): void {
  const m = camera.matrix(), corner = (k: number): [number, number] | undefined =>
    camera.project(bounds[k & 1 ? 3 : 0]!, bounds[k & 2 ? 4 : 1]!, bounds[k & 4 ? 5 : 2]!, m);
  g.strokeStyle = theme.colour("soft");
  for (let k = 0; k < 8; k++) {
    for (const axis of [1, 2, 4]) {
      if (k & axis) continue;
      const from = corner(k), to = corner(k | axis);
      if (!from || !to) continue;
      g.globalAlpha = k === 0 ? 0.9 : 0.28;
      g.beginPath();
      g.moveTo(...from);
      g.lineTo(...to);
      g.stroke();
    }
  }
  g.globalAlpha = 1;
  g.fillStyle = theme.colour("ink");
  g.textAlign = "center";
  g.textBaseline = "middle";
  [1, 2, 4].forEach((axis, i) => {
    const from = corner(0), to = corner(axis);
    if (!from || !to) return;
    const away = Math.hypot(to[0] - from[0], to[1] - from[1]) || 1;
    // an end that is out of sight has no name: at the edge it would name something else
    if (to[0] < -EDGE || to[0] > size.width + EDGE || to[1] < -EDGE || to[1] > size.height + EDGE) return;
    const end = digits(bounds[i + 3]!), half = Math.max(g.measureText(names[i]!).width, g.measureText(end).width) / 2 + 4;
    const x = inside(to[0] + (to[0] - from[0]) / away * 18, half, size.width - half), y = inside(to[1] + (to[1] - from[1]) / away * 14, 10, size.height - 23);
    g.fillStyle = theme.colour("ink");
    g.fillText(names[i]!, x, y);
    g.fillStyle = theme.colour("soft");
    g.fillText(end, x, y + 13);
  });
}

/** The axes' directions in a corner, the ones that point away fainter. */
function drawTriad(g: CanvasRenderingContext2D, camera: Camera, theme: Colours, names: readonly [string, string, string], height: number): void {
  const [right, up, back] = camera.axes(), x = 46, y = height - 46, length = 30;
  g.textAlign = "center";
  g.textBaseline = "middle";
  g.lineWidth = 2;
  for (const axis of [0, 1, 2].sort((a, b) => back[a]! - back[b]!)) {
    const dx = right[axis]! * length, dy = -up[axis]! * length;
    g.globalAlpha = back[axis]! < -0.05 ? 0.5 : 1;
    g.strokeStyle = g.fillStyle = theme.colour(["dead", "good", "accent"][axis]!);
    g.beginPath();
    g.moveTo(x, y);
    g.lineTo(x + dx, y + dy);
    g.stroke();
    // the letter is what tells the fields apart: position.x is x
    g.fillText(/[.[](\w)\]?$/.exec(names[axis]!)?.[1] ?? "xyz"[axis]!, x + dx * 1.35, y + dy * 1.35);
  }
  g.lineWidth = 1;
  g.globalAlpha = 1;
}
