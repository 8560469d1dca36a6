//! A real run that is steered from the page in Chromium, from the command line beside it, and from node.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { connect } from "../../src/view/connect.ts";
import { SteeringError } from "../../src/view/errors.ts";
import { CHROMIUM, launch, open } from "../support/browser.ts";
import { engine, noProgram, PROGRAM } from "../support/engine.ts";

const WORLD = ["--entities", "300", "--frames", "3000", "--workers", "local", "--print-hash"];
const STATE = /^state ([0-9a-f]{16})$/m;

test("a run is steered by buttons, keys and others, and ends in the same bytes", { skip: noProgram || (CHROMIUM ? false : "there is no Chromium"), timeout: 240_000 }, async () => {
  const alone = STATE.exec(execFileSync(PROGRAM!, ["run", "particles", ...WORLD], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }))![1];
  const real = await engine("steered", [...WORLD, "--steer", "--pace", "20"], ["--steer"]), browser = await launch();
  const byAnother = (...words: string[]): void => void execFileSync(PROGRAM!, ["steer", real.region, ...words], { stdio: "ignore" });
  try {
    const { page, errors } = await open(browser, `http://127.0.0.1:${real.port}/`);
    const told = async (text: RegExp): Promise<string> => {
      await page.waitForFunction(text => new RegExp(text).test(document.getElementById("run-text")!.textContent!), text.source);
      return await page.textContent("#run-text") ?? "";
    };
    const stands = async (frame: number): Promise<void> => {
      await page.waitForFunction(frame => hypostyle.run.state?.frame === frame && hypostyle.connection.world.frame === frame, frame);
    };
    await told(/^running, at most 20\.0 frames\/s$/);
    assert.equal(await page.evaluate(() => hypostyle.connection.hello!.steer), true);
    await page.click("#run-pause");
    await told(/^paused at frame [\d,]+$/);
    assert.equal(await page.textContent("#run-pause"), "Resume run");
    await page.waitForFunction(() => document.getElementById("state-text")!.textContent === "run paused");
    // the frame in which it was paused may still come
    await page.waitForTimeout(700);
    const frame = await page.evaluate(() => hypostyle.run.state!.frame);
    await page.fill("#run-frames", "5");
    await page.click("#run-step");
    await stands(frame + 5);
    // keys mean something where the picture has the focus, and nowhere else
    await page.locator("#axis-x").focus();
    await page.keyboard.press("r");
    await page.keyboard.press(".");
    await page.locator("#view").focus();
    await page.keyboard.press(".");
    await stands(frame + 10);
    await page.keyboard.press("<");
    await page.waitForFunction(() => hypostyle.run.state!.pace === 10);
    await page.keyboard.press(">");
    await page.waitForFunction(() => hypostyle.run.state!.pace === 20);
    await page.fill("#run-pace", "0");
    await page.keyboard.press("Enter");
    assert.match(await page.evaluate(() => (document.getElementById("run-pace") as HTMLInputElement).validationMessage), /from 0\.001 to 1e9/);
    await page.fill("#run-pace", "12.5");
    await page.keyboard.press("Enter");
    await page.waitForFunction(() => hypostyle.run.state!.pace === 12.5);
    await page.fill("#run-frames", "1.5");
    await page.click("#run-step");
    assert.match(await page.evaluate(() => (document.getElementById("run-frames") as HTMLInputElement).validationMessage), /whole number/);
    await page.locator("#view").focus();
    await page.keyboard.press("m");
    await page.waitForFunction(() => hypostyle.run.state!.pace === undefined && (document.getElementById("run-pace") as HTMLInputElement).value === "");
    await stands(frame + 10);
    // others steer, too
    byAnother("pace", "7");
    await page.waitForFunction(() => (document.getElementById("run-pace") as HTMLInputElement).value === "7");
    byAnother("resume");
    await told(/^running, at most 7\.00 frames\/s$/);
    byAnother("pause");
    await told(/^paused at frame/);
    await page.keyboard.press("m");
    await page.keyboard.press("r");
    assert.equal(await real.run.ended, 0);
    await page.waitForFunction(() => document.getElementById("run")!.hidden);
    assert.equal(STATE.exec(real.run.output())?.[1], alone);
    assert.deepEqual(errors, []);
  } finally {
    await browser.close();
    await real.close();
  }
});

test("a page that may not steer shows how the run is steered, and offers nothing", { skip: noProgram || (CHROMIUM ? false : "there is no Chromium"), timeout: 120_000 }, async () => {
  const real = await engine("shown", [...WORLD, "--steer", "--pace", "20"]), browser = await launch();
  try {
    const { page, errors } = await open(browser, `http://127.0.0.1:${real.port}/`);
    await page.waitForFunction(() => document.getElementById("run-text")!.textContent === "the run is running, at most 20.0 frames/s");
    assert.equal(await page.locator("#run-tools").isVisible(), false);
    await page.locator("#view").focus();
    await page.keyboard.press("r");
    execFileSync(PROGRAM!, ["steer", real.region, "pace", "5"], { stdio: "ignore" });
    await page.waitForFunction(() => document.getElementById("run-text")!.textContent === "the run is running, at most 5.00 frames/s");
    assert.deepEqual(errors, []);
  } finally {
    await browser.close();
    await real.close();
  }
});

test("a client in node steers, and is told why it cannot", { skip: noProgram, timeout: 120_000 }, async () => {
  const refusal = async (status: number, text: RegExp, asked: Promise<unknown>): Promise<void> => {
    await assert.rejects(asked, error => error instanceof SteeringError && error.status === status && text.test(error.message));
  };
  for (const [name, run, gateway, steerable] of [["node", ["--steer", "--pace", "20"], ["--steer"], true], ["nobody", ["--pace", "20"], ["--steer"], false], ["reader", ["--steer", "--pace", "20"], [], true]] as const) {
    const real = await engine(`steer-${name}`, [...WORLD, ...run], [...gateway]), connection = connect(`ws://127.0.0.1:${real.port}/live`);
    try {
      await connection.ready();
      assert.equal(connection.hello!.steer, gateway.length > 0);
      assert.equal((await connection.steering()).steerable, steerable);
      if (name === "nobody") await refusal(409, /run --steer/, connection.steer({ action: "pause" }));
      if (name === "reader") await refusal(403, /--steer/, connection.steer({ action: "pause" }));
      if (name !== "node") continue;
      assert.equal((await connection.steer({ action: "pause" })).paused, true);
      assert.equal((await connection.steer({ action: "pace", pace: 40 })).pace, 40);
      assert.equal((await connection.steer({ action: "pace", pace: null })).pace, undefined);
      await refusal(400, /`frames` is 0/, connection.steer({ action: "step", frames: 0 }));
      assert.deepEqual((({ paused, allowed, writerAlive }) => ({ paused, allowed, writerAlive }))(await connection.steering()), { paused: true, allowed: true, writerAlive: true });
    } finally {
      connection.close();
      await real.close();
    }
  }
});
