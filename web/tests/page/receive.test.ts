//! The page in Chromium: what is received of space, how exactly, how often, and what a server refuses.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Page } from "playwright-core";
import { Stage, close, pixels, skip } from "../support/stage.ts";
import type { Wishes } from "../support/standin.ts";

const stage = new Stage({ width: 1100, height: 900 });

/** What was asked for since `from` messages. */
function asked(from = 0): Wishes[] {
  return stage.server.messages.slice(from).filter(bytes => bytes[0] === 0x81).map(bytes => JSON.parse(bytes.subarray(8).toString()) as Wishes);
}

/** Waits until the line below the box tells of one, and reads it. */
async function counted(page: Page, until: RegExp = /^[\d,]+ inside, [\d,]+ outside$/): Promise<{ inside: number; outside: number }> {
  await page.waitForFunction(([source]) => new RegExp(source).test(document.getElementById("box-text")!.textContent!), [until.source] as const);
  const [inside = NaN, outside = NaN] = (await page.textContent("#box-text"))!.replaceAll(",", "").match(/\d+/g)!.map(Number);
  return { inside, outside };
}

async function end(page: Page, id: string, text: string): Promise<void> {
  await page.fill(`#${id}`, text);
  await page.press(`#${id}`, "Enter");
}

test("a box of numbers: who is outside is counted and not drawn, by no filter either", { skip }, async () => {
  const { page, errors } = await stage.open();
  const all = await pixels(page, "any", [0, 0, 0.45, 1]);
  assert.ok(all > 300, `${all} pixels at the left`);
  await page.selectOption("#space", "box");
  await page.waitForFunction(() => document.getElementById("box-text")!.textContent === "all is received: type an end of an axis");
  await end(page, "box-x-low", "50");
  const { inside, outside } = await counted(page);
  assert.deepEqual(asked().at(-1)!.box, { fields: ["position.x"], min: [50], max: [Number.MAX_VALUE] });
  assert.ok(inside > 1000 && outside > 1000 && inside + outside === 4000, `${inside} and ${outside}`);
  assert.match((await page.locator("#tables tbody tr").allTextContents()).join(), /[\d,]+, [\d,]+ outside/);
  // the camera is where it was: its left half is empty
  assert.equal(await pixels(page, "any", [0, 0, 0.45, 1]), 0);
  assert.ok(await pixels(page, "any", [0.55, 0, 0.45, 1]) > 300);
  await page.fill("#filter", "position.y > -1e9");
  await page.waitForFunction(() => /entities are shown$/.test(document.getElementById("filter-text")!.textContent!));
  assert.equal(await pixels(page, "any", [0, 0, 0.45, 1]), 0);
  await page.fill("#filter", "");
  // what cannot be is told, and the box before it stays
  await end(page, "box-x-high", "3");
  assert.match(await page.textContent("#box-fault") ?? "", /low end, 50, must not be above the high end, 3/);
  await end(page, "box-x-high", "");
  await page.waitForFunction(() => document.getElementById("box-fault")!.textContent === "" && location.hash.includes("space=box") && location.hash.includes("box=50,%3B"));
  const from = stage.server.messages.length;
  await page.reload();
  assert.ok((await counted(page)).outside > 1000);
  assert.ok(asked(from).length > 0 && asked(from).every(({ box }) => box?.min[0] === 50), "the first request has the box already");
  await page.selectOption("#space", "");
  await page.waitForFunction(() => hypostyle.connection.world.entities.count === 4000);
  assert.ok(await pixels(page, "any", [0, 0, 0.45, 1]) > 300);
  await close({ page, errors });
});

test("a box goes with the view, and shows everything where that is asked for", { skip }, async () => {
  const { page, errors } = await stage.open();
  await page.selectOption("#space", "view");
  await page.waitForFunction(() => hypostyle.connection.asked.box !== undefined && hypostyle.connection.world.tables.every(table => table.inBox));
  const wide = asked().at(-1)!.box!;
  assert.deepEqual(wide.fields, ["position.x", "position.y"]);
  // a view within the margin asks for nothing
  const from = stage.server.messages.length;
  await page.evaluate(() => hypostyle.camera.pan(40, 0));
  await page.waitForTimeout(1500);
  assert.deepEqual(asked(from), []);
  await page.evaluate(() => hypostyle.camera.zoom(0.15));
  await page.waitForFunction(width => {
    const box = hypostyle.connection.asked.box;
    return box && box.max[0]! - box.min[0]! < width / 4;
  }, wide.max[0]! - wide.min[0]!);
  const { outside } = await counted(page, /^[\d,]+ inside, [1-9][\d,]* outside$/);
  assert.ok(outside > 500, `${outside} outside`);
  const seen = await page.evaluate(() => {
    const { target: [x], scale, width } = hypostyle.camera, { min, max } = hypostyle.connection.asked.box!;
    return { low: (x - scale * width / 2 - min[0]!) / (scale * width), high: (max[0]! - x - scale * width / 2) / (scale * width) };
  });
  assert.ok(Math.abs(seen.low - 0.25) < 0.02 && Math.abs(seen.high - 0.25) < 0.02, `margins ${seen.low}, ${seen.high}`);
  // many moves, few boxes
  const before = asked().length, begun = Date.now();
  for (let i = 0; i < 20; i++) {
    await page.evaluate(() => hypostyle.camera.pan(500, 0));
    await page.waitForTimeout(100);
  }
  const boxes = asked().length - before, seconds = (Date.now() - begun) / 1000;
  assert.ok(boxes >= 1 && boxes <= seconds + 1, `${boxes} boxes in ${seconds} s`);
  // everything, also what is outside
  await page.locator("#fit").click();
  await page.waitForFunction(width => {
    const { camera: { scale, width: pixels }, connection: { asked: { box } } } = hypostyle;
    return box && scale * pixels > width / 2 && box.max[0]! - box.min[0]! > width * 0.8;
  }, wide.max[0]! - wide.min[0]!);
  // a view that turns has no box
  await page.locator("#mode").click();
  await page.waitForFunction(() => hypostyle.connection.asked.box === undefined && hypostyle.connection.world.tables.every(table => !table.inBox));
  await page.waitForFunction(() => document.getElementById("box-text")!.textContent === "all is received: the box goes with a single flat view");
  await close({ page, errors });
});

test("rounding is suggested, asked for, and told with what it comes to", { skip }, async () => {
  const { page, errors } = await stage.open();
  await page.locator("#rounding summary").click();
  await page.waitForFunction(() => Number(document.querySelector<HTMLInputElement>("#round input[name='position.x']")?.placeholder) > 0);
  const hint = Number(await page.getAttribute("#round input[name='position.x']", "placeholder"));
  const [low, high] = await page.evaluate(() => {
    const all = hypostyle.connection.world.column("position.x").toArray() as ArrayLike<number>;
    return [Math.min(...Array.from(all)), Math.max(...Array.from(all))] as const;
  });
  assert.ok(hint >= (high - low) / 2600 && hint <= (high - low) / 800, `${hint} for ${low} to ${high}`);
  await page.fill("#round input[name='position.x']", "0.5");
  await page.press("#round input[name='position.x']", "Enter");
  await page.waitForFunction(() => document.getElementById("round-text")!.textContent === "1 column");
  assert.deepEqual(asked().at(-1)!.quantise, { "position.x": 0.5 });
  await page.waitForFunction(() => Array.from(hypostyle.connection.world.column("position.x").toArray() as ArrayLike<number>).every(Number.isInteger));
  await page.waitForFunction(() => / updates a second; .*\/s before the last change$/.test(document.getElementById("stream-text")!.textContent!));
  await page.locator("#round-suggest").click();
  await page.waitForFunction(() => document.getElementById("round-text")!.textContent === "6 columns");
  assert.equal(asked().at(-1)!.quantise!["position.x"], 0.5, "what was typed stays");
  await page.waitForFunction(() => /round=position\.x%3A0\.5/.test(location.hash));
  const requests = asked().length;
  await page.fill("#round input[name='position.x']", "-1");
  await page.press("#round input[name='position.x']", "Enter");
  assert.match(await page.textContent("#round-fault") ?? "", /position\.x: "-1" is no error/);
  assert.equal(asked().length, requests);
  await page.locator("#round-none").click();
  await page.waitForFunction(() => document.getElementById("round-text")!.textContent === "none");
  assert.equal(asked().at(-1)!.quantise, undefined);
  await page.selectOption("#rate", "2");
  await page.waitForFunction(() => /rate=2/.test(location.hash) && Number(/in ([\d.]+) updates/.exec(document.getElementById("stream-text")!.textContent!)?.[1]) <= 4);
  assert.equal(asked().at(-1)!.rate_hz, 2);
  await close({ page, errors });
});

test("what the server refuses is told where it was chosen, and the rest goes on", { skip }, async () => {
  const refusals: Wishes[] = [];
  stage.particles.refuse = wishes => {
    const text = wishes.quantise?.["position.x"] ? "position.x is not to be rounded here" : wishes.box ? "the subscription names columns that this gateway does not show" : "";
    if (text !== "") refusals.push(wishes);
    return text;
  };
  // from an address, before there is anything
  const { page, errors } = await stage.open({}, "#space=box&box=10,;,;,&round=position.x:0.1;velocity.x:0.2");
  await page.waitForFunction(() => document.getElementById("round-fault")!.textContent === "position.x is not to be rounded here");
  await page.waitForFunction(() => document.getElementById("box-fault")!.textContent === "the subscription names columns that this gateway does not show");
  assert.equal(refusals.length, 2, "each is refused once");
  assert.equal(await page.evaluate(() => hypostyle.connection.state), "live");
  // another choice is asked for without what was refused
  await page.selectOption("#rate", "10");
  await page.waitForFunction(() => hypostyle.connection.subscribed?.rateHz === 10);
  assert.equal(refusals.length, 2);
  // what is mended is asked for
  await page.fill("#round input[name='position.x']", "");
  await page.press("#round input[name='position.x']", "Enter");
  await page.waitForFunction(() => document.getElementById("round-text")!.textContent === "1 column" && document.getElementById("round-fault")!.textContent === "");
  stage.particles.refuse = () => "";
  await end(page, "box-x-low", "20");
  await page.waitForFunction(() => hypostyle.connection.asked.box?.min[0] === 20 && document.getElementById("box-fault")!.textContent === "");
  await counted(page);
  // a box that is refused later: the one before stays
  stage.particles.refuse = wishes => wishes.box?.min[0] === 30 ? "the range of position.x is wrong" : "";
  await end(page, "box-x-low", "30");
  await page.waitForFunction(() => document.getElementById("box-fault")!.textContent === "the range of position.x is wrong");
  assert.equal(await page.evaluate(() => hypostyle.connection.asked.box?.min[0]), 20);
  stage.particles.refuse = () => "";
  await close({ page, errors });
});
