// What a newcomer reads in plain node: a column of a run under way, through its gateway.
import { connect } from "hypostyle-view";
import WebSocket from "ws";

const view = connect(process.argv[2], { columns: ["height"], rateHz: 20, socket: (url, protocol) => new WebSocket(url, protocol) });
await view.ready();
const frames = [];
await new Promise(seen => view.onFrame(({ frame }) => {
  if (frames.push(frame) === 3) seen();
}));
const z = view.world.column("height.z");
if (!(z.length > 0 && frames[2] > frames[0] && [...z].every(Number.isFinite))) throw new Error(`${z.length} heights, frames ${frames}`);
console.log(`node: ${z.length} heights at frame ${frames[2]}`);
view.close();
