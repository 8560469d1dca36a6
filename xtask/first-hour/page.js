// What a newcomer bundles: a view of a run under way, and the engine in the page. What it saw is left in `seen`.
import { connect } from "hypostyle-view";
import { Engine } from "hypostyle-view/engine";

async function look() {
  const view = connect(new URLSearchParams(location.search).get("gateway"), { columns: ["height"], rateHz: 20 });
  await view.ready();
  const frame = await new Promise(seen => view.onFrame(({ frame }) => seen(frame)));
  const heights = view.world.column("height.z").length;
  view.close();
  const engine = await Engine.start({ scene: "particles", entities: 2000, seed: 5, workers: 1 });
  await engine.step(30);
  const seen = { frame, heights, mode: engine.mode, hash: await engine.hash() };
  await engine.stop();
  return seen;
}

look().then(seen => (globalThis.seen = seen), error => (globalThis.seen = { error: String(error) }));
