//! The blocks of the book and of the readme that start an engine run as they stand, in a folder that has the package.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { engines } from "../support/book.ts";

test("blocks with systems in JavaScript print what they say", { timeout: 300_000 }, () => {
  const all = engines();
  assert.ok(all.length >= 2, "the book has one, and the readme");
  for (const { main, kernels } of all) {
    const folder = mkdtempSync(join(tmpdir(), "hypostyle-block-"));
    try {
      mkdirSync(join(folder, "node_modules"));
      symlinkSync(resolve("."), join(folder, "node_modules/hypostyle-view"));
      writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
      writeFileSync(join(folder, "main.js"), main);
      writeFileSync(join(folder, "kernels.js"), kernels);
      const said = [...main.matchAll(/console\.log.*\/\/ (.*)$/gm)].map(found => found[1]);
      assert.ok(said.length > 0, `a block says what it prints:\n${main}`);
      const printed = execFileSync("node", ["main.js"], { cwd: folder, encoding: "utf8", timeout: 120_000 });
      assert.deepEqual(printed.trimEnd().split("\n"), said);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
});
