//! Chromium without a screen.

import { existsSync } from "node:fs";
import { chromium, type Browser, type Page } from "playwright-core";

/** Where a Chromium may be: `HYPOSTYLE_CHROMIUM`, or Debian's. */
export const CHROMIUM = [process.env["HYPOSTYLE_CHROMIUM"], "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(path => path && existsSync(path));

export function launch(further: readonly string[] = []): Promise<Browser> {
  if (!CHROMIUM) throw new Error("there is no Chromium: set HYPOSTYLE_CHROMIUM to its path");
  return chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist", ...further] });
}

/** A page whose errors fail the test that looks at them. */
export async function open(browser: Browser, url: string, options: { width?: number; height?: number; theme?: "dark" | "light"; mobile?: boolean } = {}): Promise<{ page: Page; errors: string[] }> {
  const context = await browser.newContext({
    viewport: { width: options.width ?? 1360, height: options.height ?? 820 }, colorScheme: options.theme ?? "dark", ...(options.mobile ? { hasTouch: true, isMobile: true } : {}),
  });
  // a busy machine draws in software, slowly
  context.setDefaultTimeout(120_000);
  const page = await context.newPage(), errors: string[] = [];
  page.on("pageerror", error => errors.push(String(error)));
  page.on("console", entry => {
    if (entry.type() === "error" && !/Failed to load resource|WebSocket connection/.test(entry.text())) errors.push(entry.text());
  });
  await page.goto(url);
  return { page, errors };
}
