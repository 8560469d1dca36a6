//! `/snapshot.bin` as a world, and worlds as hashes.

import { createHash } from "node:crypto";
import { decode } from "../../src/view/protocol.ts";
import { Assembler, World } from "../../src/view/world.ts";

/** The newest generation, read through the same decoder in one piece. */
export async function snapshot(port: number, columns?: readonly string[]): Promise<World> {
  const answer = await fetch(`http://127.0.0.1:${port}/snapshot.bin${columns ? `?columns=${columns.join()}` : ""}`);
  if (!answer.ok) throw new Error(`/snapshot.bin: ${answer.status} ${await answer.text()}`);
  const bytes = new Uint8Array(await answer.arrayBuffer()), view = new DataView(bytes.buffer);
  const world = new World(2 ** 30), assembler = new Assembler(2 ** 30);
  for (let at = 0; at < bytes.length;) {
    const length = view.getUint32(at + 4, true), message = decode(bytes.slice(at, at + length));
    if (message.kind === "hello") world.announce(message.hello);
    if (message.kind === "update") {
      const parts = assembler.take(message.part);
      if (parts) world.apply(parts);
    }
    at += length;
  }
  return world;
}

/** One line per table and column. */
export function hashes(world: World): string[] {
  return [...world.raw.values()].sort((a, b) => a.id - b.id).flatMap(table => [
    `table ${table.id}: ${table.rows} rows`,
    ...table.parts.map(part => `${table.id} ${part.key} ${createHash("sha256").update(part.bytes.subarray(0, part.bytesOf(table.rows))).digest("hex")}`),
  ]);
}
