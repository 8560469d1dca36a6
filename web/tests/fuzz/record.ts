//! Records what the real gateway says to some subscriptions, for the fuzzer to begin with.
//!
//!     HYPOSTYLE_PROGRAM=../target/debug/hypostyle npm run fuzz:record

import { statSync, writeFileSync } from "node:fs";
import { Kind, SUBPROTOCOL, encodeAck, encodeSubscribe, type SubscribeOptions } from "../../src/view/protocol.ts";
import { PROGRAM, engine } from "../support/engine.ts";
import { FRAMES, packed, type Frame } from "./frames.ts";

/** Updates of a session: a whole state, then deltas. */
const UPDATES = 7;
const WISHES: readonly SubscribeOptions[] = [
  {},
  { columns: ["position", "velocity.y", "frozen"], resources: false, rateHz: 20 },
  { columns: ["position", "velocity"], quantise: { "position.x": 1e-4, "position.y": 0.02, "velocity.x": 1e-8 } },
  { columns: ["position", "hot"], box: { fields: ["position.x", "position.y"], min: [-0.5, 0], max: [0.5, 2] } },
];

function session(port: number, wanted: SubscribeOptions): Promise<Frame[]> {
  return new Promise((done, fail) => {
    const frames: Frame[] = [], socket = new WebSocket(`ws://127.0.0.1:${port}/live`, SUBPROTOCOL);
    let updates = 0;
    socket.binaryType = "arraybuffer";
    socket.onerror = () => fail(new Error("the gateway cannot be reached"));
    socket.onmessage = event => {
      const frame = new Uint8Array(event.data as ArrayBuffer), view = new DataView(frame.buffer);
      frames.push(frame);
      if (frame[0] === Kind.HELLO) socket.send(encodeSubscribe(wanted));
      if (frame[0] === Kind.ERROR) fail(new Error(Buffer.from(frame.subarray(16)).toString()));
      if (frame[0] !== Kind.UPDATE || (view.getUint16(2, true) & 2) === 0) return;
      socket.send(encodeAck(view.getUint32(8, true), Number(view.getBigUint64(24, true))));
      if (++updates < UPDATES) return;
      socket.onmessage = null;
      socket.close();
      done(frames);
    };
  });
}

if (!PROGRAM) throw new Error("set HYPOSTYLE_PROGRAM to the program's path");
const real = await engine("record", ["--entities", "200", "--frames", "1000000000", "--publish-every", "50", "--workers", "local"], ["--rate", "50"]);
try {
  const sessions: Frame[][] = [];
  for (const wanted of WISHES) sessions.push(await session(real.port, wanted));
  writeFileSync(FRAMES, packed(sessions));
  console.log(`${FRAMES}: ${sessions.length} sessions of ${sessions.map(frames => frames.length).join(", ")} frames, ${statSync(FRAMES).size} bytes`);
} finally {
  await real.close();
}
process.exit(0);
