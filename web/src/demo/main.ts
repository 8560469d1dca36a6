//! A page that runs a scene itself and draws it from the engine's own columns. `?scene=particles&entities=50000&workers=2`

import { Engine, type EngineOptions, type Snapshot } from "../engine/index.ts";

const asked = new URLSearchParams(location.search);
const number = (name: string) => asked.has(name) ? { [name]: Number(asked.get(name)) } : {};
const options: EngineOptions = { scene: asked.get("scene") ?? "particles", entities: 50_000, base: new URL("../engine/", location.href), ...number("entities"), ...number("workers"), ...number("seed") };

const canvas = document.getElementById("view") as HTMLCanvasElement, context = canvas.getContext("2d")!;
const image = context.createImageData(canvas.width, canvas.height), pixels = new Uint32Array(image.data.buffer);
const say = (id: string, text: string) => { document.getElementById(id)!.textContent = text; };
let low = [0, 0], high = [1, 1];

/** What columns of positions hold, over all tables. */
function bounds(snapshot: Snapshot, name: string): [number, number] {
  let least = Infinity, most = -Infinity;
  for (const { array } of snapshot.column(name)) {
    for (const value of array as Float32Array) {
      if (value < least) least = value;
      if (value > most) most = value;
    }
  }
  return least < most ? [least, most] : [least - 1, least + 1];
}

function draw(snapshot: Snapshot): void {
  pixels.fill(0);
  const { width, height } = canvas, xs = snapshot.column("position.x"), ys = snapshot.column("position.y");
  const [across, up] = [(width - 1) / (high[0]! - low[0]!), (height - 1) / (high[1]! - low[1]!)];
  xs.forEach((part, index) => {
    const x = part.array as Float32Array, y = ys[index]!.array as Float32Array;
    for (let row = 0; row < part.rows; row++) {
      const column = Math.round((x[row]! - low[0]!) * across), line = height - 1 - Math.round((y[row]! - low[1]!) * up);
      if (column >= 0 && column < width && line >= 0 && line < height) pixels[line * width + column] = 0xffd0_8030;
    }
  });
  context.putImageData(image, 0, 0);
}

try {
  const engine = await Engine.start(options);
  say("mode", engine.mode === "workers" ? `workers: the engine has a thread of its own and ${engine.workers} beside it` : "in-process: everything runs on the page's thread");
  say("why", engine.why);
  let ns = 0;
  for (;;) {
    const done = await engine.step(), snapshot = await engine.pin();
    if (done.frame % 60 === 1) {
      const [x, y] = [bounds(snapshot, "position.x"), bounds(snapshot, "position.y")];
      [low, high] = [[x[0], y[0]], [x[1], y[1]]];
    }
    draw(snapshot);
    ns += (done.elapsedNs / snapshot.entities - ns) * (ns === 0 ? 1 : 0.05);
    say("frame", String(done.frame));
    say("entities", snapshot.entities.toLocaleString("en"));
    say("speed", `${ns.toFixed(1)} ns a frame`);
    await snapshot.release();
    await new Promise(requestAnimationFrame);
  }
} catch (error) {
  say("mode", `it stopped: ${error instanceof Error ? error.message : String(error)}`);
}
