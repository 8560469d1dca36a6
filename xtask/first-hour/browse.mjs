// Opens pages in Chromium: what bundlers made, served as a server of files does, and the gateway's own as a picture.
//
//   node browse.mjs WEB CHROMIUM GATEWAY PICTURE PORT [FOLDER...]
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { extname, join, normalize } from "node:path";

const [web, chromiumPath, gateway, picture, port, ...folders] = process.argv.slice(2);
const { chromium } = createRequire(join(web, "package.json"))("playwright-core");
const TYPES = { ".js": "text/javascript", ".wasm": "application/wasm", ".html": "text/html" };
const ISOLATED = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };

const server = createServer((request, response) => {
  const path = normalize(new URL(request.url, "http://host").pathname), [, index, ...rest] = path.split("/");
  const file = folders[Number(index)] === undefined ? "nothing" : join(folders[Number(index)], ...rest);
  readFile(file).then(bytes => response.writeHead(200, { ...ISOLATED, "Content-Type": TYPES[extname(file)] ?? "application/octet-stream" }).end(bytes), () => response.writeHead(404).end());
});
await new Promise(done => server.listen(Number(port), "127.0.0.1", done));
const browser = await chromium.launch({ executablePath: chromiumPath, args: ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"] });
try {
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  page.setDefaultTimeout(120_000);
  await page.goto(`http://${gateway}/`);
  // its first frame is drawn when the rows are told
  await page.waitForFunction(() => /\d/.test(document.body.innerText) && document.querySelector("canvas")?.width > 0);
  await page.waitForTimeout(1500);
  await page.screenshot({ path: picture });
  for (const index of folders.keys()) {
    const page = await browser.newPage();
    page.setDefaultTimeout(120_000);
    const failed = [];
    page.on("pageerror", error => failed.push(String(error)));
    await page.goto(`http://127.0.0.1:${port}/${index}/index.html?gateway=${encodeURIComponent(`ws://${gateway}/live`)}`);
    await page.waitForFunction("globalThis.seen !== undefined").catch(error => { throw new Error(`${folders[index]}: ${failed.join("; ")}`, { cause: error }); });
    console.log(JSON.stringify(await page.evaluate("globalThis.seen")));
  }
} finally {
  await browser.close();
  server.close();
}
