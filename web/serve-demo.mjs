// Serves the demo: `npm run demo`, after `npm run build:engine`.
//
//   node serve-demo.mjs [--port N] [--open]   --open: without the headers that isolate the page

import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

const TYPES = { html: "text/html; charset=utf-8", js: "text/javascript; charset=utf-8", wasm: "application/wasm" };
const ISOLATED = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };
const port = process.argv.includes("--port") ? Number(process.argv[process.argv.indexOf("--port") + 1]) : 8787;
const headers = process.argv.includes("--open") ? {} : ISOLATED;

createServer((request, response) => {
  const { pathname, search } = new URL(request.url ?? "/", "http://host");
  const found = /^\/(demo|engine)\/([a-z-]+\.(html|js|wasm))$/.exec(pathname === "/demo/" ? "/demo/index.html" : pathname);
  if (pathname === "/") return void response.writeHead(302, { Location: `/demo/${search}` }).end();
  if (!found) return void response.writeHead(404).end();
  readFile(fileURLToPath(new URL(`dist/${found[1]}/${found[2]}`, import.meta.url))).then(
    bytes => response.writeHead(200, { ...headers, "Content-Type": TYPES[found[3]] }).end(bytes),
    () => response.writeHead(404).end("run `npm run build:engine` first"),
  );
}).listen(port, "127.0.0.1", () => console.log(`http://127.0.0.1:${port}/`));
