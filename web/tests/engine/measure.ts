//! How long a frame takes, natively and here: `npm run measure:engine`. Prints, asserts nothing.

import { execFileSync } from "node:child_process";
import { load, PROGRAM } from "../support/native.ts";

const ENTITIES = Number(process.env["ENTITIES"] ?? 100_000), FRAMES = Number(process.env["FRAMES"] ?? 200), WARM = 150;
const { Engine } = await load();
const line = (who: string, ns: number[]) => console.log(`${who.padEnd(24)} ${(ns.sort((a, b) => a - b)[ns.length >> 1]! / ENTITIES).toFixed(2).padStart(8)} ns/entity`);

for (const workers of [undefined, 0, 1, 2]) {
  const engine = await Engine.start({ scene: "particles", entities: ENTITIES, seed: 1, ...(workers === undefined ? { mode: "in-process" } : { workers }) });
  await engine.step(WARM);
  const ns: number[] = [];
  for (let frame = 0; frame < FRAMES; frame++) ns.push((await engine.step()).elapsedNs);
  line(workers === undefined ? "in-process" : `${workers} workers`, ns);
  await engine.stop();
}
for (const workers of ["local", "threads:1"]) {
  if (!PROGRAM) break;
  const words = ["run", "particles", "--entities", String(ENTITIES), "--frames", String(FRAMES + WARM), "--seed", "1", "--workers", workers, "--json"];
  const said = JSON.parse(execFileSync(PROGRAM, words, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] })) as { frame_seconds: { p50: number } };
  line(`native, ${workers}`, [said.frame_seconds.p50 * 1e9]);
}
