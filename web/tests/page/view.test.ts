//! The page in Chromium: who is selected, filtered and coloured, spheres, plots, the last minutes, the address, pictures.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Stage, bytesOf, close, live, pixels, placeOf, skip } from "../support/stage.ts";

const stage = new Stage({ width: 1100, height: 900 });

test("a click selects: a mark, a trail, and a camera that goes with it", { skip }, async () => {
  const { page, errors } = await stage.open();
  const at = await placeOf(page, 40);
  await page.mouse.click(at.x, at.y);
  await page.waitForFunction(() => hypostyle.selection.handle !== undefined && !document.getElementById("mark")!.hidden);
  await page.fill("#slot", "40");
  await page.waitForFunction(() => hypostyle.selection.handle === (40n | 1n << 32n));
  // the mark is where the entity is, in each picture anew
  for (let look = 0; look < 3; look++) {
    const off = await page.evaluate(() => new Promise<number>(done => requestAnimationFrame(() => setTimeout(() => {
      const { connection: { world }, camera } = hypostyle, place = world.entities.find(40)!, p = (axis: string): number => Number(place.table.columns.get(`position.${axis}`)!.data[place.row]);
      hypostyle.camera.changes++;
      requestAnimationFrame(() => {
        const [x, y] = camera.project(p("x"), p("y"), p("z"))!, view = document.getElementById("view")!.getBoundingClientRect(), mark = document.getElementById("mark")!.getBoundingClientRect();
        done(Math.hypot(mark.left + mark.width / 2 - view.left - x, mark.top + mark.height / 2 - view.top - y));
      });
    }))));
    assert.ok(off < 4, `the mark is ${off} pixels off`);
  }
  await page.waitForFunction(() => hypostyle.selection.trail.length > 5);
  const drawn = (): Promise<number> => page.evaluate(() => {
    const trace = document.getElementById("trace") as HTMLCanvasElement;
    return trace.getContext("2d")!.getImageData(0, 0, trace.width, trace.height).data.filter((_, i) => i % 4 === 3 && _ > 0).length;
  });
  assert.ok(await drawn() > 10, "there is a trail");
  await page.uncheck("#trail");
  await page.waitForFunction(() => hypostyle.scriptMs.length > 0);
  await page.waitForTimeout(300);
  assert.equal(await drawn(), 0);
  // followed, it stays in the middle while it moves
  await page.locator("#view").focus();
  await page.keyboard.press("f");
  const place = (): Promise<{ middle: number[]; at: number[] }> => page.evaluate(() => new Promise(done => {
    hypostyle.camera.changes++;
    requestAnimationFrame(() => {
      const { world } = hypostyle.connection, found = world.entities.find(40)!;
      done({ middle: [...hypostyle.camera.target].slice(0, 2), at: ["x", "y"].map(axis => Number(found.table.columns.get(`position.${axis}`)!.data[found.row])) });
    });
  }));
  const first = await place();
  await page.waitForTimeout(700);
  const later = await place();
  assert.ok(Math.hypot(later.at[0]! - first.at[0]!, later.at[1]! - first.at[1]!) > 0.1, "it moves");
  for (const { middle, at } of [first, later]) assert.ok(Math.hypot(middle[0]! - at[0]!, middle[1]! - at[1]!) < 1e-3, `${middle} is not ${at}`);
  await page.keyboard.press("Escape");
  await page.waitForFunction(() => hypostyle.selection.handle === undefined && document.getElementById("mark")!.hidden);
  await close({ page, errors });
});

test("a filter shows who fulfils it, and nobody else", { skip }, async () => {
  const { page, errors } = await stage.open();
  const all = await pixels(page, "any");
  await page.fill("#filter", "position.x > 50 and has(hot)");
  await page.waitForFunction(() => /^\d+ of 4,000 entities are shown$/.test(document.getElementById("filter-text")!.textContent!));
  const counted = Number((await page.textContent("#filter-text"))!.split(" ")[0]);
  assert.ok(counted > 250 && counted < 550, `${counted} of the 800 hot ones`);
  assert.ok(await pixels(page, "any") < all / 3);
  // who is not shown is not met either
  const met = await page.evaluate(() => new Promise<boolean>(done => requestAnimationFrame(() => {
    const { connection: { world }, camera } = hypostyle, table = world.tables[0]!, p = (axis: string, row: number): number => Number(table.columns.get(`position.${axis}`)!.data[row]);
    const box = document.getElementById("view")!.getBoundingClientRect(), [x, y] = camera.project(p("x", 5), p("y", 5), p("z", 5))!;
    document.getElementById("view")!.dispatchEvent(new PointerEvent("pointermove", { clientX: box.left + x, clientY: box.top + y, bubbles: true }));
    requestAnimationFrame(() => requestAnimationFrame(() => done(/entity 5 · 1/.test(document.getElementById("tip")!.hidden ? "" : document.getElementById("tip")!.textContent!))));
  })));
  assert.equal(met, false);
  // what cannot be is told, and the filter before it stays in force
  await page.fill("#filter", "positon.x > 50");
  assert.match(await page.textContent("#filter-fault") ?? "", /no component "positon"; there are position/);
  assert.match(await page.textContent("#filter-text") ?? "", new RegExp(`of 4,000`));
  await page.fill("#filter", "");
  await page.waitForFunction(() => document.getElementById("filter-text")!.textContent === "");
  assert.ok(await pixels(page, "any") > all * 0.8);
  await page.locator("#tables tbody tr").nth(0).locator("input").uncheck();
  await page.waitForTimeout(300);
  assert.ok(await pixels(page, "any") < all / 2, "one of two tables");
  await page.locator("#tables tbody tr").nth(0).locator("input").check();
  await close({ page, errors });
});

test("colours by formula, on a logarithmic scale, and what lies beyond its ends", { skip }, async () => {
  const { page, errors } = await stage.open();
  const label = (): Promise<string> => page.evaluate(() => document.getElementById("legend")!.getAttribute("aria-label") ?? "");
  await page.selectOption("#colour", "|velocity|");
  await page.waitForFunction(() => /^Colour scale: \|velocity\|, [\d.]+ to [\d.]+$/.test(document.getElementById("legend")!.getAttribute("aria-label")!));
  await page.selectOption("#mode-scale", "log");
  await page.waitForFunction(() => document.getElementById("legend")!.getAttribute("aria-label")!.endsWith(", logarithmic"));
  await page.fill("#low", "0");
  await page.press("#low", "Enter");
  assert.match(await page.evaluate(() => (document.getElementById("low") as HTMLInputElement).validationMessage), /no logarithm/);
  await page.fill("#low", "");
  await page.press("#low", "Enter");
  await page.selectOption("#mode-scale", "linear");
  await page.selectOption("#colour", "=");
  await page.fill("#formula", "|velocity|^2 / 2");
  await page.waitForFunction(() => /^Colour scale: \|velocity\|\^2 \/ 2, [\d.e+]+ to /.test(document.getElementById("legend")!.getAttribute("aria-label")!));
  // half of the range has no colour of its own
  const [, low, high] = /, ([\d.e+]+) to ([\d.e+]+)/.exec(await label())!.map(Number) as [number, number, number];
  await page.fill("#low", String(Math.round((low + high) / 2)));
  await page.press("#low", "Enter");
  await page.selectOption("#outside", "clamp");
  await page.waitForTimeout(300);
  const all = await pixels(page, "any"), none = await pixels(page, "grey");
  await page.selectOption("#outside", "grey");
  await page.waitForTimeout(300);
  assert.ok(await pixels(page, "grey") > none + all * 0.2, "what lies beyond is grey");
  await page.selectOption("#outside", "hide");
  await page.waitForTimeout(300);
  const left = await pixels(page, "any");
  assert.ok(left > 20 && left < all * 0.8, `${left} of ${all}`);
  await page.selectOption("#mode-scale", "kinds");
  await page.waitForFunction(() => document.getElementById("legend")!.getAttribute("aria-label")!.startsWith("Colours of |velocity|^2 / 2: kinds"));
  await close({ page, errors });
});

test("opacity by a formula lets the background through, blended where it is flat and pixel by pixel in orbit", { skip }, async () => {
  const { page, errors } = await stage.open();
  await page.selectOption("#shape", "spheres");
  for (const [orbit, most] of [[false, 0], [false, 1e9], [true, 1e9], [true, 0]] as const) {
    if (orbit && most > 0) await page.locator("#mode").click();
    const seen = await page.evaluate(async most => {
      hypostyle.points.spheresMax = most;
      const { connection: { world }, camera } = hypostyle;
      hypostyle.connection.pause();
      const table = world.tables[0]!, p = (axis: string): number => Number(table.columns.get(`position.${axis}`)!.data[7]), [x, y, z] = [p("x"), p("y"), p("z")];
      const type = (id: string, text: string): void => {
        const input = document.getElementById(id) as HTMLInputElement;
        input.value = text;
        input.dispatchEvent(new Event("input"));
      };
      type("filter", `|position.x - ${x}| < 1e-4 and |position.y - ${y}| < 1e-4`);
      type("radius", "6");
      camera.move(x - camera.target[0], y - camera.target[1], z - camera.target[2]);
      const cover = async (opacity: string): Promise<number> => {
        type("opacity", opacity);
        await new Promise(done => requestAnimationFrame(done));
        // a picture is there until the next one begins
        camera.changes++;
        await new Promise(done => requestAnimationFrame(done));
        const view = document.getElementById("view") as HTMLCanvasElement, copy = document.createElement("canvas");
        copy.width = view.width;
        copy.height = view.height;
        const g = copy.getContext("2d")!;
        g.drawImage(view, 0, 0);
        const { data } = g.getImageData(0, 0, copy.width, copy.height);
        let sum = 0;
        for (let i = 3; i < data.length; i += 4) sum += data[i]! / 255;
        return sum;
      };
      const whole = await cover("1");
      const parts = [];
      for (const text of ["0.25", "0.5 + 0 * position.x", "0", ""]) parts.push(await cover(text) / whole);
      type("filter", "");
      type("opacity", "");
      hypostyle.connection.resume();
      return { whole, parts };
    }, most);
    assert.ok(seen.whole > 1000, `${seen.whole} pixels`);
    for (const [i, wanted] of [0.25, 0.5, 0, 1].entries()) assert.ok(Math.abs(seen.parts[i]! - wanted) < 0.04, `${orbit}, ${most}: ${seen.parts} of the pixels`);
  }
  await page.fill("#opacity", "nothing.x");
  assert.match(await page.textContent("#opacity-fault") ?? "", /nothing/);
  await close({ page, errors });
});

test("what is far is fainter where that is asked for, in orbit alone", { skip }, async () => {
  const { page, errors } = await stage.open();
  await page.evaluate(() => hypostyle.connection.pause());
  await page.selectOption("#shape", "spheres");
  await page.fill("#radius", "2");
  /** How far the colours of what is drawn are from the background's, on the mean. */
  const contrast = (): Promise<number> => page.evaluate(async () => {
    await new Promise(done => requestAnimationFrame(done));
    hypostyle.camera.changes++;
    await new Promise(done => requestAnimationFrame(done));
    const view = document.getElementById("view") as HTMLCanvasElement, copy = document.createElement("canvas");
    copy.width = view.width;
    copy.height = view.height;
    const g = copy.getContext("2d")!;
    g.drawImage(view, 0, 0);
    const { data } = g.getImageData(0, 0, copy.width, copy.height), ground = /^#(..)(..)(..)/.exec(getComputedStyle(document.documentElement).getPropertyValue("--field"))!.slice(1).map(hex => parseInt(hex, 16));
    let sum = 0, count = 0;
    for (let i = 0; i < data.length; i += 4) {
      if (data[i + 3]! < 250) continue;
      sum += Math.hypot(...ground.map((value, k) => data[i + k]! - value));
      count++;
    }
    return sum / count;
  });
  for (const most of [0, 1e9]) {
    await page.evaluate(most => (hypostyle.points.spheresMax = most), most);
    const plain = await contrast();
    await page.check("#haze");
    assert.ok(Math.abs(await contrast() / plain - 1) < 0.01, "flat nothing is far");
    await page.locator("#mode").click();
    const faint = await contrast();
    await page.uncheck("#haze");
    const clear = await contrast();
    assert.ok(faint < 0.9 * clear && faint > 0.2 * clear, `${most}: ${faint} of ${clear}`);
    await page.locator("#mode").click();
  }
  await page.check("#haze");
  await page.waitForFunction(() => /haze=on/.test(location.hash), undefined, { timeout: 20_000 });
  await close({ page, errors });
});

test("spheres have the radius that is asked for, flat and in orbit", { skip }, async () => {
  const { page, errors } = await stage.open();
  await page.selectOption("#shape", "spheres");
  await page.fill("#filter", "position.x > 1e9");
  await page.waitForFunction(() => document.getElementById("filter-text")!.textContent === "0 of 4,000 entities are shown");
  await page.fill("#filter", "");
  for (const [orbit, most] of [[false, 0], [false, 1e9], [true, 1e9], [true, 0]] as const) {
    if (orbit && most > 0) await page.locator("#mode").click();
    // cast ray by ray, or, where there are more than these, discs
    await page.evaluate(most => (hypostyle.points.spheresMax = most), most);
    // one entity alone, with a radius of 6, against what the camera says
    const size = await page.evaluate(async () => {
      const { connection: { world }, camera } = hypostyle;
      hypostyle.connection.pause();
      const table = world.tables[0]!, p = (axis: string): number => Number(table.columns.get(`position.${axis}`)!.data[7]), [x, y, z] = [p("x"), p("y"), p("z")];
      const type = (id: string, text: string): void => {
        const input = document.getElementById(id) as HTMLInputElement;
        input.value = text;
        input.dispatchEvent(new Event("input"));
      };
      type("filter", `|position.x - ${x}| < 1e-4 and |position.y - ${y}| < 1e-4`);
      type("radius", "6");
      camera.move(x - camera.target[0], y - camera.target[1], z - camera.target[2]);
      await new Promise(done => requestAnimationFrame(done));
      camera.changes++;
      await new Promise(done => requestAnimationFrame(done));
      const view = document.getElementById("view") as HTMLCanvasElement, copy = document.createElement("canvas");
      copy.width = view.width;
      copy.height = view.height;
      const g = copy.getContext("2d")!;
      g.drawImage(view, 0, 0);
      const { data } = g.getImageData(0, 0, copy.width, copy.height);
      let left = Infinity, right = -1, sum = 0;
      for (let i = 3; i < data.length; i += 4) {
        if (data[i]! < 100) continue;
        const column = (i >> 2) % copy.width;
        left = Math.min(left, column);
        right = Math.max(right, column);
        sum++;
      }
      // the outline of a sphere in perspective is larger than its section
      const away = camera.distance, wanted = camera.pixels() * (camera.orbit ? 6 * away / Math.sqrt(away * away - 36) : 6);
      return { width: right - left + 1, sum, wanted };
    });
    assert.ok(Math.abs(size.width - 2 * size.wanted) <= 3, `${orbit}, ${most}: ${size.width} pixels across, not ${2 * size.wanted}`);
    assert.ok(Math.abs(size.sum / (Math.PI * size.wanted ** 2) - 1) < 0.05, `${orbit}, ${most}: ${size.sum} pixels are no disc of radius ${size.wanted}`);
    await page.fill("#filter", "");
    await page.evaluate(() => hypostyle.connection.resume());
    await live(page);
  }
  assert.deepEqual(await page.locator("#presets button").allTextContents(), ["Front", "Side", "Top", "Corner"]);
  await page.locator("#presets button", { hasText: "Top" }).click();
  assert.ok(await page.evaluate(() => hypostyle.camera.pitch > 1.5));
  await close({ page, errors });
});

test("the last minutes are stepped through, played, and left", { skip }, async () => {
  const { page, errors } = await stage.open();
  await page.waitForFunction(() => hypostyle.timebar.states.all.length > 12, undefined, { timeout: 60_000 });
  await page.locator("#view").focus();
  await page.keyboard.press("[");
  await page.keyboard.press("[");
  const shown = (): Promise<{ past: boolean; generation: number; x: number; kept: number }> => page.evaluate(() => ({
    past: hypostyle.timebar.state !== undefined, generation: hypostyle.world.generation, x: Number(hypostyle.world.tables[0]!.columns.get("position.x")!.data[3]), kept: hypostyle.timebar.states.all.length,
  }));
  const one = await shown();
  assert.ok(one.past);
  await page.waitForTimeout(500);
  const later = await shown();
  assert.deepEqual([later.generation, later.x], [one.generation, one.x], "the past does not move");
  assert.ok(later.kept > one.kept, "and what comes is kept meanwhile");
  assert.ok(await page.evaluate(() => hypostyle.connection.world.generation) > one.generation);
  assert.match(await page.textContent("#moment-text") ?? "", /^frame [\d,]+ · .* before the newest$/);
  await page.keyboard.press("]");
  assert.ok((await shown()).generation > one.generation);
  // dragged to the beginning, played from there
  await page.evaluate(() => {
    const range = document.getElementById("moment") as HTMLInputElement;
    range.value = "0";
    range.dispatchEvent(new Event("input"));
  });
  const first = await shown();
  assert.equal(first.generation, await page.evaluate(() => hypostyle.timebar.states.all[0]!.generation));
  await page.locator("#play").click();
  await page.waitForFunction(generation => hypostyle.timebar.state !== undefined && hypostyle.world.generation > generation + 3, first.generation);
  await page.locator("#now").click();
  await page.waitForFunction(() => hypostyle.timebar.state === undefined && hypostyle.world === hypostyle.connection.world);
  await page.uncheck("#keep");
  assert.equal(await page.textContent("#moment-text"), "nothing is kept yet");
  assert.equal(await page.evaluate(() => hypostyle.timebar.states.bytes), 0);
  await close({ page, errors });
});

test("resources and formulas are plotted over time", { skip }, async () => {
  const { page, errors } = await stage.open();
  assert.deepEqual(await page.evaluate(() => hypostyle.plots.texts), ["mean(|velocity|)"]);
  await page.fill("#plot-what", "max(position.y)");
  await page.press("#plot-what", "Enter");
  await page.fill("#plot-what", "count(has(hot))");
  await page.press("#plot-what", "Enter");
  await page.waitForFunction(() => document.querySelectorAll("#plot .u-series").length === 4);
  await page.fill("#plot-what", "gravy");
  await page.press("#plot-what", "Enter");
  assert.match(await page.textContent("#plot-fault") ?? "", /gravy is no resource; write/);
  await page.waitForTimeout(1500);
  const drawn = await page.evaluate(() => {
    const canvas = document.querySelector<HTMLCanvasElement>("#plot canvas")!;
    return canvas.getContext("2d")!.getImageData(0, 0, canvas.width, canvas.height).data.filter((_, i) => i % 4 === 3 && _ > 0).length;
  });
  assert.ok(drawn > 500, `${drawn} pixels of lines and axes`);
  assert.match(await page.getAttribute("#plot", "aria-label") ?? "", /mean\(\|velocity\|\), max\(position\.y\), count\(has\(hot\)\)$/);
  await close({ page, errors });
});

test("the address holds the view, and gives it back", { skip }, async () => {
  const { page, errors } = await stage.open();
  await page.selectOption("#colour", "|velocity|");
  await page.selectOption("#map", "plasma");
  await page.selectOption("#shape", "spheres");
  await page.fill("#radius", "0.25 + |velocity| / 100");
  await page.fill("#opacity", "0.9 - |velocity| / 500");
  await page.fill("#filter", "position.x > 40");
  await page.fill("#plot-what", "max(position.y)");
  await page.press("#plot-what", "Enter");
  await page.locator("#mode").click();
  await page.locator("#closer").click();
  await page.fill("#slot", "17");
  await page.fill("#high", "60");
  await page.press("#high", "Enter");
  await page.locator("#tables tbody tr").nth(1).locator("input").uncheck();
  await page.waitForFunction(() => /filter=.*hidden=.*camera=3d,.*high=60.*entity=17\.1.*plots=/.test(location.hash), undefined, { timeout: 20_000 });
  await page.waitForTimeout(1500);
  const hash = await page.evaluate(() => location.hash), before = await page.evaluate(() => ({ yaw: hypostyle.camera.yaw, distance: hypostyle.camera.distance, target: [...hypostyle.camera.target] }));
  await close({ page, errors });
  const again = await stage.open({}, hash);
  const value = (id: string): Promise<string> => again.page.locator(id).inputValue();
  await again.page.waitForFunction(() => hypostyle.selection.handle === (17n | 1n << 32n));
  assert.deepEqual([await value("#colour"), await value("#map"), await value("#shape"), await value("#radius"), await value("#opacity"), await value("#filter"), await value("#high")], ["|velocity|", "plasma", "spheres", "0.25 + |velocity| / 100", "0.9 - |velocity| / 500", "position.x > 40", "60"]);
  const after = await again.page.evaluate(() => ({ yaw: hypostyle.camera.yaw, distance: hypostyle.camera.distance, target: [...hypostyle.camera.target] }));
  assert.ok(Math.abs(after.distance / before.distance - 1) < 1e-4 && after.target.every((x, k) => Math.abs(x - before.target[k]!) < 1e-3), `${JSON.stringify(after)} is not ${JSON.stringify(before)}`);
  assert.equal(await again.page.locator("#tables tbody tr").nth(1).locator("input").isChecked(), false);
  assert.deepEqual(await again.page.evaluate(() => hypostyle.plots.texts), ["mean(|velocity|)", "max(position.y)"]);
  await close(again);
  // what this layout does not have, and what is nothing at all, is left out
  const odd = await stage.open({}, "#x=nothing.x&colour=alert(1)&filter=(((&camera=3d,a&map=none&rate=-4&hidden=;;&entity=x&plots=;foo&size=1e9&low=y");
  assert.equal(await odd.page.locator("#axis-x").inputValue(), "position.x");
  assert.ok(await pixels(odd.page, "any") > 500);
  // an address that somebody types is taken at once, and a lone % is only a character
  await odd.page.evaluate(() => (location.hash = "#filter=position.x+>+40&plots=50%"));
  await odd.page.waitForFunction(() => (document.getElementById("filter") as HTMLInputElement).value === "position.x > 40");
  await close(odd);
});

test("a picture is a PNG of what is seen", { skip }, async () => {
  const { page, errors } = await stage.open();
  const [download] = await Promise.all([page.waitForEvent("download"), page.locator("#shot").click()]);
  assert.match(download.suggestedFilename(), /^[\w.-]+-\d+\.png$/);
  const bytes = await bytesOf(download);
  assert.equal(bytes.subarray(1, 4).toString(), "PNG");
  const box = (await page.locator("#view").boundingBox())!;
  assert.deepEqual([bytes.readUInt32BE(16), bytes.readUInt32BE(20)], [Math.round(box.width), Math.round(box.height) + 24]);
  // not an empty one
  const seen = await page.evaluate(async data => {
    const image = new Image();
    image.src = `data:image/png;base64,${data}`;
    await image.decode();
    const canvas = document.createElement("canvas");
    canvas.width = image.width;
    canvas.height = image.height;
    const g = canvas.getContext("2d")!;
    g.drawImage(image, 0, 0);
    const colours = new Set<number>(), { data: all } = g.getImageData(0, 0, image.width, image.height);
    for (let i = 0; i < all.length; i += 4) colours.add(all[i]! << 16 | all[i + 1]! << 8 | all[i + 2]!);
    return colours.size;
  }, bytes.toString("base64"));
  assert.ok(seen > 100, `${seen} colours`);
  await close({ page, errors });
});

test("keys mean something only in the picture; ? tells which", { skip }, async () => {
  const { page, errors } = await stage.open();
  await page.locator("#pause").focus();
  for (const key of ["p", "o", "t", "?", "s", "n"]) await page.keyboard.press(key);
  await page.waitForTimeout(200);
  assert.deepEqual(await page.evaluate(() => [hypostyle.connection.state, hypostyle.camera.orbit, document.documentElement.dataset["theme"], (document.getElementById("help") as HTMLDialogElement).open]), ["live", false, "dark", false]);
  await page.locator("#view").focus();
  await page.keyboard.press("?");
  assert.equal(await page.locator("#help").isVisible(), true);
  assert.match(await page.textContent("#help") ?? "", /follow the selected entity/);
  await page.keyboard.press("Escape");
  assert.equal(await page.locator("#help").isVisible(), false);
  await close({ page, errors });
});

for (const [width, height] of [[390, 844], [844, 390]] as const) {
  test(`on a phone of ${width} x ${height} the picture comes first, and a tap selects`, { skip }, async () => {
    const { page, errors } = await stage.open({ width, height, mobile: true });
    const box = (await page.locator("#view").boundingBox())!;
    assert.ok(box.height > height * 0.6 && box.width === width, `the picture has ${box.width} x ${box.height}`);
    assert.ok((await page.locator("#moment").boundingBox())!.y < height, "the last minutes are in reach");
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true, "nothing sticks out");
    const at = await page.evaluate(() => {
      const { connection: { world }, camera } = hypostyle, table = world.tables[0]!, p = (axis: string): number => Number(table.columns.get(`position.${axis}`)!.data[9]);
      const [x, y] = camera.project(p("x"), p("y"), p("z"))!, view = document.getElementById("view")!.getBoundingClientRect();
      return { x: view.left + x, y: view.top + y };
    });
    await page.touchscreen.tap(at.x, at.y);
    await page.waitForFunction(() => hypostyle.selection.handle !== undefined);
    await close({ page, errors });
  });
}

test("names of axes stay inside the picture, on a phone too", { skip }, async () => {
  const { page, errors } = await stage.open({ width: 390, height: 844, mobile: true });
  const drawn = await page.evaluate(async () => {
    const texts: { text: string; left: number; right: number; top: number; bottom: number }[] = [], own = CanvasRenderingContext2D.prototype.fillText;
    CanvasRenderingContext2D.prototype.fillText = function (text, x, y, ...more) {
      if (this.canvas.id === "scale") {
        const size = this.measureText(text);
        texts.push({ text, left: x - size.actualBoundingBoxLeft, right: x + size.actualBoundingBoxRight, top: y - size.actualBoundingBoxAscent, bottom: y + size.actualBoundingBoxDescent });
      }
      own.call(this, text, x, y, ...more);
    };
    document.getElementById("mode")!.click();
    const { camera } = hypostyle;
    const frame = (): Promise<void> => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done())));
    for (let i = 0; i < 12; i++) {
      camera.turn(40, i % 2 ? 12 : -12);
      await frame();
    }
    return { texts, width: camera.width, height: camera.height };
  });
  for (const name of ["position.x", "position.y", "position.z"]) assert.ok(drawn.texts.some(one => one.text === name), `${name} is named`);
  const outside = drawn.texts.filter(one => one.left < 0 || one.right > drawn.width || one.top < 0 || one.bottom > drawn.height);
  assert.deepEqual(outside, []);
  await close({ page, errors });
});
