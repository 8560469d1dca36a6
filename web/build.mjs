// Builds: the package (dist/), the page (page/page.js), the tests (build/tests/). `build-engine.mjs` builds dist/engine/.
//
//   node build.mjs                the package and the page
//   node build.mjs --tests        the tests
//   node build.mjs --check-page   fails where page/page.js is not what the sources make

import { build } from "esbuild";
import { execFileSync } from "node:child_process";
import { readFile, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
process.chdir(here);
const common = { bundle: true, format: "esm", target: "es2022", logLevel: "warning", charset: "utf8" };
const page = { ...common, entryPoints: ["src/page/main.ts"], minify: true, legalComments: "none", loader: { ".css": "text" }, banner: { js: "/*! With uPlot 1.6.32, Copyright (c) 2025 Leon Sorokin, MIT licensed */" } };

async function made() {
  const result = await build({ ...page, write: false });
  return `${result.outputFiles[0].text.trimEnd()}\n`;
}

if (process.argv.includes("--tests")) {
  await rm("build/tests", { recursive: true, force: true });
  const entryPoints = (await readdir("tests", { recursive: true })).filter(name => name.endsWith(".test.ts") || name.endsWith("measure.ts") || ["pictures.ts", join("fuzz", "main.ts"), join("fuzz", "record.ts")].includes(name)).map(name => join("tests", name));
  await build({ ...common, entryPoints, outdir: "build/tests", outbase: "tests", platform: "node", sourcemap: "inline", packages: "external" });
} else if (process.argv.includes("--check-page")) {
  if (await made() !== await readFile("page/page.js", "utf8")) {
    console.error("page/page.js is not what src/ makes: run `npm run build` in web/ and check it in");
    process.exit(1);
  }
  console.log("page/page.js is up to date");
} else {
  const { writeFile } = await import("node:fs/promises");
  await writeFile("page/page.js", await made());
  for (const name of await readdir("dist").catch(() => [])) if (name !== "engine" && name !== "demo") await rm(join("dist", name), { recursive: true });
  await build({ ...common, entryPoints: ["src/view/index.ts"], outfile: "dist/index.js", sourcemap: true });
  execFileSync("node_modules/.bin/tsc", ["--project", "tsconfig.dist.json"], { stdio: "inherit" });
}
