//! The fuzzer, briefly: `npm run fuzz` is the long version.

import { test } from "node:test";
import { recorded } from "../fuzz/frames.ts";
import { countAllocations, hostile, none, run } from "../fuzz/session.ts";
import { Random } from "../support/random.ts";
import assert from "node:assert/strict";

const SEED = Number(process.env["SEED"] ?? Date.now() % 1e9), SESSIONS = 400;

test(`damaged sessions end in a ProtocolError or a whole state, within bounds of memory (seed ${SEED})`, { timeout: 300_000 }, () => {
  countAllocations();
  const sessions = recorded(), counts = none();
  for (let i = 0; i < SESSIONS; i++) run(SEED + i, sessions, counts);
  assert.ok(counts.applied > SESSIONS && counts.refused > SESSIONS / 4, JSON.stringify(counts));
});

test("a frame that is damaged twice may have been cut within its head before", () => {
  const sessions = recorded(), counts = none();
  // a session in which the second damage wrote beyond the end that the first one had left
  run(918_246_016, sessions, counts);
  // the same kind, with every pair of damages on an update's first part
  for (let seed = 0; seed < 4_000; seed++) hostile([[sessions[0]!.find(frame => frame[0] === 3)!.slice(0, seed % 70)]], new Random(seed));
});
