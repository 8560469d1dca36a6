// Builds the engine for WebAssembly into dist/engine/: two modules, and what starts them; and dist/demo/, a page that
// runs it.
//
//   node build-engine.mjs          both modules; the shared one takes a nightly toolchain with rust-src
//   node build-engine.mjs --plain  only the one for a single thread

import { build } from "esbuild";
import { execFileSync } from "node:child_process";
import { copyFile, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
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
  execFileSync(program, [...first, "build", "--locked", "--release", "--quiet", ...words, "--target", TARGET, "--target-dir", directory], { cwd: "engine", env, stdio: "inherit" });
  return join(directory, TARGET, "release", "hypostyle_web_engine.wasm");
}

await mkdir("dist/engine", { recursive: true });
await copyFile(cargo(undefined, [], "plain", flags(["+bulk-memory", VECTORS], EXPORTS, [])), "dist/engine/engine.wasm");
if (!process.argv.includes("--plain")) {
  const rustflags = flags([...SHARED.features, VECTORS], [...SHARED.exports, ...EXPORTS], SHARED.link);
  await copyFile(cargo("nightly", ["-Zbuild-std=std,panic_abort"], "shared", rustflags), "dist/engine/engine-shared.wasm");
}
const common = { bundle: true, format: "esm", target: "es2022", logLevel: "warning", charset: "utf8", external: ["node:*"], sourcemap: true };
await build({ ...common, entryPoints: ["src/engine/index.ts", "src/engine/thread.ts"], outdir: "dist/engine" });
await build({ ...common, entryPoints: ["src/demo/main.ts"], outdir: "dist/demo" });
await copyFile("src/demo/index.html", "dist/demo/index.html");
execFileSync("node_modules/.bin/tsc", ["--project", "tsconfig.engine.json"], { stdio: "inherit" });
