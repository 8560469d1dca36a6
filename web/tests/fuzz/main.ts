//! The fuzzer as a command: `npm run fuzz -- --seconds N --seed S`. With `--once` the session of one seed.

import { parseArgs } from "node:util";
import { recorded } from "./frames.ts";
import { countAllocations, none, run } from "./session.ts";

const { values } = parseArgs({ options: { seconds: { type: "string", default: "60" }, seed: { type: "string" }, once: { type: "boolean", default: false } } });
const sessions = recorded(), counts = none(), first = Number(values.seed ?? Date.now() % 1e9), end = performance.now() + Number(values.seconds) * 1000;
/** Bytes that are still held once nobody needs them. */
const held = (): number => {
  (globalThis as { gc?: () => void }).gc?.();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
};
countAllocations();
for (let i = 0; i < 50 && !values.once; i++) run(first + i, sessions, none());
const before = held();
let told = performance.now(), slowest = 0;
for (let seed = first; performance.now() < end || counts.sessions === 0; seed++) {
  const begun = performance.now();
  run(seed, sessions, counts);
  const took = performance.now() - begun;
  if (took > slowest) slowest = took;
  if (performance.now() - told > 30_000) {
    told = performance.now();
    console.log(`seed ${seed}: ${JSON.stringify(counts)}`);
  }
  if (values.once) break;
}
const grown = held() - before;
console.log(`seeds from ${first}: ${JSON.stringify(counts)}; ${Math.round(slowest)} ms for the slowest session, ${Math.round(grown / 1024)} KiB more held at the end`);
if (grown > 32 << 20) throw new Error("memory grows");
