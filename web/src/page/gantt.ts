//! Lanes: what main and each worker did in the newest frames, in the way of the engine's own timeline pages.

import { FONT, fit, type Theme } from "./canvas.ts";
import { count, milliseconds } from "./format.ts";

const STEP = 8, LEFT = 72, TOP = 16;
/** Frames that are shown. */
const FRAMES = 8;
const IDLE = -7, RING = -8, LOST = -9;
const KINDS: Readonly<Record<number, readonly [colour: string, name: string]>> = {
  [-1]: ["build", "build"], [-2]: ["live", "make live"], [-3]: ["apply", "apply patches"], [-4]: ["apply", "sort"], [-5]: ["publish", "publish"],
  [-6]: ["publish", "publication skipped"], [IDLE]: ["wait", "wait"], [RING]: ["ring", "ring full"], [LOST]: ["dead", "lost"],
};

interface Row {
  readonly name: string;
  readonly spans: readonly number[];
  readonly marks: readonly { at: number; death?: boolean; text?: string }[];
}

/** A timeline's picture, as `/timeline` gives it. Times are ns from its beginning. */
interface Picture {
  readonly length: number;
  readonly systems: readonly (readonly [name: string, colour: string])[];
  readonly frames: readonly (readonly [from: number, to: number, name: string | number, failed: boolean])[];
  readonly rows: readonly Row[];
}

/** Only what is there is drawn: another server's picture may have more, or less. */
function picture(value: unknown): Picture | undefined {
  const from = value as Partial<Picture> | null;
  if (typeof from !== "object" || from === null || !Array.isArray(from.rows) || typeof from.length !== "number") return undefined;
  const rows = from.rows.slice(0, 64).filter((row: Partial<Row>) => Array.isArray(row?.spans)).map((row: Row) => ({
    name: String(row.name), spans: row.spans, marks: Array.isArray(row.marks) ? row.marks : [],
  }));
  return {
    length: from.length, rows, systems: Array.isArray(from.systems) ? from.systems : [], frames: Array.isArray(from.frames) ? from.frames : [],
  };
}

export class Gantt {
  readonly #canvas = document.getElementById("lanes") as HTMLCanvasElement;
  readonly #text = document.getElementById("lanes-text")!;
  readonly #legend = document.getElementById("lanes-legend")!;
  readonly #theme: Theme;
  #picture: Picture | undefined;
  #legendText = "";
  #failed = 0;

  constructor(theme: Theme) {
    this.#theme = theme;
    new ResizeObserver(() => this.draw()).observe(this.#canvas);
  }

  /** Asks the gateway for the newest frames, and draws them. Says how long to wait before the next time, ms. */
  async refresh(url: URL): Promise<number> {
    try {
      const answer = await fetch(url, { cache: "no-store", signal: AbortSignal.timeout(5000) });
      const value: unknown = answer.ok ? await answer.json() : undefined;
      this.#picture = answer.ok ? picture(value) : undefined;
      this.#failed = this.#picture ? 0 : this.#failed + 1;
    } catch {
      this.#picture = undefined;
      this.#failed++;
    }
    this.draw();
    return this.#failed > 3 ? 10_000 : 1000;
  }

  draw(): void {
    const { g, width, height } = fit(this.#canvas), picture = this.#picture, theme = this.#theme;
    const text = picture && picture.rows.length > 0
      ? `${Math.min(picture.frames.length, FRAMES)} newest frames, ${milliseconds(this.#span(picture) / 1e6)}` : "the simulation records no timeline";
    if (this.#text.textContent !== text) this.#text.textContent = text;
    this.#names(picture);
    g.font = FONT;
    g.textBaseline = "middle";
    if (!picture || picture.rows.length === 0) return;
    const pitch = Math.min(26, (height - TOP) / picture.rows.length), lane = pitch - (pitch > 14 ? 4 : 1);
    const [from, to] = this.#window(picture), scale = (width - LEFT) / (to - from), x = (ns: number): number => LEFT + (ns - from) * scale;
    picture.rows.forEach((row, i) => {
      const y = TOP + i * pitch;
      g.fillStyle = theme.colour("lane");
      g.fillRect(LEFT, y, width - LEFT, lane);
      g.fillStyle = theme.colour("soft");
      g.textAlign = "right";
      if (pitch >= 9) g.fillText(row.name, LEFT - 8, y + lane / 2);
    });
    g.save();
    g.beginPath();
    g.rect(LEFT, 0, width - LEFT, height);
    g.clip();
    picture.rows.forEach((row, i) => this.#lane(g, row, TOP + i * pitch, lane, x, picture, width));
    g.textAlign = "left";
    for (const [begin, end, name, failed] of picture.frames) {
      g.fillStyle = theme.colour("soft");
      g.globalAlpha = 0.6;
      g.fillRect(x(begin), 2, 1, height - 2);
      g.globalAlpha = 1;
      if (failed) g.fillStyle = theme.colour("dead");
      const label = `${typeof name === "number" ? count(name) : name} · ${milliseconds((end - begin) / 1e6)}`, room = x(end) - Math.max(x(begin), LEFT) - 8;
      if (g.measureText(label).width < room) g.fillText(label, Math.max(x(begin), LEFT) + 4, 8);
    }
    g.restore();
  }

  /** The newest frames; without frames, all. */
  #window({ frames, length }: Picture): [number, number] {
    const first = frames[Math.max(0, frames.length - FRAMES)], last = frames.at(-1);
    return first && last && last[1] > first[0] ? [first[0], last[1]] : [0, Math.max(length, 1)];
  }

  #span(picture: Picture): number {
    const [from, to] = this.#window(picture);
    return to - from;
  }

  #lane(g: CanvasRenderingContext2D, row: Row, y: number, lane: number, x: (ns: number) => number, picture: Picture, width: number): void {
    const { spans } = row;
    // boxes too narrow to see share a pixel's column: by their part of it
    for (const idle of [true, false]) {
      let column = -1, filled = 0;
      for (let at = 0; at + STEP <= spans.length; at += STEP) {
        const kind = spans[at + 2]!, begin = x(spans[at]!), end = x(spans[at]! + spans[at + 1]!);
        if ((kind === IDLE) !== idle || end < LEFT || begin > width) continue;
        g.fillStyle = this.#paint(kind, picture);
        if (end - begin < 1) {
          const here = Math.floor(begin);
          if (here !== column) filled = 0;
          column = here;
          const tall = Math.min((end - begin) * lane, lane - filled);
          g.fillRect(here, y + lane - filled - tall, 1, tall);
          filled += tall;
          continue;
        }
        const thin = kind === IDLE ? 0.36 : kind === RING ? 0.6 : 0;
        g.globalAlpha = kind === IDLE ? 0.35 : 1;
        g.fillRect(begin, y + lane * thin, end - begin > 4 ? end - begin - 0.6 : end - begin, kind === IDLE ? lane * 0.28 : lane * (1 - thin));
        g.globalAlpha = 1;
        if (spans[at + 7] || kind === LOST) {
          g.strokeStyle = this.#theme.colour("dead");
          g.strokeRect(begin, y, end - begin, lane);
        }
        const name = picture.systems[kind]?.[0];
        if (name !== undefined && lane > 12 && g.measureText(name).width < end - begin - 8) {
          g.fillStyle = light(this.#paint(kind, picture)) ? "#10151d" : "#fff";
          g.textAlign = "left";
          g.fillText(name, begin + 4, y + lane / 2);
        }
      }
    }
    for (const mark of row.marks) {
      const at = x(mark.at);
      g.strokeStyle = this.#theme.colour("dead");
      g.lineWidth = mark.death ? 2 : 1;
      g.beginPath();
      g.moveTo(at - 4, y + 2);
      g.lineTo(at + 4, y + lane - 2);
      g.moveTo(at + 4, y + 2);
      g.lineTo(at - 4, y + lane - 2);
      g.stroke();
    }
  }

  #paint(kind: number, picture: Picture): string {
    if (kind >= 0) return picture.systems[kind]?.[1] ?? "#888888";
    return this.#theme.colour(KINDS[kind]?.[0] ?? "wait");
  }

  #names(picture: Picture | undefined): void {
    const kinds = new Map<number, number>();
    for (const row of picture?.rows ?? []) {
      for (let at = 0; at + STEP <= row.spans.length; at += STEP) {
        const kind = row.spans[at + 2]!;
        if (kind >= 0) kinds.set(kind, (kinds.get(kind) ?? 0) + row.spans[at + 1]!);
      }
    }
    const largest = [...kinds].sort((a, b) => b[1] - a[1]).slice(0, 8).map(([kind]) => kind).sort((a, b) => a - b);
    const text = largest.join();
    if (text === this.#legendText) return;
    this.#legendText = text;
    this.#legend.replaceChildren(...largest.map(kind => {
      const item = document.createElement("span"), swatch = document.createElement("i");
      swatch.style.background = picture?.systems[kind]?.[1] ?? "";
      item.append(swatch, picture?.systems[kind]?.[0] ?? "");
      return item;
    }));
  }
}

function light(colour: string): boolean {
  const part = (at: number): number => parseInt(colour.slice(at, at + 2), 16);
  return part(1) * 0.299 + part(3) * 0.587 + part(5) * 0.114 > 140;
}
