//! axe-core looks at the page: dark and light, on a desk and on a phone, with all that can be opened open.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { test } from "node:test";
import type { AxeResults } from "axe-core";
import type { Page } from "playwright-core";
import { Stage, close, skip } from "../support/stage.ts";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const SIZES = { desk: { width: 1400, height: 900 }, phone: { width: 390, height: 844, mobile: true }, lying: { width: 844, height: 390, mobile: true } } as const;

const stage = new Stage({ rows: 1000, bonds: true });

/** What is wrong, one line for each element. */
async function faults(page: Page): Promise<string[]> {
  const found = await page.evaluate(async () => {
    const { axe } = globalThis as unknown as { axe: { run: (context: Document, options: object) => Promise<AxeResults> } };
    return (await axe.run(document, { resultTypes: ["violations"] })).violations;
  });
  return found.flatMap(({ id, help, nodes }) => nodes.map(node => `${id} (${help}): ${node.target.join(" ")}: ${node.failureSummary?.replaceAll("\n", " ") ?? ""}`));
}

/** Controls of the picture and around it that lie over one another. */
function overlaps(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const all = [...document.querySelectorAll<HTMLElement>(".tools > *, .corner > *, .corner span > *, .moments > *, .run button, [role=tab]")].filter(element => element.offsetWidth > 0 && element.id !== "presets");
    const boxes = all.map(element => ({ name: element.id || element.textContent, box: element.getBoundingClientRect() }));
    return boxes.flatMap(({ name, box }, i) => boxes.slice(i + 1).filter(({ box: other }) =>
      Math.min(box.right, other.right) - Math.max(box.left, other.left) > 1 && Math.min(box.bottom, other.bottom) - Math.max(box.top, other.top) > 1).map(other => `${name} and ${other.name}`));
  });
}

for (const theme of ["dark", "light"] as const) {
  for (const [name, size] of Object.entries(SIZES)) {
    test(`axe finds nothing: ${theme}, ${name}`, { skip }, async () => {
      const { page, errors } = await stage.open({ ...size, theme });
      // as a gateway that steers shows it
      await page.evaluate(() => {
        for (const id of ["run", "run-tools"]) document.getElementById(id)!.hidden = false;
        document.getElementById("run-text")!.textContent = "running, as fast as it goes";
      });
      await page.evaluate(AXE);
      const all = new Set(await faults(page));
      for (const tab of ["lanes", "stream", "plots"]) {
        await page.locator(`#tab-${tab}`).click();
        for (const fault of await faults(page)) all.add(fault);
      }
      await page.locator("#mode").click();
      await page.fill("#slot", "17");
      await page.selectOption("#colour", "=");
      await page.fill("#formula", "|velocity");
      await page.fill("#filter", "position.x > 0");
      await page.selectOption("#shape", "spheres");
      await page.selectOption("#arrows", "velocity");
      await page.selectOption("#links", "bond.to");
      await page.selectOption("#views", "4");
      await page.locator("#group-all").click();
      await page.waitForFunction(() => document.querySelectorAll("#group tbody tr").length === 6);
      for (const fault of await faults(page)) all.add(fault);
      assert.deepEqual(await overlaps(page), []);
      await page.evaluate(() => (document.getElementById("help") as HTMLDialogElement).showModal());
      for (const fault of await faults(page)) all.add(fault);
      assert.deepEqual([...all], []);
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true, "nothing sticks out");
      await close({ page, errors });
    });
  }
}
