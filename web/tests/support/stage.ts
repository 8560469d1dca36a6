//! The page in Chromium before a stand-in for the gateway: what its tests share.

import assert from "node:assert/strict";
import { after, before } from "node:test";
import type { Browser, Download, Page } from "playwright-core";
import { CHROMIUM, launch, open } from "./browser.ts";
import { Particles, serveParticles, standIn, type StandIn } from "./standin.ts";

const PAGE = new URL("../../../page", import.meta.url).pathname;

/** Why tests of the page are skipped. */
export const skip = CHROMIUM ? false : "there is no Chromium";

export interface Opened {
  readonly page: Page;
  readonly errors: string[];
}

/** A world of particles that move, a server that shows it, and a browser: for all tests of a file. */
export class Stage {
  browser!: Browser;
  server!: StandIn;
  readonly particles: Particles;
  readonly #size: { width: number; height: number };

  constructor({ rows = 4000, bonds = false, width = 1000, height = 640, timeline }: { rows?: number; bonds?: boolean; width?: number; height?: number; timeline?: () => unknown } = {}) {
    this.particles = new Particles(rows, bonds);
    this.#size = { width, height };
    let timer: ReturnType<typeof setInterval>;
    before(async () => {
      if (!CHROMIUM) return;
      timer = setInterval(() => this.particles.step(0.05), 50);
      this.server = await standIn(PAGE, (socket, messages) => serveParticles(socket, this.particles, messages), timeline);
      this.browser = await launch();
    });
    after(async () => {
      clearInterval(timer);
      await this.browser?.close();
      await this.server?.close();
    });
  }

  /** The page, once it has drawn something. */
  async open(options: Parameters<typeof open>[2] = {}, hash = ""): Promise<Opened> {
    const made = await open(this.browser, this.server.url + hash, { ...this.#size, ...options });
    await live(made.page);
    return made;
  }
}

export function live(page: Page): Promise<unknown> {
  return page.waitForFunction(() => globalThis.hypostyle?.connection.state === "live" && hypostyle.scriptMs.length > 3);
}

/** Closes a page that has told no errors. */
export async function close({ page, errors }: Opened): Promise<void> {
  assert.deepEqual(errors, []);
  await page.context().close();
}

/** What pixels are counted: those that are not empty, grey ones, bluish ones, those of the mark's colour in the dark. */
export type Counted = "any" | "grey" | "blue" | "mark";

/** The picture's pixels right after it was drawn, as counts of those that fulfil a test; of a part of it, in parts of its width and height. */
export function pixels(page: Page, what: Counted = "any", part: readonly [x: number, y: number, width: number, height: number] = [0, 0, 1, 1]): Promise<number> {
  return page.evaluate(([what, part]) => new Promise<number>(done => requestAnimationFrame(() => {
    // the drawing buffer is only there right after a frame was drawn
    hypostyle.camera.changes++;
    requestAnimationFrame(() => {
      const view = document.getElementById("view") as HTMLCanvasElement, copy = document.createElement("canvas");
      copy.width = view.width;
      copy.height = view.height;
      const g = copy.getContext("2d")!;
      g.drawImage(view, 0, 0);
      const [x, y, width, height] = part, { data } = g.getImageData(Math.round(x * copy.width), Math.round(y * copy.height), Math.round(width * copy.width), Math.round(height * copy.height));
      let sum = 0;
      for (let i = 0; i < data.length; i += 4) {
        const [r, green, b, a] = [data[i]!, data[i + 1]!, data[i + 2]!, data[i + 3]!];
        if (a < 100) continue;
        if (what === "any" || what === "grey" && Math.abs(r - green) < 6 && Math.abs(green - b) < 6 || what === "blue" && b > r + 30
          || what === "mark" && Math.abs(r - 255) + Math.abs(green - 209) + Math.abs(b - 102) < 24) sum++;
      }
      done(sum);
    });
  })), [what, part] as const);
}

/** The bytes of what was downloaded. */
export async function bytesOf(download: Download): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of await download.createReadStream()) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

/** Where an entity of a slot is on the screen. */
export function placeOf(page: Page, slot: number): Promise<{ x: number; y: number }> {
  return page.evaluate(slot => {
    const { connection: { world }, camera } = hypostyle, found = world.entities.find(slot)!, p = (axis: string): number => Number(found.table.columns.get(`position.${axis}`)!.data[found.row]);
    const [x, y] = camera.project(p("x"), p("y"), p("z"))!, box = document.getElementById("view")!.getBoundingClientRect();
    return { x: box.left + x, y: box.top + y };
  }, slot);
}
