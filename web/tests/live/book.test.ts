//! The book's blocks of JavaScript run, against a real gateway.

import assert from "node:assert/strict";
import { test } from "node:test";
import { connect } from "../../src/view/connect.ts";
import { Predictor } from "../../src/view/predict.ts";
import { live } from "../support/book.ts";
import { engine, noProgram } from "../support/engine.ts";

const IMPORT = /^import \{ ([\w, ]+) \} from "hypostyle-view";$/gm;
const given: Record<string, unknown> = { connect, Predictor };

test("every block runs", { skip: noProgram, timeout: 120_000 }, async () => {
  const all = live();
  assert.ok(all.length >= 1);
  const real = await engine("book", ["--entities", "2000", "--frames", "1000000000", "--workers", "local"]);
  try {
    for (const block of all) {
      const names = [...block.matchAll(IMPORT)].flatMap(found => found[1]!.split(", "));
      for (const name of names) assert.ok(name in given, `the package has no ${name} that this test knows`);
      const lines: string[] = [];
      const printed = { log: (...what: unknown[]) => void lines.push(what.join(" ")) };
      const Async = Object.getPrototypeOf(async () => undefined).constructor as FunctionConstructor;
      const body = new Async(...names, "address", "console", block.replace(IMPORT, ""));
      await (body(...names.map(name => given[name]), `ws://127.0.0.1:${real.port}/live`, printed) as unknown as Promise<void>);
      assert.ok(lines.length > 0, `a block prints something:\n${block}`);
    }
  } finally {
    await real.close();
  }
});
