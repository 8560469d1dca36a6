//! The address: what was typed is not written over before it was taken.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Address } from "../../src/page/address.ts";

test("an address that was typed stays until it is taken", () => {
  const location = { hash: "#x=1", pathname: "/", search: "" }, written: string[] = [];
  const history = { replaceState: (_: unknown, __: string, hash: string) => { location.hash = hash; written.push(hash); } };
  Object.assign(globalThis, { location, history });
  const address = new Address();
  address.write({ x: "1", y: "2,3" }, 1000);
  assert.deepEqual(written, ["#x=1&y=2,3"]);
  address.write({ x: "9" }, 1100);
  assert.equal(written.length, 1, "not too often");
  // the event that tells of it comes after the next picture
  location.hash = "#filter=position.x+>+40&plots=50%";
  address.write({ x: "9" }, 5000);
  assert.equal(location.hash, "#filter=position.x+>+40&plots=50%");
  assert.ok(address.isForeign);
  address.accept();
  address.write({ x: "9" }, 9000);
  assert.deepEqual(written, ["#x=1&y=2,3", "#x=9"]);
});
