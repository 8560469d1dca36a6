//! Mouse, wheel, touch and keyboard on the view.

import type { Camera } from "./camera.ts";

/** A part of the canvas that a camera fills, by its upper left corner. */
export interface Spot {
  readonly camera: Camera;
  readonly left: number;
  readonly top: number;
}

/** Places are those of the canvas, CSS pixels. */
export interface Handlers {
  readonly changed: () => void;
  readonly hover: (x: number, y: number) => void;
  readonly leave: () => void;
  readonly click: (x: number, y: number) => void;
  /** Keys that are not the camera's; true where it was one. */
  readonly key: (key: string) => boolean;
  /** Rectangles, where they can be drawn: with Ctrl, Alt or the command key, or where `wanted` says so. */
  readonly box?: {
    readonly wanted: () => boolean;
    /** A corner, and the pointer; `done`: it was let go, with or without Shift; `undefined`: nothing comes of it. */
    readonly draw: (from: Place, to: Place, done: { add: boolean } | "drawing" | undefined) => void;
  };
}

export interface Place {
  readonly x: number;
  readonly y: number;
}

/** `spot`: what is at a place of the canvas; without a place what keys move. */
export function listen(canvas: HTMLCanvasElement, spot: (place?: Place) => Spot, handlers: Handlers): void {
  const pointers = new Map<number, Place>();
  let moved = 0, spread = 0, held = spot(), corner: Place | undefined;
  const place = (event: MouseEvent): Place => {
    const box = canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  canvas.addEventListener("pointerdown", event => {
    const at = place(event), { box } = handlers;
    if (pointers.size === 0) held = spot(at);
    pointers.set(event.pointerId, at);
    canvas.setPointerCapture(event.pointerId);
    if (corner) box?.draw(corner, at, undefined);
    // a second finger zooms
    corner = box && pointers.size === 1 && event.button === 0 && (event.ctrlKey || event.metaKey || event.altKey || box.wanted()) ? at : undefined;
    moved = spread = 0;
  });
  canvas.addEventListener("pointermove", event => {
    const at = place(event), before = pointers.get(event.pointerId), { camera } = held;
    if (!before) return handlers.hover(at.x, at.y);
    const dx = at.x - before.x, dy = at.y - before.y;
    pointers.set(event.pointerId, at);
    moved += Math.abs(dx) + Math.abs(dy);
    if (moved < 4) return;
    canvas.classList.add("dragging");
    if (corner) return handlers.box!.draw(corner, at, "drawing");
    if (pointers.size === 1) {
      if (camera.orbit && !event.shiftKey && !(event.buttons & 6)) camera.turn(dx, dy);
      else camera.pan(dx, dy);
    } else {
      const [a, b] = [...pointers.values()] as [Place, Place];
      const now = Math.hypot(a.x - b.x, a.y - b.y);
      if (spread > 0 && now > 0) camera.zoom(spread / now, (a.x + b.x) / 2 - held.left, (a.y + b.y) / 2 - held.top);
      spread = now;
      camera.pan(dx / 2, dy / 2);
    }
    handlers.changed();
  });
  const up = (event: PointerEvent): void => {
    const at = place(event), known = pointers.delete(event.pointerId), ended = event.type === "pointerup";
    if (known && corner) handlers.box!.draw(corner, at, ended && moved >= 4 ? { add: event.shiftKey } : undefined);
    corner = undefined;
    if (known && moved < 4 && ended) handlers.click(at.x, at.y);
    spread = 0;
    if (pointers.size === 0) canvas.classList.remove("dragging");
  };
  canvas.addEventListener("pointerup", up);
  canvas.addEventListener("pointercancel", up);
  canvas.addEventListener("pointerleave", () => handlers.leave());
  canvas.addEventListener("contextmenu", event => event.preventDefault());
  canvas.addEventListener("wheel", event => {
    event.preventDefault();
    const at = place(event), unit = event.deltaMode === 1 ? 16 : 1, { camera, left, top } = spot(at);
    camera.zoom(Math.exp(Math.max(-300, Math.min(300, event.deltaY * unit)) / 480), at.x - left, at.y - top);
    handlers.changed();
  }, { passive: false });
  // single keys mean something only where the points have the focus
  canvas.addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = event.shiftKey ? 160 : 40, { camera } = spot();
    const move = (dx: number, dy: number): void => {
      if (camera.orbit && !event.shiftKey) camera.turn(-dx, -dy);
      else camera.pan(dx, dy);
    };
    const own: Record<string, (() => void) | undefined> = {
      ArrowLeft: () => move(step, 0), ArrowRight: () => move(-step, 0), ArrowUp: () => move(0, step), ArrowDown: () => move(0, -step),
      "+": () => camera.zoom(0.8), "=": () => camera.zoom(0.8), "-": () => camera.zoom(1.25), _: () => camera.zoom(1.25),
    };
    const act = own[event.key];
    if (act) {
      act();
      handlers.changed();
    } else if (!handlers.key(event.key.toLowerCase())) {
      return;
    }
    event.preventDefault();
  });
}
