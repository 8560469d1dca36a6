//! Takes the pictures of the documentation, from a gateway that runs: `npm run pictures -- URL FOLDER [NAME ...]`.
//! With `PNG=1` also as PNG; with `SIZE=390x844` at another size, to be judged and not kept.

import { writeFile } from "node:fs/promises";
import type { Page } from "playwright-core";
import { launch, open } from "./support/browser.ts";

interface Shot {
  readonly theme: "dark" | "light";
  /** The state of the view, as the address has it. */
  readonly view: string;
  readonly act?: (page: Page) => Promise<void>;
}

/** Each with the run that it is of, `hypostyle run ... --steer`, whose gateway is started with `--steer`, too. */
const SHOTS: Readonly<Record<string, Shot>> = {
  // particles --entities 30000
  "page-dark": { theme: "dark", view: "colour=velocity.y&rate=10", act: page => page.locator("#tab-lanes").click() },
  "page-light": {
    theme: "light", view: "colour=position.y&map=plasma&rate=10", act: async page => {
      await page.locator("#tab-plots").click();
      await page.locator("#mode").click();
    },
  },
  // spheres --entities 3000
  "page-spheres": {
    theme: "dark", view: "colour=|velocity|&map=plasma&rate=10", act: async page => {
      await page.locator("#tab-plots").click();
      await page.locator("#mode").click();
      await page.fill("#slot", "1200");
    },
  },
  // nbody --entities 3000: those in the middle are chosen
  "page-views": {
    theme: "dark", view: "views=4&camera=3d,0,0,0,24,0.6,0.42&arrows=velocity&colour=|velocity|&rate=10", act: async page => {
      for (const [view, factor] of [[0, 0.35], [1, 0.35], [2, 0.35], [3, 0.3]] as const) {
        await page.evaluate(([view, factor]) => hypostyle.views.all[view]!.camera.zoom(factor), [view, factor] as const);
      }
      await page.fill("#filter", "|position| < 0.4");
      await page.locator("#group-all").click();
      await page.fill("#filter", "");
      await page.locator("#group").scrollIntoViewIfNeeded();
    },
  },
  // particles --entities 1000000
  "page-million": { theme: "light", view: "colour=|velocity|&map=plasma&rate=5", act: page => page.locator("#mode").click() },
};

const [url = "http://127.0.0.1:8080/", folder = ".", ...names] = process.argv.slice(2);

/** A picture of the page as WebP, which Chromium itself writes. */
async function shoot(page: Page, name: string): Promise<void> {
  const shot = await page.screenshot({ timeout: 120_000 }), png = shot.toString("base64");
  if (process.env["PNG"]) await writeFile(`${folder}/${name}.png`, shot);
  const blank = await page.context().newPage();
  const webp = await blank.evaluate(async data => {
    const image = new Image();
    image.src = `data:image/png;base64,${data}`;
    await image.decode();
    const canvas = document.createElement("canvas");
    canvas.width = image.width;
    canvas.height = image.height;
    canvas.getContext("2d")!.drawImage(image, 0, 0);
    return canvas.toDataURL("image/webp", 0.62);
  }, png);
  await blank.close();
  const bytes = Buffer.from(webp.split(",")[1]!, "base64");
  await writeFile(`${folder}/${name}.webp`, bytes);
  console.log(`${name}.webp: ${bytes.length} bytes`);
}

const browser = await launch(), [width, height] = (process.env["SIZE"] ?? "1400x900").split("x").map(Number) as [number, number];
for (const name of names.length > 0 ? names : ["page-dark", "page-light"]) {
  const shot = SHOTS[name];
  if (!shot) throw new Error(`there is no picture ${name}; there are ${Object.keys(SHOTS).join(", ")}`);
  const { page } = await open(browser, `${url}#${shot.view}`, { theme: shot.theme, width, height, mobile: width < 900 });
  await page.waitForFunction(() => globalThis.hypostyle?.connection.state === "live" && hypostyle.scriptMs.length > 3);
  await shot.act?.(page);
  await page.evaluate(() => (document.activeElement as HTMLElement | null)?.blur());
  await page.waitForTimeout(15_000);
  await shoot(page, name);
  await page.context().close();
}
await browser.close();
