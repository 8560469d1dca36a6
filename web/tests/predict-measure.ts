//! Measures prediction alone, in node: 100,000 rows of three axes that move by their velocity, with smooth corrections.
//! Processor time, of which other programs take none. `node build.mjs --tests && node build/tests/predict-measure.js [ROWS]`

import { decode, type Hello, type UpdatePart } from "../src/view/protocol.ts";
import { Predictor } from "../src/view/predict.ts";
import { World } from "../src/view/world.ts";
import { kernelFor } from "../src/page/prediction.ts";
import { Random } from "./support/random.ts";
import { HELLO, copy, difference, json, update, type Model } from "./support/server.ts";
import { Particles } from "./support/standin.ts";

const rows = Number(process.argv[2] ?? 100_000), particles = new Particles(rows), world = new World(1 << 28);
world.announce((decode(json(1, HELLO)) as { hello: Hello }).hello);
let sent: Model | undefined, generation = 0;
const send = (): void => {
  const now: Model = copy(new Map(particles.tables.map(table => [table.id, table]))), from = generation++;
  const messages = update({ subscription: 1, from, to: generation, frame: generation, time: particles.time, full: !sent, input: 0 }, difference(sent, now, new Random(1)));
  world.apply(messages.map(bytes => (decode(bytes) as { part: UpdatePart }).part));
  sent = now;
};
send();
const predictor = new Predictor(world, kernelFor(world, ["position.x", "position.y", "position.z"])!, { reconcile: "smooth", aheadMax: 1e12 });
predictor.reconcile();
const steps: number[] = [], reconciliations: number[] = [];
const timed = (into: number[], run: () => void): void => {
  const before = process.cpuUsage();
  run();
  const { user, system } = process.cpuUsage(before);
  into.push((user + system) / 1000);
};
for (let state = 0; state < 40; state++) {
  for (let frame = 0; frame < 12; frame++) {
    timed(steps, () => {
      predictor.step(1 / 60);
      for (const table of world.tables) predictor.column("position.x", table);
    });
  }
  particles.step(0.2);
  send();
  timed(reconciliations, () => predictor.reconcile());
}
for (const [what, all] of [["a step, and what it shows", steps], ["a reconciliation", reconciliations]] as const) {
  const sorted = all.sort((a, b) => a - b), at = (part: number): string => sorted[Math.floor((sorted.length - 1) * part)]!.toFixed(2);
  console.log(`${rows} rows, 3 columns: ${what}: p10 ${at(0.1)} · median ${at(0.5)} · p90 ${at(0.9)} ms`);
}
