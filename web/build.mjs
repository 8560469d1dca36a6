// Builds: the package (dist/), the page (page/page.js), the points of a notebook (in the Python package), the tests
// (build/tests/). `build-engine.mjs` builds dist/engine/.
//
//   node build.mjs                the package, the page and the points
//   node build.mjs --tests        the tests
//   node build.mjs --check-page   fails where what is checked in of them is not what the sources make

import { build } from "esbuild";
import { execFileSync } from "node:child_process";
import { readFile, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
process.chdir(here);
const common = { bundle: true, format: "esm", target: "es2022", logLevel: "warning", charset: "utf8" };
const page = { ...common, entryPoints: ["src/page/main.ts"], minify: true, legalComments: "none", loader: { ".css": "text" }, banner: { js: "/*! With uPlot 1.6.32, Copyright (c) 2025 Leon Sorokin, MIT licensed */" } };

// what is checked in, and from what it is made
const CHECKED_IN = {
  "page/page.js": page,
  "../python/source/hypostyle/points.js": { ...page, entryPoints: ["src/widget/index.ts"], banner: {} },
};

async function made(options) {
  const result = await build({ ...options, write: false });
  return `${result.outputFiles[0].text.trimEnd()}\n`;
}

if (process.argv.includes("--tests")) {
  await rm("build/tests", { recursive: true, force: true });
  const entryPoints = (await readdir("tests", { recursive: true })).filter(name => name.endsWith(".test.ts") || name.endsWith("measure.ts") || ["pictures.ts", join("fuzz", "main.ts"), join("fuzz", "record.ts")].includes(name)).map(name => join("tests", name));
  await build({ ...common, entryPoints, outdir: "build/tests", outbase: "tests", platform: "node", sourcemap: "inline", packages: "external" });
} else if (process.argv.includes("--check-page")) {
  for (const [file, options] of Object.entries(CHECKED_IN)) {
    if (await made(options) !== await readFile(file, "utf8").catch(() => "")) {
      console.error(`${file} is not what src/ makes: run \`npm run build\` in web/ and check it in`);
      process.exit(1);
    }
    console.log(`${file} is up to date`);
  }
} else {
  const { writeFile } = await import("node:fs/promises");
  for (const [file, options] of Object.entries(CHECKED_IN)) await writeFile(file, await made(options));
  for (const name of await readdir("dist").catch(() => [])) if (name !== "engine" && name !== "demo") await rm(join("dist", name), { recursive: true });
  // both share their code: a connection of one is the other's
  await build({ ...common, entryPoints: ["src/view/index.ts", "src/view/react.ts"], outdir: "dist", splitting: true, external: ["react"], sourcemap: true });
  execFileSync("node_modules/.bin/tsc", ["--project", "tsconfig.dist.json"], { stdio: "inherit" });
}
