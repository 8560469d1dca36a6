//! Mouse, wheel, touch and keyboard on the view.

import type { Camera } from "./camera.ts";

export interface Handlers {
  readonly changed: () => void;
  readonly hover: (x: number, y: number) => void;
  readonly leave: () => void;
  readonly click: (x: number, y: number) => void;
  /** Keys that are not the camera's; true where it was one. */
  readonly key: (key: string) => boolean;
}

export function listen(canvas: HTMLCanvasElement, camera: Camera, handlers: Handlers): void {
  const pointers = new Map<number, { x: number; y: number }>();
  let moved = 0, spread = 0;
  const place = (event: MouseEvent): { x: number; y: number } => {
    const box = canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  canvas.addEventListener("pointerdown", event => {
    pointers.set(event.pointerId, place(event));
    canvas.setPointerCapture(event.pointerId);
    moved = spread = 0;
  });
  canvas.addEventListener("pointermove", event => {
    const at = place(event), before = pointers.get(event.pointerId);
    if (!before) return handlers.hover(at.x, at.y);
    const dx = at.x - before.x, dy = at.y - before.y;
    pointers.set(event.pointerId, at);
    moved += Math.abs(dx) + Math.abs(dy);
    if (moved < 4) return;
    canvas.classList.add("dragging");
    if (pointers.size === 1) {
      if (camera.orbit && !event.shiftKey && !(event.buttons & 6)) camera.turn(dx, dy);
      else camera.pan(dx, dy);
    } else {
      const [a, b] = [...pointers.values()] as [{ x: number; y: number }, { x: number; y: number }];
      const now = Math.hypot(a.x - b.x, a.y - b.y);
      if (spread > 0 && now > 0) camera.zoom(spread / now, (a.x + b.x) / 2, (a.y + b.y) / 2);
      spread = now;
      camera.pan(dx / 2, dy / 2);
    }
    handlers.changed();
  });
  const up = (event: PointerEvent): void => {
    const at = place(event);
    if (pointers.delete(event.pointerId) && moved < 4 && event.type === "pointerup") handlers.click(at.x, at.y);
    spread = 0;
    if (pointers.size === 0) canvas.classList.remove("dragging");
  };
  canvas.addEventListener("pointerup", up);
  canvas.addEventListener("pointercancel", up);
  canvas.addEventListener("pointerleave", () => handlers.leave());
  canvas.addEventListener("contextmenu", event => event.preventDefault());
  canvas.addEventListener("wheel", event => {
    event.preventDefault();
    const at = place(event), unit = event.deltaMode === 1 ? 16 : 1;
    camera.zoom(Math.exp(Math.max(-300, Math.min(300, event.deltaY * unit)) / 480), at.x, at.y);
    handlers.changed();
  }, { passive: false });
  // single keys mean something only where the points have the focus
  canvas.addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = event.shiftKey ? 160 : 40;
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
