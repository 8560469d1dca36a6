//! A server's side of the protocol for tests, written from its document and sharing no code with the client: a model of
//! tables, and the messages that lead from one state of it to the next.

import type { Random } from "./random.ts";

export interface ModelColumn {
  /** 0 handle, 1 field, 2 presence, 6 resources. */
  role: number;
  component: number;
  field: number;
  /** 0: bits. */
  bytes: number;
}

export interface ModelTable {
  id: number;
  columns: ModelColumn[];
  components: number[];
  rows: number;
  /** Each column's bytes: rows × bytes, or words of 8 for 64 rows. */
  data: Uint8Array[];
}

export type Model = Map<number, ModelTable>;

const TYPES: [string, number][] = [["f32", 4], ["f64", 8], ["u8", 1], ["u16", 2], ["u64", 8], ["bool", 1], ["entity", 8], ["i32", 4]];

/** Components: position (f32 × 3), odds (one field of each type, some arrays, every other place not shown), frozen (toggle), hot (tag), bond (a handle), mood (toggle with a field). */
export const COMPONENTS = [
  { id: 0, name: "position", storage: "table", fields: ["x", "y", "z"].map(name => ({ name, scalar: "f32", length: 0, bytes: 4 })) },
  { id: 1, name: "velocity", storage: "table", fields: ["x", "y", "z"].map(name => ({ name, scalar: "f32", length: 0, bytes: 4 })) },
  { id: 2, name: "odds", storage: "table", fields: TYPES.map(([scalar, bytes], i) => ({ name: `f${i}`, index: i * 2 + 1, scalar, length: i % 3 === 2 ? 3 : 0, bytes: bytes * (i % 3 === 2 ? 3 : 1) })) },
  { id: 4, name: "frozen", storage: "toggle", fields: [] },
  { id: 5, name: "hot", storage: "table", fields: [] },
  { id: 6, name: "bond", storage: "table", fields: [{ name: "to", scalar: "entity", length: 0, bytes: 8 }] },
  { id: 9, name: "mood", storage: "toggle", fields: [{ name: "level", scalar: "i16", length: 0, bytes: 2 }] },
];

export const RESOURCES = [{
  id: 0, name: "gravity", presence: 0, offset: 8, bytes: 12, fields: [
    { name: "y", scalar: "f32", length: 0, bytes: 4, offset: 8 }, { name: "n", scalar: "u64", length: 0, bytes: 8, offset: 12 }],
}];

export const HELLO = {
  protocol: 1, server: "test", session: "0123456789abcdef", region: "model", world: "model", epoch: 1, writer_alive: true, generation: 1, frame: 1, time: 0,
  layout_hash: "0011223344556677", message_bytes_max: 1 << 20, client_bytes_max: 65_536, rate_hz_max: 60, window_max: 8, compression: [],
  components: COMPONENTS, resources: RESOURCES, inputs: ["push"],
};

/** The columns of a table with these components. */
export function columnsOf(ids: readonly number[]): ModelColumn[] {
  const columns: ModelColumn[] = [{ role: 0, component: 0, field: 0, bytes: 8 }];
  const has = COMPONENTS.filter(component => ids.includes(component.id));
  for (const { id, fields } of has) fields.forEach((field, i) => columns.push({ role: 1, component: id, field: "index" in field ? Number(field.index) : i, bytes: field.bytes }));
  for (const { id, storage } of has) if (storage === "toggle") columns.push({ role: 2, component: id, field: 0, bytes: 0 });
  return columns;
}

export function bytesOf(column: ModelColumn, rows: number): number {
  return column.bytes === 0 ? Math.ceil(rows / 64) * 8 : rows * column.bytes;
}

export function message(kind: number, flags: number, body: Uint8Array): Uint8Array<ArrayBuffer> {
  const length = 8 + Math.ceil(body.length / 8) * 8, out = new Uint8Array(length), view = new DataView(out.buffer);
  view.setUint8(0, kind);
  view.setUint8(1, 1);
  view.setUint16(2, flags, true);
  view.setUint32(4, length, true);
  out.set(body, 8);
  return out;
}

export function json(kind: number, value: unknown): Uint8Array<ArrayBuffer> {
  const text = new TextEncoder().encode(JSON.stringify(value)), padded = new Uint8Array(Math.ceil(text.length / 8) * 8).fill(0x20);
  padded.set(text);
  return message(kind, 0, padded);
}

export function reason(kind: number, code: number, text: string): Uint8Array<ArrayBuffer> {
  const bytes = new TextEncoder().encode(text), body = new Uint8Array(8 + Math.ceil(bytes.length / 8) * 8), view = new DataView(body.buffer);
  view.setUint16(0, code, true);
  view.setUint32(4, bytes.length, true);
  body.fill(0x20, 8);
  body.set(bytes, 8);
  return message(kind, 0, body);
}

export interface Heading {
  subscription: number;
  from: number;
  to: number;
  frame: number;
  time: number;
  input?: number;
  full: boolean;
}

/** Messages of an update, its blocks spread over so many parts. */
export function update(heading: Heading, blocks: Uint8Array[], parts = 1): Uint8Array<ArrayBuffer>[] {
  const per = Math.max(1, Math.ceil(blocks.length / parts)), count = Math.max(1, Math.ceil(blocks.length / per));
  return Array.from({ length: count }, (_, part) => {
    const mine = blocks.slice(part * per, (part + 1) * per), length = mine.reduce((sum, block) => sum + block.length, 0);
    const body = new Uint8Array(56 + length), view = new DataView(body.buffer);
    view.setUint32(0, heading.subscription, true);
    view.setUint16(4, part, true);
    view.setUint16(6, count, true);
    view.setBigUint64(8, BigInt(heading.full ? 0 : heading.from), true);
    view.setBigUint64(16, BigInt(heading.to), true);
    view.setBigUint64(24, BigInt(heading.frame), true);
    view.setFloat64(32, heading.time, true);
    view.setUint32(40, mine.length, true);
    view.setUint32(44, heading.input ?? 0, true);
    view.setUint32(48, length, true);
    let at = 56;
    for (const block of mine) {
      body.set(block, at);
      at += block.length;
    }
    return message(3, (heading.full ? 1 : 0) | (part + 1 === count ? 2 : 0), body);
  });
}

function block(kind: number, encoding: number, rows: number, words: [number, number, number, number, number], content: Uint8Array): Uint8Array {
  const out = new Uint8Array(32 + content.length), view = new DataView(out.buffer);
  out[0] = kind;
  out[1] = encoding;
  out[2] = rows;
  view.setUint32(4, out.length, true);
  words.forEach((word, i) => view.setUint32(8 + i * 4, word, true));
  out.set(content, 32);
  return out;
}

export function tableBlock(table: Pick<ModelTable, "id" | "columns" | "components" | "rows">): Uint8Array {
  const content = new Uint8Array(table.columns.length * 8 + Math.ceil(table.components.length / 4) * 8), view = new DataView(content.buffer);
  table.columns.forEach((column, i) => {
    view.setUint8(i * 8, column.role);
    view.setUint8(i * 8 + 1, column.field);
    view.setUint16(i * 8 + 2, column.component, true);
    view.setUint32(i * 8 + 4, column.bytes, true);
  });
  table.components.forEach((id, i) => view.setUint16(table.columns.length * 8 + i * 2, id, true));
  return block(1, 0, 0, [table.id, table.columns.length, table.rows, table.components.length, table.rows], content);
}

export function dropBlock(id: number): Uint8Array {
  return block(2, 0, 0, [id, 0, 0, 0, 0], new Uint8Array(0));
}

function padded(...pieces: Uint8Array[]): Uint8Array {
  const out = new Uint8Array(pieces.reduce((sum, piece) => sum + Math.ceil(piece.length / 8) * 8, 0));
  let at = 0;
  for (const piece of pieces) {
    out.set(piece, at);
    at += Math.ceil(piece.length / 8) * 8;
  }
  return out;
}

function u32s(values: number[]): Uint8Array {
  return new Uint8Array(new Uint32Array(values).buffer);
}

/** A VALUES block for these items; `kind`: 0 runs, 1 list, 2 bitmap, 3 same as the block before. */
export function valuesBlock(table: ModelTable, place: number, items: readonly number[], kind: number): Uint8Array {
  const column = table.columns[place]!, size = column.bytes || 8, data = table.data[place]!;
  let rows: Uint8Array = new Uint8Array(0), entries = 0, first = 0;
  if (kind === 0) {
    const runs: number[] = [];
    for (const item of items) {
      if (runs.length > 0 && runs.at(-2)! + runs.at(-1)! === item) runs[runs.length - 1]!++;
      else runs.push(item, 1);
    }
    rows = u32s(runs);
    entries = runs.length / 2;
  } else if (kind === 1) {
    rows = u32s([...items]);
    entries = items.length;
  } else if (kind === 2) {
    first = items[0] ?? 0;
    entries = items.length === 0 ? 0 : Math.floor((items.at(-1)! - first) / 64) + 1;
    rows = new Uint8Array(entries * 8);
    for (const item of items) rows[(item - first) >> 3]! |= 1 << ((item - first) & 7);
  }
  const values = new Uint8Array(items.length * size);
  items.forEach((item, i) => values.set(data.subarray(item * size, (item + 1) * size), i * size));
  const constant = items.length > 0 && items.every((_, i) => i === 0 || Buffer.compare(values.subarray(0, size), values.subarray(i * size, (i + 1) * size)) === 0);
  const content = padded(rows, constant ? values.slice(0, size) : values);
  return block(3, constant ? 1 : 0, kind, [table.id, place, entries, items.length, first], content);
}

/**
 * The blocks that lead from one state to another; `from` undefined: a full update. `same`: whether a block may name the
 * rows of the one before, which holds within a message alone.
 */
export function difference(from: Model | undefined, to: Model, random: Random, same = true): Uint8Array[] {
  const shapes: Uint8Array[] = [], values: Uint8Array[] = [];
  for (const id of from?.keys() ?? []) if (!to.has(id)) shapes.push(dropBlock(id));
  for (const table of to.values()) {
    const old = from?.get(table.id);
    if (!old || old.rows !== table.rows) shapes.push(tableBlock(table));
    let before: string | undefined;
    table.columns.forEach((column, place) => {
      const size = column.bytes || 8, data = table.data[place]!, had = old?.data[place] ?? new Uint8Array(0);
      const items: number[] = [];
      for (let item = 0; item * size < data.length; item++) {
        const now = data.subarray(item * size, (item + 1) * size);
        if (now.some((byte, k) => byte !== (had[item * size + k] ?? 0))) items.push(item);
      }
      if (items.length === 0) return;
      const text = items.join();
      values.push(valuesBlock(table, place, items, same && text === before && random.chance(0.8) ? 3 : random.below(3)));
      before = text;
    });
  }
  return [...shapes, ...values];
}

/** A deep copy. */
export function copy(model: Model): Model {
  return new Map([...model].map(([id, table]) => [id, { ...table, data: table.data.map(bytes => bytes.slice()) }]));
}

/** Sets a table's rows; new ones are zero. */
export function resize(table: ModelTable, rows: number): void {
  table.data = table.columns.map((column, i) => {
    const bytes = new Uint8Array(bytesOf(column, rows));
    bytes.set((table.data[i] ?? new Uint8Array(0)).subarray(0, bytes.length));
    if (column.bytes === 0) for (let row = rows; row < Math.ceil(rows / 64) * 64; row++) bytes[row >> 3]! &= ~(1 << (row & 7));
    return bytes;
  });
  table.rows = rows;
}

/** A random change of a random world: rows come and go, values change, tables appear and disappear. */
export function mutate(model: Model, random: Random): void {
  if (model.size < 5 && random.chance(0.2)) {
    const id = 2 + random.below(20);
    if (!model.has(id)) {
      const components = COMPONENTS.map(component => component.id).filter(() => random.chance(0.6));
      model.set(id, { id, columns: columnsOf(components), components, rows: 0, data: [] });
      resize(model.get(id)!, random.below(300));
    }
  }
  if (!model.has(1)) {
    model.set(1, { id: 1, columns: [{ role: 6, component: 0, field: 0, bytes: 1 }], components: [], rows: 0, data: [] });
    resize(model.get(1)!, 24);
  }
  if (model.size > 2 && random.chance(0.05)) model.delete(random.pick([...model.keys()].filter(id => id !== 1)));
  for (const table of model.values()) {
    if (table.id !== 1 && random.chance(0.5)) resize(table, Math.max(0, random.chance(0.1) ? random.below(5000) : table.rows + random.below(40) - 20));
    table.columns.forEach((column, place) => {
      const size = column.bytes || 8, data = table.data[place]!, items = data.length / size;
      if (items === 0 || random.chance(0.5)) return;
      const dense = random.chance(0.3), from = random.below(items), constant = random.chance(0.3), value = random.u32();
      for (let i = 0; i < (dense ? items - from : 5); i++) {
        const item = dense ? from + i : random.below(items);
        for (let k = 0; k < size; k++) data[item * size + k] = constant ? value >>> (k % 4 * 8) : random.u32();
      }
      if (column.bytes === 0) for (let row = table.rows; row < items * 64; row++) data[row >> 3]! &= ~(1 << (row & 7));
    });
  }
}
