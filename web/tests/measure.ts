//! Measures, in Chromium and with a stand-in for the gateway: applying a delta of all rows, and the page's own script
//! time in a frame. `node build.mjs --tests && node build/tests/measure.js [ROWS]`

import { launch, open } from "./support/browser.ts";
import { Particles, serveParticles, standIn } from "./support/standin.ts";

const rows = Number(process.argv[2] ?? 100_000), particles = new Particles(rows);
const timer = setInterval(() => particles.step(0.1), 100);
const server = await standIn(new URL("../../page", import.meta.url).pathname, (socket, messages) => serveParticles(socket, particles, messages));
const browser = await launch(), { page } = await open(browser, server.url);
await page.waitForFunction(() => hypostyle.connection.state === "live");
await page.selectOption("#rate", "5");
for (const predicted of [false, true]) {
  if (predicted) await page.check("#predict");
  await page.waitForTimeout(3000);
  await page.evaluate(() => {
    hypostyle.scriptMs.length = hypostyle.applyMs.length = 0;
  });
  await page.waitForFunction(() => hypostyle.applyMs.length >= 40 && hypostyle.scriptMs.length >= 40, undefined, { timeout: 120_000 });
  const figures = await page.evaluate(() => [hypostyle.applyMs, hypostyle.scriptMs].map(all => {
    const sorted = [...all].sort((a, b) => a - b), at = (part: number): string => sorted[Math.floor((sorted.length - 1) * part)]!.toFixed(2);
    return `p10 ${at(0.1)} · median ${at(0.5)} · p90 ${at(0.9)} ms (${sorted.length})`;
  }));
  console.log(`${rows} rows, 6 columns${predicted ? ", predicted" : ""}: apply ${figures[0]}; script per drawn frame ${figures[1]}`);
}
clearInterval(timer);
await browser.close();
await server.close();
