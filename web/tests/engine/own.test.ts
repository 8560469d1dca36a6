//! A crate with a scene of its own: the template, copied as its readme says, built, and run in node.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { copyFileSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import type { Engines } from "../support/native.ts";

const ENTITIES = 3_000, FRAMES = 90;

/** Heights after the frames, in `f32` as the kernel has them. */
function expected(): number[] {
  const f = Math.fround, dt = f(1 / 60), heights = [];
  for (let n = 0; n < ENTITIES; n++) {
    let z = f(1 + f((n % 100) / 10)), v = 0;
    for (let frame = 0; frame < FRAMES; frame++) {
      v = f(v - f(f(9.81) * dt));
      z = f(z + f(v * dt));
      if (z < 0) [z, v] = [-z, -v];
    }
    heights.push(z);
  }
  return heights;
}

test("a scene of one's own runs alone and with workers, to the bytes that its system says", { timeout: 900_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), "hypostyle-own-"));
  try {
    const repository = resolve("..");
    cpSync(join(repository, "examples/web-template"), folder, { recursive: true });
    const manifest = readFileSync(join(folder, "Cargo.toml"), "utf8"), corrected = manifest.replaceAll('path = "../..', `path = "${repository}`);
    assert.equal(corrected.split(repository).length, 3, "both paths lead to the repository");
    writeFileSync(join(folder, "Cargo.toml"), corrected);
    // the versions that are built already
    copyFileSync("engine/Cargo.lock", join(folder, "Cargo.lock"));
    execFileSync("node", ["build-engine.mjs", "--crate", folder, "--out", join(folder, "engine")], { stdio: "inherit" });
    const { Engine } = await import(pathToFileURL(join(folder, "engine/index.js")).href) as Engines, hashes = new Set<string>();
    for (const options of [{ mode: "in-process" }, { workers: 0 }, { workers: 2 }] as const) {
      const engine = await Engine.start({ scene: "drops", entities: ENTITIES, ...options });
      assert.equal(engine.scene.about, "drops that fall into the water and come back");
      await engine.step(FRAMES);
      const snapshot = await engine.pin(), heights = snapshot.column("height.z").flatMap(({ array }) => [...array as Float32Array]);
      assert.deepEqual(heights, expected());
      hashes.add(await engine.hash());
      await engine.stop();
    }
    assert.equal(hashes.size, 1);
    await assert.rejects(Engine.start({ scene: "particles", mode: "in-process" }), /no scene `particles`; there are drops/);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
