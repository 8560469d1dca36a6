// Builds the engine for WebAssembly into dist/engine/: two modules, and what starts them; and dist/demo/, a page that
// runs it.
//
//   node build-engine.mjs          both modules; the shared one takes a nightly toolchain with rust-src
//   node build-engine.mjs --plain  only the one for a single thread
//   node build-engine.mjs --crate DIR --out OUT   modules of a crate with scenes of its own (examples/web-template),
//                                                 and what starts them, into OUT

import { build } from "esbuild";
import { execFileSync } from "node:child_process";
import { copyFile, mkdir } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const { values: args } = parseArgs({ options: { plain: { type: "boolean" }, crate: { type: "string" }, out: { type: "string" } } });
if ((args.crate === undefined) !== (args.out === undefined)) throw new Error("name both: --crate DIR --out OUT");
const here = fileURLToPath(new URL(".", import.meta.url));
const own = args.crate !== undefined, folder = own ? resolve(args.crate) : join(here, "engine"), out = own ? resolve(args.out) : "dist/engine";
process.chdir(here);
const TARGET = "wasm32-unknown-unknown";
const target = join(process.env.CARGO_TARGET_DIR ?? join(here, "..", "target"), "web-engine");

// 128-bit vectors, as every browser of the last years has them; nothing here changes a result.
const VECTORS = "+simd128";
const EXPORTS = ["__stack_pointer"];
// The memory is the page's to make: its sizes are those of src/engine/index.ts.
const SHARED = {
  features: ["+atomics", "+bulk-memory", "+mutable-globals"],
  exports: ["__wasm_init_tls", "__tls_size", "__tls_align", "__tls_base"],
  link: ["--shared-memory", "--import-memory", `--initial-memory=${256 << 16}`, `--max-memory=${16_384 * 65_536}`],
};

function flags(features, exported, link) {
  const all = [`-Ctarget-feature=${features.join()}`, ...link.map(word => `-Clink-arg=${word}`), ...exported.map(name => `-Clink-arg=--export=${name}`)];
  return all.join("\x1f");
}

function cargo(toolchain, words, name, rustflags) {
  const directory = join(target, name), env = { ...process.env, CARGO_ENCODED_RUSTFLAGS: rustflags };
  // what a cargo that runs this says about its own build
  for (const variable of Object.keys(env)) if (/^CARGO_(PKG|MANIFEST)_|^CARGO$|^RUSTFLAGS$/.test(variable)) delete env[variable];
  const [program, first] = toolchain === undefined ? ["cargo", []] : ["rustup", ["run", toolchain, "cargo"]];
  const build = [...first, "build", ...(own ? [] : ["--locked"]), "--release", "--lib", "--quiet", "--message-format=json-render-diagnostics", ...words, "--target", TARGET, "--target-dir", directory];
  const told = execFileSync(program, build, { cwd: folder, env, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"], maxBuffer: 1 << 28 });
  const files = told.split("\n").filter(line => line.includes('"compiler-artifact"')).flatMap(line => JSON.parse(line).filenames);
  const module = files.findLast(file => file.endsWith(".wasm") && basename(join(file, "..")) === "release");
  if (module === undefined) throw new Error(`${folder} makes no module: it takes crate-type = ["cdylib"]`);
  return module;
}

await mkdir(out, { recursive: true });
await copyFile(cargo(undefined, [], "plain", flags(["+bulk-memory", VECTORS], EXPORTS, [])), join(out, "engine.wasm"));
if (!args.plain) {
  const rustflags = flags([...SHARED.features, VECTORS], [...SHARED.exports, ...EXPORTS], SHARED.link);
  await copyFile(cargo("nightly", ["-Zbuild-std=std,panic_abort"], "shared", rustflags), join(out, "engine-shared.wasm"));
}
const common = { bundle: true, format: "esm", target: "es2022", logLevel: "warning", charset: "utf8", external: ["node:*"], sourcemap: true };
await build({ ...common, entryPoints: ["src/engine/index.ts", "src/engine/thread.ts"], outdir: out });
if (!own) {
  await build({ ...common, entryPoints: ["src/demo/main.ts"], outdir: "dist/demo" });
  await copyFile("src/demo/index.html", "dist/demo/index.html");
  execFileSync("node_modules/.bin/tsc", ["--project", "tsconfig.engine.json"], { stdio: "inherit" });
}
