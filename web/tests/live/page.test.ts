//! The page as the real gateway serves it: particles move, counts are the server's, and what Chromium holds after drops
//! is what the server holds.

import assert from "node:assert/strict";
import { test } from "node:test";
import { CHROMIUM, launch, open } from "../support/browser.ts";
import { held } from "../support/held.ts";
import { ask, engine, faultyProxy, noProgram, until } from "../support/engine.ts";
import { Random } from "../support/random.ts";
import { hashes, snapshot } from "../support/snapshot.ts";

const SEED = Number(process.env["SEED"] ?? Date.now() % 1e9);
const skip = noProgram || (CHROMIUM ? false : "there is no Chromium");

test(`the page shows the running simulation, through drops and to its end (seed ${SEED})`, { skip, timeout: 240_000 }, async () => {
  const real = await engine("page", ["--entities", "20000", "--frames", "1000000000", "--workers", "local"]);
  const proxy = await faultyProxy(real.port, new Random(SEED), 700), browser = await launch();
  try {
    const { page, errors } = await open(browser, `http://127.0.0.1:${real.port}/`);
    await page.waitForFunction(() => hypostyle.connection.state === "live" && hypostyle.scriptMs.length > 3);
    const x = (): Promise<number[]> => page.evaluate(() => Array.from({ length: 50 }, (_, i) => Number(hypostyle.connection.world.column("position.x").at(i * 100))));
    const before = await x(), updates = await page.evaluate(() => hypostyle.connection.stats.updates);
    await page.waitForFunction(n => hypostyle.connection.stats.updates > n + 3, updates);
    const moved = await x();
    assert.ok(moved.filter((value, i) => value !== before[i]).length > 25, "particles move");
    assert.equal(await page.textContent("#region"), `· ${real.region}`);

    // the same page through a network that cuts and stalls
    const lossy = await open(browser, `http://127.0.0.1:${proxy.port}/`).catch(() => undefined) ?? await until("a page through the proxy", () => open(browser, `http://127.0.0.1:${proxy.port}/`).catch(() => undefined));
    // a page whose script was cut off is loaded again
    await until("three reconnects", () => lossy.page.evaluate(() => hypostyle.connection.stats.reconnects >= 3)
      .catch(() => lossy.page.reload().then(() => false, () => false)), 90_000);
    proxy.calm();
    await real.run.stop();

    const last = await snapshot(real.port), inspected = (ask("inspect", real.region) as { snapshot: { entities: number; tables: { components: string[]; rows: number }[] } }).snapshot;
    for (const shown of [page, lossy.page]) {
      await shown.waitForFunction(to => hypostyle.connection.world.generation === to && hypostyle.connection.state === "live", last.generation);
      assert.equal(await shown.evaluate(() => hypostyle.connection.world.entities.count), inspected.entities);
      const wanted = await shown.evaluate(() => [...hypostyle.connection.asked.columns ?? []]);
      assert.deepEqual(await held(shown), hashes(await snapshot(real.port, wanted)), `seed ${SEED}`);
    }
    await page.waitForFunction(() => document.getElementById("state-text")!.textContent === "the simulation has ended");
    const rows = await page.evaluate(() => hypostyle.connection.world.tables.map(table => table.rows).sort((a, b) => a - b));
    const theirs = inspected.tables.filter(table => table.components.includes("position")).map(table => table.rows).sort((a, b) => a - b);
    assert.deepEqual(rows, theirs);
    assert.deepEqual(errors, []);
    assert.deepEqual(lossy.errors, []);
  } finally {
    await browser.close();
    proxy.close();
    await real.close();
  }
});
