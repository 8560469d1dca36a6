//! The points of a notebook in Chromium: what is drawn of traits, when they change, and where the camera is.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import type { Browser, Page } from "playwright-core";
import { CHROMIUM, launch } from "../support/browser.ts";
import type { Drawn } from "../../src/widget/index.ts";

const SOURCE = new URL("../../../../python/source/hypostyle/points.js", import.meta.url);
const skip = CHROMIUM ? false : "there is no Chromium";

let browser: Browser;

before(async () => {
  if (CHROMIUM) browser = await launch();
});
after(() => browser?.close());

/** A cell with the widget in it, and a model that a test sets. */
async function cell(traits: object, dark = false): Promise<{ page: Page; errors: string[] }> {
  const page = await browser.newPage({ viewport: { width: 640, height: 480 } }), errors: string[] = [];
  page.on("pageerror", error => errors.push(String(error)));
  page.on("console", message => message.type() === "error" && errors.push(message.text()));
  await page.setContent(`<body style="margin:0;background:${dark ? "#111" : "#fff"}"><div id="cell" style="width:600px"></div></body>`);
  await page.evaluate(async ({ source, traits }) => {
    const bytes = (values: number[]): DataView => new DataView(new Float32Array(values).buffer);
    const { default: widget } = await import(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
    const calls = new Map<string, Set<() => void>>();
    const at: Record<string, unknown> = { axes: ["position.x", "position.y", "position.z"], colour: "", low: 0, high: 1, map: "viridis", size: 8, spheres: false, height: 400, title: "", ...traits };
    const model = {
      get: (name: string) => name === "positions" || name === "values" ? bytes((at[name] as number[] | undefined) ?? []) : at[name],
      on: (name: string, call: () => void) => void (calls.get(name) ?? calls.set(name, new Set()).get(name)!).add(call),
      off: (name: string, call: () => void) => void calls.get(name)?.delete(call),
    };
    const el = document.getElementById("cell")!;
    Object.assign(globalThis, {
      set: (name: string, value: unknown) => {
        at[name] = value;
        calls.get(`change:${name}`)?.forEach(call => call());
      },
      listeners: () => [...calls.values()].reduce((sum, all) => sum + all.size, 0),
      end: widget.render({ model, el }),
    });
  }, { source: await readFile(SOURCE, "utf8"), traits });
  return { page, errors };
}

declare const set: (name: string, value: unknown) => void;
declare const listeners: () => number;
declare const end: () => void;

/** The picture right after it was drawn: pixels that are not ground, and the mean of their colours. */
function picture(page: Page): Promise<{ count: number; red: number; blue: number; width: number }> {
  return page.evaluate(() => new Promise<{ count: number; red: number; blue: number; width: number }>(done => {
    const { canvas } = (document.getElementById("cell") as HTMLElement & { hypostyle: Drawn }).hypostyle;
    set("title", `${Math.random()}`);
    requestAnimationFrame(() => {
      const copy = document.createElement("canvas");
      [copy.width, copy.height] = [canvas.width, canvas.height];
      const g = copy.getContext("2d")!;
      g.drawImage(canvas, 0, 0);
      const { data } = g.getImageData(0, 0, copy.width, copy.height);
      let count = 0, red = 0, blue = 0;
      for (let i = 0; i < data.length; i += 4) {
        if (data[i + 3]! < 100) continue;
        count++;
        red += data[i]!;
        blue += data[i + 2]!;
      }
      done({ count, red: red / count, blue: blue / count, width: copy.width });
    });
  }));
}

test("points are drawn, and drawn again when values change", { skip }, async () => {
  const positions = [0, 0, 0, 1, 0, 0, 0, 1, 0, 1, 1, 1];
  const { page, errors } = await cell({ positions, values: [0, 0, 0, 0], colour: "speed", map: "plasma", title: "4 entities" });
  const low = await picture(page);
  // four discs of eight pixels
  assert.ok(low.count > 100 && low.count < 320, `${low.count} pixels`);
  await page.evaluate(() => set("values", [1, 1, 1, 1]));
  const high = await picture(page);
  assert.ok(high.count > 100 && high.red > low.red + 40, JSON.stringify({ low, high }));
  // no values, one colour; more points, more pixels
  await page.evaluate(() => {
    set("values", []);
    set("positions", Array.from({ length: 300 }, (_, i) => Math.sin(i * i) ** 2));
  });
  const many = await picture(page);
  assert.ok(many.count > 1000, JSON.stringify(many));
  assert.match(await page.evaluate(() => document.querySelector(".hypostyle-view")!.getAttribute("aria-label")!), /^100 points/);
  // spheres of a radius in values
  await page.evaluate(() => {
    set("spheres", true);
    set("size", 0.2);
  });
  assert.ok((await picture(page)).count > 5000);
  assert.deepEqual(errors, []);
  await page.close();
});

test("the camera is the cell's own", { skip }, async () => {
  const { page, errors } = await cell({ positions: [0, 0, 0, 1, 1, 1], axes: ["position.x", "position.y", "position.z"] }, true);
  const camera = (): Promise<{ yaw: number; distance: number; orbit: boolean; target: number[] }> =>
    page.evaluate(() => {
      const { yaw, distance, orbit, target } = (document.getElementById("cell") as HTMLElement & { hypostyle: Drawn }).hypostyle.camera;
      return { yaw, distance, orbit, target: [...target] };
    });
  const first = await camera();
  assert.ok(first.orbit && first.target.every(at => at === 0.5));
  await page.mouse.move(300, 200);
  await page.mouse.down();
  await page.mouse.move(380, 200, { steps: 4 });
  await page.mouse.up();
  await page.mouse.wheel(0, 300);
  await page.waitForFunction(before => (document.getElementById("cell") as HTMLElement & { hypostyle: Drawn }).hypostyle.camera.distance > before, first.distance);
  const turned = await camera();
  assert.notEqual(turned.yaw, first.yaw);
  // values that change leave it alone; a double click sees all again
  await page.evaluate(() => set("positions", [0, 0, 0, 4, 4, 4]));
  assert.deepEqual(await camera(), turned);
  await page.mouse.dblclick(300, 200);
  assert.deepEqual((await camera()).target, [2, 2, 2]);
  // two axes are a plane
  await page.evaluate(() => set("axes", ["position.x", "position.y"]));
  assert.equal((await camera()).orbit, false);
  // a cell that goes leaves no listeners behind
  assert.ok(await page.evaluate(() => listeners()) > 8);
  await page.evaluate(() => end());
  assert.equal(await page.evaluate(() => listeners()), 0);
  assert.deepEqual(errors, []);
  await page.close();
});

test("nothing, and numbers that are none, are drawn as nothing", { skip }, async () => {
  const { page, errors } = await cell({ positions: [] });
  assert.equal((await picture(page)).count, 0);
  await page.evaluate(() => set("positions", [NaN, 0, 0, 1e30, 0, 0]));
  await picture(page);
  assert.deepEqual(errors, []);
  await page.close();
});
