//! The page in Chromium: entities that are chosen by a rectangle, with mouse and finger; their numbers, their files.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Page } from "playwright-core";
import { Stage, bytesOf, close, pixels, skip } from "../support/stage.ts";

const stage = new Stage({ rows: 2000, width: 1100, height: 900 });

/** A rectangle around the middle of the view, and who is in it: what the camera says, entity by entity. */
async function middle(page: Page): Promise<{ from: [number, number]; to: [number, number] }> {
  const box = (await page.locator("#view").boundingBox())!;
  return { from: [box.x + box.width * 0.4, box.y + box.height * 0.35], to: [box.x + box.width * 0.6, box.y + box.height * 0.6] };
}

function inside(page: Page, { from, to }: { from: [number, number]; to: [number, number] }): Promise<string[]> {
  return page.evaluate(({ from, to }) => {
    const { world, camera } = hypostyle, view = document.getElementById("view")!.getBoundingClientRect(), out: string[] = [];
    for (const table of world.tables) {
      const [x, y, z] = ["x", "y", "z"].map(axis => table.columns.get(`position.${axis}`)!.data) as [Float32Array, Float32Array, Float32Array];
      for (let row = 0; row < table.rows; row++) {
        const at = camera.project(x[row]!, y[row]!, z[row]!);
        if (at && at[0] + view.left >= from[0] && at[0] + view.left <= to[0] && at[1] + view.top >= from[1] && at[1] + view.top <= to[1]) out.push(String(table.handles.data[row]));
      }
    }
    return out;
  }, { from, to });
}

function chosen(page: Page): Promise<string[]> {
  return page.evaluate(() => hypostyle.group.of(hypostyle.world).flatMap(({ table, rows }) => [...rows].map(row => String(table.handles.data[row]))));
}

async function drag(page: Page, { from, to }: { from: [number, number]; to: [number, number] }): Promise<void> {
  await page.mouse.move(...from);
  await page.mouse.down();
  await page.mouse.move((from[0] + to[0]) / 2, to[1], { steps: 3 });
  assert.equal(await page.locator("#rect").isVisible(), true);
  await page.mouse.move(...to, { steps: 3 });
  await page.mouse.up();
  assert.equal(await page.locator("#rect").isVisible(), false);
}

test("a rectangle chooses who is in it, tells their numbers, and writes files", { skip }, async () => {
  const { page, errors } = await stage.open();
  // a state that stands still
  await page.locator("#pause").click();
  await page.waitForFunction(() => hypostyle.connection.state === "paused");
  const where = await middle(page), camera = (): Promise<number[]> => page.evaluate(() => [...hypostyle.camera.target, hypostyle.camera.scale]), before = await camera();
  assert.equal(await pixels(page, "mark"), 0);
  await page.keyboard.down("Control");
  await drag(page, where);
  await page.keyboard.up("Control");
  const wanted = await inside(page, where), got = await chosen(page);
  assert.ok(wanted.length > 50 && wanted.length < 1500, `${wanted.length} are in it`);
  assert.deepEqual(got, wanted);
  assert.deepEqual(await camera(), before, "the camera stays");
  await page.waitForFunction(text => document.getElementById("group-text")!.textContent === text, `${wanted.length} entities`);
  assert.ok(await pixels(page, "mark") > wanted.length, "they are marked");
  // sums as a plain loop makes them
  const rows = await page.locator("#group tbody tr").evaluateAll(rows => rows.map(row => (row as HTMLElement).title));
  const x = /^position\.x: ([\d,]+) values, sum ([-\d.e+]+), min ([-\d.]+), mean ([-\d.]+), max ([-\d.]+)$/.exec(rows.find(title => title.startsWith("position.x"))!)!.slice(1).map(text => Number(text.replaceAll(",", "")));
  const values = await page.evaluate(handles => handles.map(handle => Number(hypostyle.world.entities.get(BigInt(handle))!.get("position.x"))), wanted);
  const sum = values.reduce((sum, value) => sum + value, 0);
  assert.deepEqual([x[0], x[2], x[4]], [values.length, Math.min(...values), Math.max(...values)]);
  assert.ok(Math.abs(x[1]! - sum) < 1e-6 * sum && Math.abs(x[3]! - sum / values.length) < 1e-6 * sum);
  const [list] = await Promise.all([page.waitForEvent("download"), page.locator("#group-handles").click()]);
  assert.deepEqual((await bytesOf(list)).toString().trimEnd().split("\n"), wanted);
  const [table] = await Promise.all([page.waitForEvent("download"), page.locator("#group-csv").click()]), lines = (await bytesOf(table)).toString().trimEnd().split("\n");
  assert.match(table.suggestedFilename(), /^stand-in-\d+\.csv$/);
  assert.equal(lines[0], "handle,position.x,position.y,position.z,velocity.x,velocity.y,velocity.z,frozen,hot");
  assert.deepEqual(lines.slice(1).map(line => line.split(",")[0]), wanted);
  assert.deepEqual(lines.slice(1).map(line => Math.fround(Number(line.split(",")[1]))), values);
  // another one beside it, then nobody
  const further = { from: [where.from[0] - 150, where.from[1]] as [number, number], to: [where.from[0], where.to[1]] as [number, number] };
  await page.keyboard.down("Control");
  await page.keyboard.down("Shift");
  await drag(page, further);
  await page.keyboard.up("Shift");
  await page.keyboard.up("Control");
  assert.deepEqual(new Set(await chosen(page)), new Set([...wanted, ...await inside(page, further)]));
  await page.locator("#view").focus();
  await page.keyboard.press("Escape");
  assert.deepEqual(await chosen(page), []);
  assert.equal(await pixels(page, "mark"), 0);
  await close({ page, errors });
});

test("those who are filtered away are not chosen; the chosen stay so while they move", { skip }, async () => {
  const { page, errors } = await stage.open();
  await page.fill("#filter", "has(hot) and position.x > 50");
  await page.waitForFunction(() => /^\d+ of 2,000/.test(document.getElementById("filter-text")!.textContent!));
  await page.locator("#group-all").click();
  const first = await chosen(page), hot = await page.evaluate(() => hypostyle.world.tables[1]!.rows);
  assert.ok(first.length > 20 && first.length < hot, `${first.length} of ${hot}`);
  await page.fill("#filter", "");
  const version = await page.evaluate(() => hypostyle.world.version);
  await page.waitForFunction(before => hypostyle.world.version > before + 5, version);
  assert.deepEqual(await chosen(page), first);
  await close({ page, errors });
});

test("a finger draws the rectangle while Box is pressed", { skip }, async () => {
  const { page, errors } = await stage.open({ width: 390, height: 844, mobile: true });
  await page.locator("#pause").click();
  await page.waitForFunction(() => hypostyle.connection.state === "paused");
  await page.locator("#box").tap();
  assert.equal(await page.locator("#box").getAttribute("aria-pressed"), "true");
  const where = await middle(page), client = await page.context().newCDPSession(page);
  const touch = (type: "touchStart" | "touchMove" | "touchEnd", at?: [number, number]): Promise<unknown> => client.send("Input.dispatchTouchEvent", { type, touchPoints: at ? [{ x: at[0], y: at[1] }] : [] });
  await touch("touchStart", where.from);
  await touch("touchMove", [(where.from[0] + where.to[0]) / 2, where.to[1]]);
  await touch("touchMove", where.to);
  await touch("touchEnd");
  await page.waitForFunction(() => hypostyle.group.size > 0);
  assert.deepEqual(await chosen(page), await inside(page, where));
  await close({ page, errors });
});
