//! Measures, in Chromium and with a stand-in for the gateway: applying a delta of all rows, and the page's own script
//! time in a frame. `npm run measure -- [ROWS]`, or of a gateway that runs: `npm run measure -- URL`

import type { Page } from "playwright-core";
import { launch, open } from "./support/browser.ts";
import { Particles, serveParticles, standIn } from "./support/standin.ts";

const asked = process.argv[2] ?? "100000", rows = Number(asked), isUrl = asked.startsWith("http");
const particles = new Particles(isUrl ? 10 : rows), timer = setInterval(() => particles.step(0.1), 100);
const server = await standIn(new URL("../../page", import.meta.url).pathname, (socket, messages) => serveParticles(socket, particles, messages));
const browser = await launch(), { page } = await open(browser, isUrl ? asked : server.url, { width: 1400, height: 900 });

/** What is done to the page, one after the other; each is measured. */
const DONE: readonly (readonly [name: string, act: (page: Page) => Promise<unknown>])[] = [
  ["flat", page => page.selectOption("#rate", "5")],
  ["flat, predicted", page => page.check("#predict")],
  ["in 3-D", async page => {
    await page.uncheck("#predict");
    await page.locator("#mode").click();
  }],
  ["in 3-D, filtered", page => page.fill("#filter", "position.x > 10")],
  ["in 3-D, with arrows", async page => {
    await page.fill("#filter", "");
    await page.selectOption("#arrows", "velocity");
  }],
  ["in 3-D, all chosen", async page => {
    await page.selectOption("#arrows", "");
    await page.locator("#group-all").click();
  }],
];

await page.waitForFunction(() => globalThis.hypostyle?.connection.state === "live" && hypostyle.scriptMs.length > 3);
for (const [name, act] of DONE) {
  await act(page);
  await page.waitForTimeout(3000);
  await page.evaluate(() => {
    hypostyle.scriptMs.length = hypostyle.applyMs.length = 0;
  });
  await page.waitForFunction(() => hypostyle.applyMs.length >= 20 && hypostyle.scriptMs.length >= 20, undefined, { timeout: 240_000 });
  const figures = await page.evaluate(() => [hypostyle.applyMs, hypostyle.scriptMs].map(all => {
    const sorted = [...all].sort((a, b) => a - b), at = (part: number): string => sorted[Math.floor((sorted.length - 1) * part)]!.toFixed(1);
    return `p10 ${at(0.1)} · median ${at(0.5)} · p90 ${at(0.9)} ms (${sorted.length})`;
  }));
  const entities = await page.evaluate(() => hypostyle.world.entities.count);
  console.log(`${entities} entities, ${name}: apply ${figures[0]}; script per drawn frame ${figures[1]}`);
}
clearInterval(timer);
await browser.close();
await server.close();
