//! Malformed frames for the client: sessions of real ones, damaged in every way that a seed comes to, fed to the decoder
//! and the view-world, and to a whole connection. What may come of it: a `ProtocolError`, the last good state, memory
//! within bounds.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { connect, type Connection } from "../../src/view/connect.ts";
import { ProtocolError, ViewError } from "../../src/view/errors.ts";
import { decode } from "../../src/view/protocol.ts";
import { Assembler, World } from "../../src/view/world.ts";
import { Random } from "../support/random.ts";
import { HELLO, copy, difference, json, mutate, reason, update, type Model } from "../support/server.ts";
import type { Frame } from "./frames.ts";

/** What the world may hold. */
export const BYTES_MAX = 4 << 20;
/** What handling one frame may allocate: a few times its own length, and what the world may hold, once and a half. */
const allowed = (length: number): number => 16 * length + 2 * BYTES_MAX + 65_536;
/** What a frame may allocate that is refused before anything of it is applied: a bitmap's bits become words. */
const allowedRefused = (length: number): number => 40 * length + 65_536;

const EXTREMES = [0, 1, 2, 7, 8, 31, 32, 63, 64, 255, 65_535, 65_536, 0x7fff_ffff, 0x8000_0000, 0xffff_fff8, 0xffff_ffff];

/** Bytes of typed arrays and buffers that were asked for by length while `run` ran. */
let asked = 0;
const HOOKED = ["ArrayBuffer", "Uint8Array", "Uint16Array", "Uint32Array", "Int8Array", "Int16Array", "Int32Array", "Float32Array", "Float64Array", "BigInt64Array", "BigUint64Array"] as const;

/** From now on every allocation of bytes is counted, and the absurd is refused before it is tried. */
export function countAllocations(): void {
  const all = globalThis as unknown as Record<string, new (...given: unknown[]) => object>;
  for (const name of HOOKED) {
    const real = all[name]! as (new (...given: unknown[]) => object) & { BYTES_PER_ELEMENT?: number };
    all[name] = new Proxy(real, {
      construct(target, given, made) {
        // of another buffer: nothing new; of a list: its length
        const first: unknown = given[0];
        const length = typeof first === "number" ? first : first instanceof ArrayBuffer || typeof first !== "object" || first === null ? 0 : Number((first as { length?: number }).length ?? 0);
        asked += length * (real.BYTES_PER_ELEMENT ?? 1);
        if (length > 2 ** 31) throw new Error(`an array of ${length} was asked for`);
        return Reflect.construct(target, given, made) as object;
      },
    });
  }
}

export interface Counts {
  sessions: number;
  frames: number;
  applied: number;
  refused: number;
  /** Of the refused: refused when memory was taken, so that the world began anew. */
  emptied: number;
  /** The most that one frame asked for. */
  askedMax: number;
}

export const none = (): Counts => ({ sessions: 0, frames: 0, applied: 0, refused: 0, emptied: 0, askedMax: 0 });

/** A session that was made here: every encoding of rows, tables that come and go. */
function modelled(random: Random): Frame[] {
  const frames = [json(1, HELLO), json(2, { subscription: 1, view: "v", resumed: false, rate_hz: 20, window: 2, quantised: [] })];
  let model: Model = new Map();
  for (let to = 1; to < 6; to++) {
    const next = copy(model), full = to === 1 || random.chance(0.1), parts = 1 + random.below(3);
    mutate(next, random);
    frames.push(...update({ subscription: 1, from: to - 1, to, frame: to, time: to, full }, difference(full ? undefined : model, next, random, parts === 1), parts));
    model = next;
  }
  return frames;
}

/** Where the blocks of an update begin. */
function blocks(frame: Frame): number[] {
  const view = new DataView(frame.buffer), found: number[] = [];
  for (let at = 64; frame[0] === 3 && at + 32 <= frame.length && found.length < 5000;) {
    const bytes = view.getUint32(at + 4, true);
    if (bytes < 32 || bytes > frame.length - at) break;
    found.push(at);
    at += bytes;
  }
  return found;
}

/** Makes the lengths in a frame's own head right again, so that what is wrong with it is found further in. */
function mend(frame: Frame): void {
  if (frame.length < 8) return;
  const view = new DataView(frame.buffer);
  view.setUint32(4, frame.length, true);
  if (frame[0] === 3 && frame.length >= 64) view.setUint32(56, frame.length - 64, true);
}

function joined(...pieces: Uint8Array[]): Frame {
  const out = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    out.set(piece, at);
    at += piece.length;
  }
  return out;
}

/** A number or a list of a frame's JSON becomes another. */
function garble(frame: Frame, random: Random): Frame {
  const text = Buffer.from(frame.subarray(8)).toString(), wild = random.pick(["-1", "1e308", "4294967296", "null", "[]", "{}", '"x"', "true", "0", "0.5", "65536", "9007199254740993", `[${"0,".repeat(2000)}0]`, '"f64"']);
  const places = [...text.matchAll(/(?<=:)\s*(-?\d+(\.\d+)?|"[^"]*"|true|false|null|\[|\{)/g)];
  if (places.length === 0) return frame;
  const place = random.pick(places), value = place[0].trim();
  if (value === "[" || value === "{") return json(frame[0]!, JSON.parse("{}")).slice();
  const garbled = Buffer.from(text.slice(0, place.index) + wild + text.slice(place.index + place[0].length));
  const out = joined(frame.subarray(0, 8), garbled, new Uint8Array((8 - garbled.length % 8) % 8).fill(0x20));
  mend(out);
  return out;
}

/** One frame, damaged. `all`: where parts of others come from. */
function damage(frame: Frame, all: readonly Frame[], random: Random): Frame {
  let out = frame.slice();
  const view = new DataView(out.buffer), begins = blocks(out);
  const word = (): number => random.chance(0.6) ? random.pick(EXTREMES) : random.u32();
  switch (random.below(10)) {
    case 0:
      for (let i = 0; i <= random.below(8); i++) if (out.length > 0) out[random.below(out.length)]! ^= 1 << random.below(8);
      return out;
    case 1:
      out = out.slice(0, random.chance(0.8) ? random.below(out.length / 8 + 1) * 8 : random.below(out.length + 1));
      break;
    case 2:
      if (out.length >= 4) view.setUint32(random.below(Math.floor(out.length / 4)) * 4, word(), true);
      return out;
    case 3: {
      // a length or a count of a block
      if (begins.length === 0) return garble(out, random);
      const at = random.pick(begins), entries = view.getUint32(at + 16, true);
      if (out[at] === 3 && entries > 0 && random.chance(0.4)) {
        // of the rows, most of all the last
        const rows = at + 32 + (out[at + 1]! >= 2 ? 16 : 0), word = random.chance(0.6) ? entries - 1 : random.below(entries);
        if (rows + word * 4 + 4 <= out.length) view.setUint32(rows + word * 4, view.getUint32(rows + word * 4, true) + random.pick([1, 2, 64, 200, -1, random.u32()]), true);
        return out;
      }
      view.setUint32(at + random.pick([4, 8, 12, 16, 20, 24]), random.chance(0.5) ? word() : random.chance(0.5) ? random.below(BYTES_MAX / 4) : view.getUint32(at + random.pick([4, 8, 12, 16, 20]), true), true);
      return out;
    }
    case 4: {
      // kind, encoding, kind of rows, flags
      if (begins.length === 0) return garble(out, random);
      out[random.pick(begins) + random.below(4)] = random.below(6);
      return out;
    }
    case 5: {
      // the end of another frame, from a block on
      const other = random.pick(all), theirs = blocks(other);
      if (begins.length === 0 || theirs.length === 0) return garble(out, random);
      out = joined(out.subarray(0, random.pick(begins)), other.subarray(random.pick(theirs)));
      break;
    }
    case 6: {
      // a block of this or another frame once more, once or often
      const other = random.chance(0.5) ? out : random.pick(all), theirs = blocks(other);
      if (begins.length === 0 || theirs.length === 0) return garble(out, random);
      const place = random.below(theirs.length), block = other.subarray(theirs[place]!, theirs[place + 1] ?? other.length), at = random.pick(begins);
      const times = random.chance(0.8) ? 1 : 1 + random.below(200);
      out = joined(out.subarray(0, at), ...Array.from({ length: times }, () => block), out.subarray(at));
      new DataView(out.buffer).setUint32(48, blocks(out).length, true);
      break;
    }
    case 7: {
      // tables whose rows come and go
      if (begins.length === 0) return garble(out, random);
      const shape = begins.map(at => out.subarray(at, at + view.getUint32(at + 4, true))).find(block => block[0] === 1);
      if (!shape) return out;
      const rows = [1 + random.below(BYTES_MAX / 64), 0], many = Array.from({ length: 2 + random.below(300) }, (_, i) => {
        const block = shape.slice();
        new DataView(block.buffer).setUint32(16, rows[i % 2]!, true);
        if (random.chance(0.3)) new DataView(block.buffer).setUint32(8, 2 + random.below(4), true);
        return block;
      });
      out = joined(out.subarray(0, 64), ...many);
      new DataView(out.buffer).setUint32(48, many.length, true);
      break;
    }
    case 8:
      // an earlier damage may have cut the head itself
      if (out[0] !== 3 || out.length < 64) return garble(out, random);
      // generations, part numbers, flags
      view.setUint32(random.pick([8, 12, 16, 20, 24, 28, 48, 56]), word(), true);
      if (random.chance(0.3)) view.setUint16(2, random.below(8), true);
      return out;
    default:
      if (out[0] === 3) out.copyWithin(64 + random.below(Math.max(1, out.length - 64)), 64 + random.below(Math.max(1, out.length - 64)));
      else return garble(out, random);
      return out;
  }
  if (random.chance(0.85)) mend(out);
  return out;
}

/** A session, damaged: frames, and their order. */
export function hostile(sessions: readonly (readonly Frame[])[], random: Random): Frame[] {
  const good = random.chance(0.5) ? modelled(random) : random.pick(sessions);
  const frames = good.map(frame => frame.slice()), others = [...good, ...random.pick(sessions)];
  for (let i = 0; i <= random.below(4); i++) {
    const at = random.below(frames.length), kind = random.below(9);
    if (kind < 5) frames[at] = damage(frames[at]!, others, random);
    else if (kind === 5) frames.splice(at, 1);
    else if (kind === 6) frames.splice(random.below(frames.length + 1), 0, frames[at]!);
    else if (kind === 7) [frames[at], frames[0]] = [frames[0]!, frames[at]!];
    else frames.splice(at, 0, random.pick([random.pick(others), reason(6, random.below(9), "bye"), reason(7, 8, "no"), json(2, { subscription: 2, view: "w", resumed: true, rate_hz: 1, window: 1 })]));
    if (frames.length === 0) break;
  }
  return frames;
}

/** The world's bytes, reduced to a text. */
function digest(world: World): string {
  const hash = createHash("md5").update(`${world.generation} ${world.frame}`);
  for (const [id, table] of world.raw) {
    hash.update(`${id} ${table.rows} ${table.parts.length}`);
    for (const part of table.parts) hash.update(part.bytes.subarray(0, part.bytesOf(table.rows)));
  }
  return hash.digest("hex");
}

/** What lies beyond the rows of a column is zero: later rows begin so. */
function tidy(world: World): void {
  for (const table of world.raw.values()) {
    for (const part of table.parts) {
      assert.ok(part.bytes.subarray(part.bytesOf(table.rows)).every(byte => byte === 0), `something was written beyond the ${table.rows} rows of ${part.key}`);
    }
  }
}

/** Looks at everything as a page would. */
function look(world: World): void {
  try {
    for (const name of [...world.columns.keys()].slice(0, 40)) {
      const column = world.column(name);
      void [column.at(0), column.at(-1), column.length, column.parts.length];
    }
    for (const name of world.resources.slice(0, 20)) void world.resource(name);
    for (const table of world.tables) for (const toggle of table.toggles.values()) toggle.count(table.rows);
    const some = world.tables.find(table => table.rows > 0);
    if (some) void world.entities.get(some.handles.data[0] as bigint);
  } catch (error) {
    if (!(error instanceof ViewError)) throw error;
  }
}

/** Feeds frames to the decoder and a world until one is refused. */
export function feed(frames: readonly Frame[], counts: Counts): void {
  const world = new World(BYTES_MAX), assembler = new Assembler(BYTES_MAX);
  let before = digest(world);
  for (const frame of frames) {
    counts.frames++;
    asked = 0;
    let applied = false;
    try {
      const message = decode(frame);
      if (message.kind === "hello") {
        world.clear();
        world.announce(message.hello);
        applied = true;
      } else if (message.kind === "update") {
        const parts = assembler.take(message.part);
        if (parts) applied = world.apply(parts) !== undefined;
      }
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      const took = asked, after = digest(world), emptied = world.generation === 0 && world.raw.size === 0 && after !== before;
      counts.refused++;
      counts.emptied += emptied ? 1 : 0;
      assert.ok(after === before || emptied, "a refused frame has changed the world");
      const most = emptied ? allowed(frame.length) : allowedRefused(frame.length);
      assert.ok(took <= most, `a refused frame of ${frame.length} bytes asked for ${took}: ${error.message}`);
      assert.ok(world.bytes <= BYTES_MAX * 1.5, `${world.bytes} bytes are held`);
      return;
    }
    counts.askedMax = Math.max(counts.askedMax, asked);
    assert.ok(asked <= allowed(frame.length), `a frame of ${frame.length} bytes asked for ${asked}`);
    assert.ok(world.bytes <= BYTES_MAX * 1.5, `${world.bytes} bytes are held`);
    const after = digest(world);
    assert.ok(applied || after === before, "a frame that is no whole update has changed the world");
    if (applied) {
      counts.applied++;
      tidy(world);
      look(world);
    }
    before = after;
  }
}

/** Feeds frames to a connection: nothing may come out of its handler, and it holds the last good state or is not live. */
export function converse(frames: readonly Frame[]): void {
  const sockets: { readyState: number; onmessage?: ((event: { data: unknown }) => void) | null }[] = [];
  const made = (): WebSocket => {
    const socket = { readyState: 1, binaryType: "", onmessage: null, addEventListener() {}, send() {}, close() {} };
    sockets.push(socket);
    return socket as unknown as WebSocket;
  };
  // no second connection comes while this one is looked at
  const connection: Connection = connect("ws://fuzz/live", { memoryBytesMax: BYTES_MAX, retryMsMin: 1e8, retryMsMax: 1e8, socket: made });
  try {
    let before = digest(connection.world);
    for (const frame of frames) {
      const was = connection.state, updates = connection.stats.updates;
      asked = 0;
      sockets[0]!.onmessage?.({ data: frame.slice().buffer });
      assert.ok(asked <= allowed(frame.length) + 2 * frame.length, `a frame of ${frame.length} bytes asked for ${asked}`);
      const after = digest(connection.world), empty = connection.world.generation === 0 && connection.world.raw.size === 0;
      assert.ok(after === before || empty || connection.stats.updates === updates + 1, `the world changed without an update: ${was}, ${connection.state}`);
      before = after;
      if (connection.state === "waiting" || connection.state === "closed") {
        assert.ok(connection.reason !== "", "a connection that is over has a reason");
        break;
      }
    }
    look(connection.world);
  } finally {
    connection.close();
  }
}

/** Runs the session of a seed. A failure names the seed. */
export function run(seed: number, sessions: readonly (readonly Frame[])[], counts: Counts): void {
  counts.sessions++;
  try {
    const frames = hostile(sessions, new Random(seed));
    feed(frames, counts);
    converse(frames);
  } catch (error) {
    throw new Error(`seed ${seed}: ${error instanceof Error ? error.stack : String(error)}`, { cause: error });
  }
}
