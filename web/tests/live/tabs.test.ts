//! Two tabs beside each other, for as many generations as one likes: both end with the server's bytes.
//!
//! `TAB_GENERATIONS` says how many updates each tab applies (default 200; 72,000 are an hour at 20 a second, and take some minutes at the
//! rate at which they are sent here), `SEED` which faults they meet.

import assert from "node:assert/strict";
import { test } from "node:test";
import { CHROMIUM, launch, open } from "../support/browser.ts";
import { engine, faultyProxy, noProgram, until } from "../support/engine.ts";
import { held } from "../support/held.ts";
import { Random } from "../support/random.ts";
import { hashes, snapshot } from "../support/snapshot.ts";

const GENERATIONS = Number(process.env["TAB_GENERATIONS"] ?? 200);
const SEED = Number(process.env["SEED"] ?? Date.now() % 1e9);
const skip = noProgram || (CHROMIUM ? false : "there is no Chromium");

test(`two tabs hold the server's bytes (${GENERATIONS} generations, seed ${SEED})`, { skip, timeout: 3_600_000 }, async () => {
  const real = await engine("tabs", ["--entities", "2000", "--frames", "1000000000", "--publish-every", "10", "--workers", "local"], ["--rate", "500"]);
  // one behind a network that cuts and stalls now and then
  const proxy = await faultyProxy(real.port, new Random(SEED), 2500), browser = await launch();
  try {
    const quiet = await open(browser, `http://127.0.0.1:${real.port}/`);
    const lossy = await open(browser, `http://127.0.0.1:${proxy.port}/`).catch(() => undefined)
      ?? await until("a page through the proxy", () => open(browser, `http://127.0.0.1:${proxy.port}/`).catch(() => undefined));
    const tabs = [quiet, lossy];
    for (const { page } of tabs) {
      await until("a live tab that takes all it can get", () => page.evaluate(async () => {
        if (globalThis.hypostyle?.connection.state !== "live") return false;
        await hypostyle.connection.subscribe({ rateHz: 500 });
        return true;
      }).catch(() => page.reload().then(() => false, () => false)), 60_000);
    }
    const updates = (): Promise<number[]> => Promise.all(tabs.map(({ page }) => page.evaluate(() => hypostyle.connection.stats.updates)));
    for (let [least, said] = [0, 0]; least < GENERATIONS; least = Math.min(...await updates())) {
      if (least >= said + 10_000) console.log(`${said = least} of ${GENERATIONS} updates`);
      await new Promise(done => setTimeout(done, 100));
    }
    proxy.calm();
    await real.run.stop();
    const last = await snapshot(real.port);
    for (const { page, errors } of tabs) {
      await page.waitForFunction(to => hypostyle.connection.world.generation === to && hypostyle.connection.state === "live", last.generation);
      const wanted = await page.evaluate(() => hypostyle.connection.asked.columns && [...hypostyle.connection.asked.columns]);
      assert.deepEqual(await held(page), hashes(wanted ? await snapshot(real.port, wanted) : last), `seed ${SEED}`);
      assert.deepEqual(errors, []);
    }
    console.log(`${(await updates()).join(" and ")} updates of ${last.generation} generations, ${proxy.faults.cut} cuts, ${proxy.faults.stalled} stalls`);
  } finally {
    await browser.close();
    proxy.close();
    await real.close();
  }
});
