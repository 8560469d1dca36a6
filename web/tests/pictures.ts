//! Takes the pictures of the documentation, from a gateway that runs: `node build/tests/pictures.js URL FOLDER`.

import { writeFile } from "node:fs/promises";
import type { Page } from "playwright-core";
import { launch, open } from "./support/browser.ts";

const [url = "http://127.0.0.1:8080/", folder = "."] = process.argv.slice(2);

/** A picture of the page as WebP, which Chromium itself writes. */
async function shoot(page: Page, name: string): Promise<void> {
  const shot = await page.screenshot({ timeout: 120_000 }), png = shot.toString("base64");
  if (process.env["PNG"]) await writeFile(`${folder}/${name}.png`, shot);
  const blank = await page.context().newPage();
  const webp = await blank.evaluate(async data => {
    const image = new Image();
    image.src = `data:image/png;base64,${data}`;
    await image.decode();
    const canvas = document.createElement("canvas");
    canvas.width = image.width;
    canvas.height = image.height;
    canvas.getContext("2d")!.drawImage(image, 0, 0);
    return canvas.toDataURL("image/webp", 0.76);
  }, png);
  await blank.close();
  const bytes = Buffer.from(webp.split(",")[1]!, "base64");
  await writeFile(`${folder}/${name}.webp`, bytes);
  console.log(`${name}.webp: ${bytes.length} bytes`);
}

const browser = await launch();
for (const theme of ["dark", "light"] as const) {
  const { page } = await open(browser, url, { theme });
  page.setDefaultTimeout(120_000);
  await page.waitForFunction(() => hypostyle.connection.state === "live" && hypostyle.scriptMs.length > 3);
  await page.selectOption("#rate", "10");
  await page.selectOption("#colour", theme === "dark" ? "velocity.y" : "position.y");
  await page.locator(theme === "dark" ? "#tab-lanes" : "#tab-plots").click();
  if (theme === "light") {
    await page.locator("#mode").click();
    await page.selectOption("#map", "plasma");
  }
  await page.waitForTimeout(15_000);
  const box = (await page.locator("#view").boundingBox())!;
  await page.mouse.move(box.x + box.width * 0.47, box.y + box.height * 0.5);
  await page.waitForTimeout(4000);
  await shoot(page, `page-${theme}`);
  await page.context().close();
}
await browser.close();
