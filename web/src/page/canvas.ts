//! Flat canvases at the screen's own resolution, and the theme's colours.

export const FONT = '11px system-ui,"Segoe UI",Roboto,"DejaVu Sans",sans-serif';

export interface Surface {
  readonly g: CanvasRenderingContext2D;
  readonly width: number;
  readonly height: number;
}

/** The canvas, cleared, in CSS pixels. */
export function fit(canvas: HTMLCanvasElement, size: { width: number; height: number } = { width: canvas.clientWidth, height: canvas.clientHeight }): Surface {
  const ratio = devicePixelRatio || 1, { width, height } = size;
  const w = Math.round(width * ratio), h = Math.round(height * ratio);
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
  }
  const g = canvas.getContext("2d")!;
  g.setTransform(ratio, 0, 0, ratio, 0, 0);
  g.clearRect(0, 0, width, height);
  return { g, width, height };
}

/** Draws within a part of a canvas, from that part's own corner on. */
export function within(g: CanvasRenderingContext2D, { left, top, width, height }: { readonly left: number; readonly top: number; readonly width: number; readonly height: number }, draw: () => void): void {
  g.save();
  g.translate(left, top);
  g.beginPath();
  g.rect(0, 0, width, height);
  g.clip();
  draw();
  g.restore();
}

/** Reads the theme's colours; to be asked again when the theme changes. */
export class Theme {
  dark = true;
  readonly #colours = new Map<string, string>();

  refresh(): void {
    this.dark = document.documentElement.dataset["theme"] !== "light";
    this.#colours.clear();
  }

  colour(name: string): string {
    let colour = this.#colours.get(name);
    if (colour === undefined) this.#colours.set(name, colour = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim());
    return colour;
  }
}
