// A world of one's own, without any Rust: `node example/swarm.mjs`, after `npm run build:engine`.

import { Engine } from "hypostyle-view/engine";

const COUNT = 100_000, FRAMES = 600;
const random = length => Float32Array.from({ length }, (_, n) => (n * 0.618033988749895 + n * n * 0.414213562373095) % 1 - 0.5);

const engine = await Engine.start({
  scene: {
    layout: `
      name = "swarm"
      components.position.fields = { x = "f32", y = "f32" }
      components.velocity.fields = { x = "f32", y = "f32" }
    `,
    spawn: [{ count: COUNT, components: ["velocity"], columns: { "position.x": random(COUNT), "position.y": random(COUNT).reverse() } }],
    systems: [
      { name: "pull", reads: ["position.x", "position.y"], writes: ["velocity.x", "velocity.y"], kernel: "pull" },
      { name: "move", reads: ["velocity.x", "velocity.y"], writes: ["position.x", "position.y"], kernel: "integrate" },
    ],
    kernels: new URL("./kernels.js", import.meta.url),
    dt: 1 / 60,
  },
});
const { frame } = await engine.step(FRAMES);
const snapshot = await engine.pin();
let sum = 0;
for (const { columns, rows } of snapshot.tables) {
  const x = columns.get("position.x").array, y = columns.get("position.y").array;
  for (let i = 0; i < rows; i++) sum += Math.hypot(x[i], y[i]);
}
console.log(`${engine.mode}: ${snapshot.entities} after ${frame} frames, on the mean ${(sum / COUNT).toFixed(3)} from the middle`);
await engine.stop();
