//! The fuzzer, briefly: `npm run fuzz` is the long version.

import { test } from "node:test";
import { recorded } from "../fuzz/frames.ts";
import { countAllocations, none, run } from "../fuzz/session.ts";
import assert from "node:assert/strict";

const SEED = Number(process.env["SEED"] ?? Date.now() % 1e9), SESSIONS = 400;

test(`damaged sessions end in a ProtocolError or a whole state, within bounds of memory (seed ${SEED})`, { timeout: 300_000 }, () => {
  countAllocations();
  const sessions = recorded(), counts = none();
  for (let i = 0; i < SESSIONS; i++) run(SEED + i, sessions, counts);
  assert.ok(counts.applied > SESSIONS && counts.refused > SESSIONS / 4, JSON.stringify(counts));
});
