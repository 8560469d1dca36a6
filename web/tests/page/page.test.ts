//! The page in Chromium, with a stand-in for the gateway: what is drawn, what is asked for, what the keyboard does.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Stage, close, pixels, placeOf, skip } from "../support/stage.ts";

const stage = new Stage({
  timeline: () => ({
    length: 3000, systems: [["integrate", "#4477aa"]], frames: [[0, 3000, "12", false]], rows: [{ name: "main", marks: [], spans: [0, 2000, 0, 1, 2, 3, 0, 0, 2000, 900, -7, 0, 0, 0, 0, 0] }],
  }),
});

test("points are drawn, counted and move", { skip }, async () => {
  const { page, errors } = await stage.open();
  // the facts are written now and then, not with the first picture
  await page.waitForFunction(() => document.getElementById("fact-entities")!.textContent === "4,000");
  assert.ok(await pixels(page) > 1500, "points are on the canvas");
  const x = (): Promise<number> => page.evaluate(() => Number(hypostyle.connection.world.column("position.x").at(5)));
  const before = await x(), uploads = await page.evaluate(() => hypostyle.connection.stats.updates);
  await page.waitForFunction(n => hypostyle.connection.stats.updates > n + 2, uploads);
  assert.notEqual(await x(), before);
  assert.deepEqual(await page.locator("#tables tbody tr").allTextContents(), ["position · velocity · frozen3,200", "position · velocity · frozen · hot800"]);
  await page.locator("#tab-lanes").click();
  await page.waitForFunction(() => document.getElementById("lanes-text")!.textContent!.startsWith("1 newest"));
  await close({ page, errors });
});

test("the keyboard turns, moves, zooms, pauses and changes the theme", { skip }, async () => {
  const { page, errors } = await stage.open();
  await page.locator("#view").focus();
  const camera = (): Promise<{ orbit: boolean; scale: number; target: number[]; yaw: number }> =>
    page.evaluate(() => ({ orbit: hypostyle.camera.orbit, scale: hypostyle.camera.scale, target: [...hypostyle.camera.target], yaw: hypostyle.camera.yaw }));
  const start = await camera();
  await page.keyboard.press("ArrowLeft");
  await page.keyboard.press("+");
  const moved = await camera();
  assert.ok(moved.target[0]! < start.target[0]! && moved.scale < start.scale);
  await page.keyboard.press("0");
  assert.ok(Math.abs((await camera()).scale - start.scale) / start.scale < 0.2);
  await page.keyboard.press("o");
  const yaw = (await camera()).yaw;
  await page.keyboard.press("ArrowRight");
  assert.equal((await camera()).orbit, true);
  assert.notEqual((await camera()).yaw, yaw);
  assert.ok(await pixels(page) > 500);
  const theme = (): Promise<string | undefined> => page.evaluate(() => document.documentElement.dataset["theme"]);
  assert.equal(await theme(), "dark");
  await page.keyboard.press("t");
  assert.equal(await theme(), "light");
  await page.keyboard.press("p");
  assert.equal(await page.textContent("#state-text"), "paused");
  await page.keyboard.press("p");
  await page.waitForFunction(() => hypostyle.connection.state === "live");
  // everything that can be used can be reached, and shows where the focus is
  await page.locator("#pause").focus();
  const seen = new Set<string>();
  for (let i = 0; i < 90; i++) {
    seen.add(await page.evaluate(() => document.activeElement?.id ?? ""));
    await page.keyboard.press("Tab");
  }
  for (const id of ["theme", "view", "mode", "fit", "share", "shot", "help-open", "filter", "moment", "play", "tab-plots", "plot-what", "axis-x", "axis-z", "size", "colour", "map", "low", "auto", "rate", "predict", "reconcile", "slot"]) assert.ok(seen.has(id), `${id} can be reached`);
  await page.locator("#fit").focus();
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => getComputedStyle(document.activeElement!).outlineStyle), "solid");
  const unnamed = await page.evaluate(() => [...document.querySelectorAll("button, input, select, canvas")].filter(element => {
    const labels = (element as HTMLInputElement).labels;
    return !element.getAttribute("aria-label") && !element.textContent?.trim() && !(labels && labels.length > 0) && element.getAttribute("aria-hidden") !== "true";
  }).map(element => element.id));
  assert.deepEqual(unnamed, [], "everything has a name");
  await close({ page, errors });
});

test("choosers ask the server again, and draw what was chosen", { skip }, async () => {
  const { page, errors } = await stage.open();
  const asked = stage.server.messages.length;
  const subscribes = (): Record<string, unknown>[] => stage.server.messages.slice(asked).filter(bytes => bytes[0] === 0x81).map(bytes => JSON.parse(bytes.subarray(8).toString()) as Record<string, unknown>);
  await page.selectOption("#rate", "5");
  await page.waitForFunction(() => hypostyle.connection.subscribed?.rateHz === 5);
  assert.deepEqual(subscribes().at(-1), { columns: ["position", "velocity", "frozen", "hot"], rate_hz: 5 });
  await page.locator("#components label", { hasText: "hot" }).locator("input").uncheck();
  await page.waitForFunction(() => hypostyle.connection.subscribed?.subscription === 3 && hypostyle.connection.world.generation > 0);
  assert.deepEqual(subscribes().at(-1)!["columns"], ["position", "velocity", "frozen"]);
  await page.selectOption("#axis-y", "velocity.y");
  await page.selectOption("#colour", "frozen");
  await page.waitForTimeout(700);
  assert.ok(await pixels(page) > 500);
  await page.selectOption("#axis-z", "");
  assert.equal(await page.locator("#mode").isDisabled(), true);
  await page.selectOption("#colour", "");
  await page.selectOption("#map", "balance");
  await page.waitForTimeout(300);
  assert.ok(await pixels(page) > 500);
  await close({ page, errors });
});

test("a point under the pointer tells its values, and can be followed", { skip }, async () => {
  const { page, errors } = await stage.open();
  const at = await placeOf(page, 17);
  await page.mouse.move(at.x, at.y);
  await page.waitForFunction(() => !document.getElementById("tip")!.hidden);
  assert.match(await page.textContent("#tip") ?? "", /^entity \d+ · 1\nposition\.x {2}-?[\d.]+\nposition\.y/);
  await page.fill("#slot", "17");
  await page.waitForFunction(() => document.querySelector("#entity tbody")!.textContent!.includes("slot · generation17 · 1"));
  assert.match(await page.textContent("#entity tbody") ?? "", /velocity\.z/);
  await close({ page, errors });
});

test("prediction moves points between states, and tells its error", { skip }, async () => {
  const { page, errors } = await stage.open();
  await page.selectOption("#rate", "2");
  await page.check("#predict");
  await page.waitForTimeout(2500);
  const frames = await page.evaluate(() => new Promise<number[]>(done => {
    const out: number[] = [], take = (): void => {
      out.push(hypostyle.connection.world.generation, hypostyle.scriptMs.length);
      if (out.length < 8) requestAnimationFrame(take);
      else done(out);
    };
    take();
  }));
  assert.ok(frames.length === 8);
  await page.waitForFunction(() => /^off by \d/.test(document.getElementById("predict-text")!.textContent!));
  await close({ page, errors });
});

test("a lost server is told and found again, on a small screen too", { skip }, async () => {
  const { page, errors } = await stage.open({ width: 420, height: 800, mobile: true });
  assert.equal(await page.locator("#banner").isVisible(), false);
  await page.evaluate(() => {
    // no way back for a while
    const Real = WebSocket;
    let blocked = 2;
    globalThis.WebSocket = class extends Real {
      constructor(url: string | URL, protocols?: string | string[]) {
        super(blocked-- > 0 ? "ws://127.0.0.1:9/" : url, protocols);
      }
    };
  });
  for (const socket of stage.server.sockets) socket.destroy();
  await page.waitForFunction(() => hypostyle.connection.state === "waiting");
  await page.locator("#banner").waitFor({ state: "visible" });
  assert.match(await page.textContent("#banner") ?? "", /^Not connected.*Try now/);
  await page.waitForFunction(() => hypostyle.connection.state === "live", undefined, { timeout: 20_000 });
  await page.locator("#banner").waitFor({ state: "hidden" });
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true, "nothing sticks out");
  await close({ page, errors });
});

test("a browser that refuses storage is no reason to end", { skip }, async () => {
  const context = await stage.browser.newContext({ viewport: { width: 1000, height: 640 }, colorScheme: "dark" }), page = await context.newPage(), errors: string[] = [];
  // a busy machine draws in software, slowly
  page.setDefaultTimeout(120_000);
  page.on("pageerror", error => errors.push(String(error)));
  await page.addInitScript(() => Object.defineProperty(window, "localStorage", { get: () => { throw new DOMException("Access is denied for this document.", "SecurityError"); } }));
  await page.goto(stage.server.url);
  await page.waitForFunction(() => globalThis.hypostyle?.connection.state === "live" && hypostyle.scriptMs.length > 3);
  assert.ok(await pixels(page) > 1500);
  await page.locator("#theme").click();
  assert.equal(await page.evaluate(() => document.documentElement.dataset["theme"]), "light");
  assert.equal(await page.locator("#banner").isVisible(), false);
  assert.deepEqual(errors, []);
  await context.close();
});

/** Takes away the question whether light colours are wanted. */
function noMedia(): void {
  const { matchMedia } = globalThis;
  globalThis.matchMedia = query => {
    if (query.includes("prefers-color-scheme")) throw new Error("no media here");
    return matchMedia(query);
  };
}

test("a page that cannot run says why, and goes on saying it", { skip }, async () => {
  const context = await stage.browser.newContext({ viewport: { width: 1000, height: 640 } }), page = await context.newPage();
  await page.addInitScript(() => (HTMLCanvasElement.prototype.getContext = () => null));
  await page.addInitScript(noMedia);
  await page.goto(stage.server.url);
  await page.waitForTimeout(700);
  assert.match(await page.textContent("#banner") ?? "", /^This page cannot run here(this browser has no WebGL 2|no media here)/);
  assert.equal(await page.locator("#banner").isVisible(), true);
  await context.close();
  // also where the connection was there already
  const other = await stage.browser.newContext({ viewport: { width: 1000, height: 640 } }), late = await other.newPage();
  await late.addInitScript(noMedia);
  await late.goto(stage.server.url);
  await late.waitForTimeout(700);
  assert.match(await late.textContent("#banner") ?? "", /^This page cannot run hereno media here/);
  assert.equal(await late.locator("#retry").isVisible() || await late.locator("#token-form").isVisible(), false);
  assert.equal(await late.locator("#banner").isVisible(), true);
  await other.close();
});

test("an end of the colour range is a number that was typed, or the data's own", { skip }, async () => {
  const { page, errors } = await stage.open();
  const label = (): Promise<string> => page.evaluate(() => document.getElementById("legend")!.getAttribute("aria-label") ?? "");
  const field = (id: string): Promise<{ value: string; placeholder: string; fault: string }> => page.evaluate(id => {
    const input = document.getElementById(id) as HTMLInputElement;
    return { value: input.value, placeholder: input.placeholder, fault: input.validationMessage };
  }, id);
  await page.waitForFunction(() => /^Colour scale: velocity\.x, -[\d.]+ to [\d.]+$/.test(document.getElementById("legend")!.getAttribute("aria-label") ?? ""));
  const auto = await label(), low = /, (.*) to/.exec(auto)![1]!;
  assert.notEqual(low, "0");
  await page.fill("#high", "500");
  await page.press("#high", "Enter");
  await page.waitForFunction(() => document.getElementById("legend")!.getAttribute("aria-label")!.endsWith(" to 500"));
  assert.match(await label(), /, -[\d.]+ to 500$/, "the empty low end is the data's, not 0");
  assert.deepEqual([(await field("low")).value, await page.isChecked("#auto")], ["", false]);
  assert.match((await field("low")).placeholder, /^-[\d.]+$/);
  for (const wrong of ["abc", "1,5", "600"]) {
    await page.fill("#low", wrong);
    await page.press("#low", "Enter");
    assert.notEqual((await field("low")).fault, "", wrong);
    assert.match(await label(), / to 500$/);
  }
  await page.fill("#low", "1.5");
  await page.press("#low", "Enter");
  await page.waitForFunction(() => document.getElementById("legend")!.getAttribute("aria-label") === "Colour scale: velocity.x, 1.50 to 500");
  for (const id of ["#low", "#high"]) {
    await page.fill(id, "");
    await page.press(id, "Enter");
  }
  assert.equal(await page.isChecked("#auto"), true);
  await page.waitForFunction(() => /, -[\d.]+ to [\d.]+$/.test(document.getElementById("legend")!.getAttribute("aria-label")!) && !document.getElementById("legend")!.getAttribute("aria-label")!.endsWith("500"));
  await close({ page, errors });
});

test("a paused page shows nothing under the name of what it does not hold", { skip }, async () => {
  const { page, errors } = await stage.open();
  await page.selectOption("#colour", "");
  // what is plotted is received
  await page.locator("#tab-plots").click();
  await page.locator("#plot-clear").click();
  const subscribed = await page.evaluate(() => hypostyle.connection.subscribed!.subscription);
  await page.locator("#components label", { hasText: "velocity" }).locator("input").uncheck();
  await page.waitForFunction(before => hypostyle.connection.subscribed!.subscription > before && hypostyle.connection.world.tables.length > 0
    && hypostyle.connection.world.tables.every(table => !table.has("velocity")), subscribed);
  await page.locator("#view").focus();
  await page.keyboard.press("p");
  await page.waitForFunction(() => hypostyle.connection.state === "paused");
  await page.selectOption("#colour", "velocity.y");
  assert.equal(await page.locator("#legend").getAttribute("aria-label"), "Colour scale: velocity.y, not received while paused");
  assert.deepEqual(await page.evaluate(() => ["low", "high"].map(id => (document.getElementById(id) as HTMLInputElement).placeholder)), ["", ""]);
  await page.selectOption("#axis-x", "velocity.x");
  await page.waitForFunction(() => document.getElementById("view")!.getAttribute("aria-label") === "The entities as points, by velocity.x (not received while paused), position.y, position.z");
  assert.equal(await pixels(page), 0, "no old points under a new name");
  // and once it goes on, everything comes
  await page.locator("#pause").click();
  await page.waitForFunction(() => /^Colour scale: velocity\.y, -[\d.]+ to [\d.]+$/.test(document.getElementById("legend")!.getAttribute("aria-label") ?? ""));
  await page.waitForFunction(() => document.getElementById("view")!.getAttribute("aria-label") === "The entities as points, by velocity.x, position.y, position.z");
  assert.ok(await pixels(page) > 500);
  await close({ page, errors });
});

test("a tab that nobody sees receives nothing until it is seen again", { skip }, async () => {
  const { page, errors } = await stage.open();
  const hide = (hidden: boolean): Promise<void> => page.evaluate(hidden => {
    Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  }, hidden);
  // a short look elsewhere changes nothing
  await hide(true);
  await hide(false);
  await page.waitForTimeout(2500);
  assert.equal(await page.evaluate(() => hypostyle.connection.state), "live");
  await hide(true);
  await page.waitForFunction(() => hypostyle.connection.state === "paused", undefined, { polling: 100 });
  const received = await page.evaluate(() => hypostyle.connection.stats.bytes);
  await page.waitForTimeout(500);
  assert.equal(await page.evaluate(() => hypostyle.connection.stats.bytes), received);
  await hide(false);
  await page.waitForFunction(() => hypostyle.connection.state === "live");
  // who paused it stays paused
  await page.locator("#pause").click();
  await hide(true);
  await page.waitForTimeout(2500);
  await hide(false);
  assert.equal(await page.evaluate(() => hypostyle.connection.state), "paused");
  await close({ page, errors });
});
