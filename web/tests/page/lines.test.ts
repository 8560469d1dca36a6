//! The page in Chromium: arrows of vectors, lines between entities, several views, videos.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Stage, bytesOf, close, live, pixels, skip } from "../support/stage.ts";

const stage = new Stage({ rows: 400, bonds: true, width: 1100, height: 900 });

test("arrows begin at their points and are as long as their vectors say", { skip }, async () => {
  const { page, errors } = await stage.open();
  await page.locator("#pause").click();
  await page.waitForFunction(() => hypostyle.connection.state === "paused");
  const without = await pixels(page);
  assert.deepEqual(await page.locator("#arrows option").allTextContents(), ["none", "position", "velocity"]);
  await page.selectOption("#arrows", "velocity");
  await page.waitForFunction(() => /^× [\d.]+$/.test(document.getElementById("stretch-text")!.textContent!) && document.getElementById("stretch-text")!.textContent !== "× 1.00");
  const length = Number((await page.textContent("#stretch-text"))!.slice(2)), all = await pixels(page);
  assert.ok(all > without * 1.5, `${all} pixels with arrows, ${without} without`);
  for (const orbit of [false, true]) {
    if (orbit) await page.locator("#mode").click();
    // one alone, of a known place and vector, against what the camera says
    const seen = await page.evaluate(async orbit => {
      const { world, camera } = hypostyle, table = world.tables[0]!, row = 11;
      const of = (name: string): number => Number(table.columns.get(name)!.data[row]), [x, y, z] = ["position.x", "position.y", "position.z"].map(of) as [number, number, number];
      const filter = document.getElementById("filter") as HTMLInputElement;
      filter.value = `|position.x - ${x}| < 1e-4 and |position.y - ${y}| < 1e-4`;
      filter.dispatchEvent(new Event("input"));
      camera.move(x - camera.target[0], y - camera.target[1], z - camera.target[2]);
      if (orbit) camera.distance = 80;
      else camera.scale = 0.05;
      camera.changes++;
      await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
      camera.changes++;
      await new Promise(done => requestAnimationFrame(done));
      const view = document.getElementById("view") as HTMLCanvasElement, copy = document.createElement("canvas"), size = Number(document.getElementById("stretch-text")!.textContent!.slice(2));
      copy.width = view.width;
      copy.height = view.height;
      const g = copy.getContext("2d")!;
      g.drawImage(view, 0, 0);
      const { data } = g.getImageData(0, 0, copy.width, copy.height), from = camera.project(x, y, z)!;
      const [vx, vy, vz] = ["velocity.x", "velocity.y", "velocity.z"].map(of) as [number, number, number], to = camera.project(x + vx * size, y + vy * size, z + vz * size)!;
      let far = 0, place: [number, number] = from;
      for (let i = 3; i < data.length; i += 4) {
        if (data[i]! < 100) continue;
        const px = (i >> 2) % copy.width + 0.5, py = Math.floor((i >> 2) / copy.width) + 0.5, away = Math.hypot(px - from[0], py - from[1]);
        if (away > far) [far, place] = [away, [px, py]];
      }
      return { off: Math.hypot(place[0] - to[0], place[1] - to[1]), wanted: Math.hypot(to[0] - from[0], to[1] - from[1]) };
    }, orbit);
    assert.ok(seen.wanted > 8, `${orbit}: ${seen.wanted} pixels are too short to be told from a point`);
    // the length that is shown has three digits
    assert.ok(seen.off < 2.5 + seen.wanted * 0.01, `${orbit}: the tip is ${seen.off} pixels off, of ${seen.wanted}`);
    await page.fill("#filter", "");
  }
  await page.locator("#fit").click();
  await page.evaluate(() => {
    const range = document.getElementById("stretch") as HTMLInputElement;
    range.value = "1";
    range.dispatchEvent(new Event("input"));
  });
  assert.ok(Math.abs(Number((await page.textContent("#stretch-text"))!.slice(2)) / length / 10 - 1) < 0.02);
  await page.waitForFunction(() => /arrows=velocity.*stretch=1/.test(location.hash));
  await close({ page, errors });
});

test("lines lead to the entities that a field names", { skip }, async () => {
  const { page, errors } = await stage.open();
  assert.deepEqual(await page.locator("#links option").allTextContents(), ["none", "bond.to"]);
  const without = await pixels(page);
  await page.selectOption("#links", "bond.to");
  // each of the second table names one of the first
  await page.waitForFunction(() => document.getElementById("lines-text")!.textContent === "80 lines");
  const drawn = await pixels(page);
  assert.ok(drawn > without + 80 * 20, `${drawn} pixels with lines, ${without} without`);
  // a line ends where one of its ends is not shown
  await page.fill("#filter", "has(hot)");
  await page.waitForFunction(() => document.getElementById("lines-text")!.textContent === "0 lines");
  await page.fill("#filter", "");
  await page.waitForFunction(() => document.getElementById("lines-text")!.textContent === "80 lines");
  // they lead from place to place: one alone
  const seen = await page.evaluate(async () => {
    const { world, camera } = hypostyle;
    hypostyle.connection.pause();
    const filter = document.getElementById("filter") as HTMLInputElement, [first, second] = world.tables as [typeof world.tables[0], typeof world.tables[0]], at = (table: typeof first, row: number): [number, number, number] =>
      ["x", "y", "z"].map(axis => Number(table!.columns.get(`position.${axis}`)!.data[row])) as [number, number, number];
    const from = at(second, 5), to = at(first, Number(BigInt(second!.columns.get("bond.to")!.data[5]!) & 0xffff_ffffn));
    filter.value = [from, to].map(([x, y]) => `|position.x - ${x}| < 1e-4 and |position.y - ${y}| < 1e-4`).join(" or ");
    filter.dispatchEvent(new Event("input"));
    await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
    camera.changes++;
    await new Promise(done => requestAnimationFrame(done));
    const view = document.getElementById("view") as HTMLCanvasElement, copy = document.createElement("canvas");
    copy.width = view.width;
    copy.height = view.height;
    const g = copy.getContext("2d")!;
    g.drawImage(view, 0, 0);
    const a = camera.project(...from)!, b = camera.project(...to)!, ways = [0.2, 0.4, 0.5, 0.6, 0.8];
    // a pixel beside, as lines may be rounded either way
    const covered = ways.filter(t => g.getImageData(Math.floor(a[0] + (b[0] - a[0]) * t) - 1, Math.floor(a[1] + (b[1] - a[1]) * t) - 1, 3, 3).data.some((value, i) => i % 4 === 3 && value > 60));
    return { covered: covered.length, of: ways.length, length: Math.hypot(a[0] - b[0], a[1] - b[1]) };
  });
  assert.deepEqual([seen.covered, seen.length > 10], [seen.of, true]);
  await close({ page, errors });
});

test("four views of one world, each with its own camera, are kept in the address", { skip }, async () => {
  const { page, errors } = await stage.open();
  await page.selectOption("#views", "4");
  await page.waitForFunction(() => hypostyle.views.count === 4 && hypostyle.camera.orbit);
  const corners = [[0, 0], [0.5, 0], [0, 0.5], [0.5, 0.5]] as const;
  for (const [x, y] of corners) assert.ok(await pixels(page, "any", [x, y, 0.5, 0.5]) > 300, `something is drawn at ${x}, ${y}`);
  // each looks along its axis: the same entity stands where the view's own axes say
  assert.deepEqual(await page.evaluate(() => hypostyle.views.all.map(({ order, camera }) => [order.join(""), camera.orbit])), [["021", false], ["210", false], ["012", false], ["012", true]]);
  // all is in sight, along each view's own axes: the world is 100 wide and deep, 50 high
  const middles = await page.evaluate(() => hypostyle.views.all.map(({ camera }) => [...camera.target].slice(0, 2)));
  for (const [i, wanted] of [[50, 50], [50, 25], [50, 25], [50, 25]].entries()) assert.ok(middles[i]!.every((at, k) => Math.abs(at - wanted[k]!) < 8), `view ${i} looks at ${middles[i]}`);
  // a drag moves the camera under it alone
  const box = (await page.locator("#view").boundingBox())!, targets = (): Promise<string[]> => page.evaluate(() => hypostyle.views.all.map(({ camera }) => [...camera.target].join()));
  const before = await targets();
  await page.mouse.move(box.x + box.width * 0.75, box.y + box.height * 0.25);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.7, box.y + box.height * 0.3, { steps: 3 });
  await page.mouse.up();
  const after = await targets();
  assert.deepEqual(after.map((target, i) => target === before[i]), [true, false, true, true]);
  // who is met is met in that view; a rectangle in it chooses by it
  const at = await page.evaluate(() => {
    const { world, views } = hypostyle, view = views.all[1]!, data = (axis: string): number => Number(world.tables[0]!.columns.get(`position.${axis}`)!.data[3]);
    hypostyle.connection.pause();
    const [x, y] = view.camera.project(data("z"), data("y"), data("x"))!;
    return { x: view.left + x, y: view.top + y };
  });
  await page.mouse.move(box.x + at.x, box.y + at.y);
  await page.waitForFunction(() => /^entity \d+ · 1/.test(document.getElementById("tip")!.textContent!) && !document.getElementById("tip")!.hidden);
  await page.keyboard.down("Alt");
  await page.mouse.move(box.x + at.x - 5, box.y + at.y - 5);
  await page.mouse.down();
  await page.mouse.move(box.x + at.x + 5, box.y + at.y + 5, { steps: 4 });
  await page.mouse.up();
  await page.keyboard.up("Alt");
  assert.ok(await page.evaluate(() => hypostyle.group.of(hypostyle.world).some(({ table, rows }) => table === hypostyle.world.tables[0] && rows.includes(3))));
  await page.waitForFunction(() => /views=4&cameras=2d,[^;]+;2d,[^;]+;2d,/.test(decodeURIComponent(location.hash)));
  await page.waitForTimeout(1000);
  const hash = await page.evaluate(() => location.hash);
  await close({ page, errors });
  const again = await stage.open({}, hash);
  await again.page.waitForFunction(() => hypostyle.views.count === 4);
  const restored = await again.page.evaluate(() => hypostyle.views.all.map(({ camera }) => [...camera.target].join()));
  assert.ok(restored.every((target, i) => target.split(",").every((value, k) => Math.abs(Number(value) - Number(after[i]!.split(",")[k])) < 1e-3)), `${restored.join(" ")} are not ${after.join(" ")}`);
  // and back
  await again.page.locator("#view").focus();
  await again.page.keyboard.press("w");
  assert.equal(await again.page.evaluate(() => hypostyle.views.count), 1);
  await again.page.selectOption("#views", "2");
  assert.ok(await pixels(again.page, "any", [0, 0, 0.5, 1]) > 300 && await pixels(again.page, "any", [0.5, 0, 0.5, 1]) > 300);
  await close(again);
});

test("a video is a WebM file that plays", { skip }, async () => {
  const { page, errors } = await stage.open();
  await page.locator("#video").click();
  assert.equal(await page.locator("#video").getAttribute("aria-pressed"), "true");
  await page.waitForFunction(() => document.getElementById("video")!.textContent === "■ 0:02");
  const [file] = await Promise.all([page.waitForEvent("download"), page.locator("#video").click()]), bytes = await bytesOf(file);
  assert.match(file.suggestedFilename(), /^stand-in-\d+\.webm$/);
  assert.equal(bytes.readUInt32BE(0), 0x1a45dfa3, "EBML");
  const seen = await page.evaluate(async data => {
    const video = document.createElement("video");
    video.muted = true;
    video.src = `data:video/webm;base64,${data}`;
    await new Promise((done, failed) => {
      video.ontimeupdate = () => video.currentTime > 0.5 && done(undefined);
      video.onended = done;
      video.onerror = () => failed(new Error(video.error?.message));
      void video.play();
    });
    const canvas = document.createElement("canvas");
    canvas.width = video.videoWidth;
    canvas.height = video.videoHeight;
    const g = canvas.getContext("2d")!;
    g.drawImage(video, 0, 0);
    const { data: all } = g.getImageData(0, 0, canvas.width, canvas.height), ground = [all[0]!, all[1]!, all[2]!];
    let other = 0;
    for (let i = 0; i < all.length; i += 4) if (Math.abs(all[i]! - ground[0]!) + Math.abs(all[i + 1]! - ground[1]!) + Math.abs(all[i + 2]! - ground[2]!) > 60) other++;
    const view = document.getElementById("view") as HTMLCanvasElement;
    return { width: canvas.width, height: canvas.height, wanted: [view.width & ~1, view.height & ~1], other };
  }, bytes.toString("base64"));
  assert.deepEqual([seen.width, seen.height], seen.wanted);
  assert.ok(seen.other > 500, `${seen.other} pixels are not ground`);
  assert.equal(await page.textContent("#video"), "Video");
  await close({ page, errors });
});

test("where there is no recorder, frames are PNG files in an archive", { skip }, async () => {
  const { page, errors } = await stage.open();
  await page.evaluate(() => Reflect.deleteProperty(globalThis, "MediaRecorder"));
  await page.locator("#video").click();
  await page.waitForFunction(() => document.getElementById("video")!.textContent === "■ 0:01");
  const [file] = await Promise.all([page.waitForEvent("download"), page.locator("#video").click()]), bytes = await bytesOf(file);
  assert.match(file.suggestedFilename(), /\.tar$/);
  let frames = 0;
  for (let at = 0; bytes[at] !== 0;) {
    const name = bytes.subarray(at, at + 100).toString("latin1").replace(/\0.*$/s, ""), size = parseInt(bytes.subarray(at + 124, at + 135).toString("latin1"), 8);
    assert.equal(name, `frame-${String(++frames).padStart(4, "0")}.png`);
    assert.equal(bytes.subarray(at + 513, at + 516).toString("latin1"), "PNG");
    at += 512 + Math.ceil(size / 512) * 512;
  }
  assert.ok(frames >= 2, `${frames} frames`);
  await live(page);
  await close({ page, errors });
});
