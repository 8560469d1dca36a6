//! The engine in Chromium: with workers on isolated pages, in-process on others, and the native program's states on all.

import assert from "node:assert/strict";
import { createServer, type Server } from "node:http";
import { readFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { Browser } from "playwright-core";
import { CHROMIUM, launch, open } from "../support/browser.ts";
import { BUILT, load, native } from "../support/native.ts";
import { KERNELS, KERNELS_FILE, world } from "../support/own-world.ts";

const skip = CHROMIUM ? false : "there is no Chromium";
const ISOLATED = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };
const TYPES: Record<string, string> = { ".js": "text/javascript", ".wasm": "application/wasm", ".html": "text/html" };
const PAGE = `<!doctype html><title>engine</title><link rel="icon" href="data:,"><script type="module">import { Engine } from "/engine/index.js"; window.Engine = Engine;</script>`;

let browser: Browser;
const servers: Server[] = [];

/** A server of the package and a page that loads it, with these headers. */
async function serve(headers: Record<string, string>): Promise<string> {
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? "/", "http://host").pathname, name = /^\/((?:engine|demo)\/[a-z-]+\.(?:js|wasm|html))$/.exec(path)?.[1];
    const content = path === "/" ? Promise.resolve(PAGE) : path === "/kernels.js" ? readFile(KERNELS_FILE) : name ? readFile(join(BUILT, "..", name)) : Promise.reject(new Error(path));
    content.then(bytes => {
      response.writeHead(200, { ...headers, "Content-Type": TYPES[/\.[a-z]+$/.exec(path === "/" ? ".html" : path)![0]]! }).end(bytes);
    }, () => response.writeHead(404).end());
  });
  servers.push(server);
  await new Promise<void>(done => server.listen(0, "127.0.0.1", done));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

before(async () => { if (CHROMIUM) browser = await launch(); });
after(async () => {
  await browser?.close();
  for (const server of servers) server.close();
});

interface Seen {
  isolated: boolean;
  mode: string;
  why: string;
  workers: number;
  hash: string;
  alive: number[];
  shared: boolean;
  pinned: boolean;
  moved: boolean;
}

/** Runs a scene in a page and says what was to be seen. */
async function run(url: string, options: Record<string, unknown>, frames: number, also: RegExp | undefined = undefined): Promise<Seen> {
  const { page, errors } = await open(browser, url);
  await page.waitForFunction("window.Engine !== undefined");
  const seen = await page.evaluate(`(async () => {
    const engine = await Engine.start(${JSON.stringify(options)});
    await engine.step(${frames - 20});
    const snapshot = await engine.pin(), values = () => snapshot.column("position.y").map(part => part.array.slice());
    const before = values(), equal = (a, b) => a.length === b.length && a.every((part, i) => part.length === b[i].length && part.every((value, k) => value === b[i][k]));
    await engine.step(20);
    const later = await engine.pin();
    const seen = {
      isolated: crossOriginIsolated, mode: engine.mode, why: engine.why, workers: engine.workers, hash: await engine.hash(),
      alive: (await engine.status()).workers.map(worker => worker.alive),
      shared: typeof SharedArrayBuffer !== "undefined" && snapshot.column("position.y")[0].array.buffer instanceof SharedArrayBuffer,
      pinned: equal(values(), before), moved: !equal(later.column("position.y").map(part => part.array.slice()), before),
    };
    await engine.stop();
    return seen;
  })()`) as Seen;
  assert.deepEqual(errors.filter(error => !also?.test(error)), []);
  await page.context().close();
  return seen;
}

const OPTIONS = { scene: "particles", entities: 20_000, seed: 11 };
const FRAMES = 80;

test("on an isolated page workers do the work, on columns that the page sees in place", { skip }, async () => {
  const url = await serve(ISOLATED), hash = native("particles", 20_000, FRAMES, 11);
  for (const workers of [0, 1, 2, 3]) {
    const seen = await run(url, { ...OPTIONS, workers }, FRAMES);
    assert.deepEqual(seen, {
      isolated: true, mode: "workers", why: "memory can be shared with workers here", workers, hash, alive: Array<number>(workers).fill(1), shared: true, pinned: true, moved: true,
    });
  }
});

test("on a page that is not isolated it runs in-process, to the same state, and says why", { skip }, async () => {
  const seen = await run(await serve({}), OPTIONS, FRAMES), hash = native("particles", 20_000, FRAMES, 11);
  assert.match(seen.why, /not cross-origin isolated.*Cross-Origin-Opener-Policy/);
  assert.deepEqual(seen, { isolated: false, mode: "in-process", why: seen.why, workers: 0, hash, alive: [], shared: false, pinned: true, moved: true });
});

test("where workers are forbidden it runs in-process, to the same state, and says why", { skip }, async () => {
  const url = await serve({ ...ISOLATED, "Content-Security-Policy": "worker-src 'none'" });
  const seen = await run(url, OPTIONS, FRAMES, /Content Security Policy/), hash = native("particles", 20_000, FRAMES, 11);
  assert.match(seen.why, /a worker cannot be started/);
  assert.deepEqual(seen, { isolated: true, mode: "in-process", why: seen.why, workers: 0, hash, alive: [], shared: false, pinned: true, moved: true });
});

test("systems in JavaScript reach the bytes that they reach in node, with workers and in-process", { skip }, async () => {
  const here = await (await load()).Engine.start({ scene: world(KERNELS), mode: "in-process" });
  await here.step(FRAMES);
  const hash = await here.hash();
  await here.stop();
  // typed arrays by name, as the page makes them again
  const described = JSON.stringify(world("kernels.js"), (_, value: unknown) => ArrayBuffer.isView(value) ? { array: value.constructor.name, values: [...value as Float32Array] } : value);
  for (const [headers, workers, expected] of [[ISOLATED, 0, "workers"], [ISOLATED, 1, "workers"], [ISOLATED, 3, "workers"], [{}, 1, "in-process"]] as const) {
    const { page, errors } = await open(browser, await serve(headers));
    await page.waitForFunction("window.Engine !== undefined");
    const seen = await page.evaluate(`(async () => {
      const scene = JSON.parse(${JSON.stringify(described)}, (_, value) => value?.array ? globalThis[value.array].from(value.values) : value);
      // on a busy machine threads may come too late for any of so few frames
      for (let tries = 20; ; tries--) {
        const engine = await Engine.start({ scene, workers: ${workers} });
        while ((await engine.status()).workers.some(worker => worker.alive === 0)) await new Promise(done => setTimeout(done, 2));
        await engine.step(${FRAMES});
        const { jobsOnWorkers } = await engine.status(), seen = [engine.mode, await engine.hash(), jobsOnWorkers > 0];
        await engine.stop();
        if (seen[2] || engine.workers === 0 || tries === 1) return seen;
      }
    })()`);
    assert.deepEqual(seen, [expected, hash, expected === "workers" && workers > 0]);
    assert.deepEqual(errors, []);
    await page.context().close();
  }
});

test("the demo says which mode it runs in, and draws what the engine holds", { skip }, async () => {
  for (const [headers, mode, why] of [[ISOLATED, /^workers: .* own and 1 beside it/, /memory can be shared/], [{}, /^in-process: /, /not cross-origin isolated/]] as const) {
    const { page, errors } = await open(browser, `${await serve(headers)}demo/index.html?entities=3000&workers=1`, { width: 800, height: 700 });
    await page.waitForFunction("Number(document.getElementById('frame').textContent) > 10");
    assert.match(await page.textContent("#mode") ?? "", mode);
    assert.match(await page.textContent("#why") ?? "", why);
    const painted = await page.evaluate(() => {
      const canvas = document.getElementById("view") as HTMLCanvasElement, { data } = canvas.getContext("2d")!.getImageData(0, 0, canvas.width, canvas.height);
      return data.filter((value, index) => index % 4 === 3 && value > 0).length;
    });
    assert.ok(painted > 2000, `${painted} pixels`);
    assert.deepEqual(errors, []);
    if (process.env["PICTURE"]) await page.screenshot({ path: `${process.env["PICTURE"]}-${mode.source.slice(1, 4)}.png` });
    await page.context().close();
  }
});
