//! What the real gateway said: sessions of HELLO, SUBSCRIBED and updates, as `record.ts` kept them in `frames.bin`.

import { readFileSync } from "node:fs";

/** Where they are; the tests run in `web/`. */
export const FRAMES = "tests/fuzz/frames.bin";

export type Frame = Uint8Array<ArrayBuffer>;

/** Sessions as bytes: for each the number of frames, for each of these its length and itself; all numbers are u32. */
export function packed(sessions: readonly (readonly Frame[])[]): Uint8Array {
  const pieces: Uint8Array[] = [], number = (value: number): number => pieces.push(new Uint8Array(new Uint32Array([value]).buffer));
  for (const session of sessions) {
    number(session.length);
    for (const frame of session) {
      number(frame.length);
      pieces.push(frame);
    }
  }
  return Buffer.concat(pieces);
}

/** The sessions that were recorded. */
export function recorded(): Frame[][] {
  const file = readFileSync(FRAMES), view = new DataView(file.buffer, file.byteOffset, file.byteLength), sessions: Frame[][] = [];
  let at = 0;
  const number = (): number => view.getUint32((at += 4) - 4, true);
  while (at < file.length) {
    sessions.push(Array.from({ length: number() }, () => {
      const length = number();
      // a copy: a message begins at a multiple of 8 of its buffer
      return new Uint8Array(file.subarray(at, (at += length)));
    }));
  }
  return sessions;
}
