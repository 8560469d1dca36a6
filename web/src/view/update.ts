//! Updates: blocks become checked steps, and steps become bytes in the world's tables.
//!
//! Invariants: `check` looks at every block of every part, against the tables as the update will leave them, before
//! `apply` touches anything; what it lets pass cannot write outside of a column. What it allocates is bounded by the
//! message's own length and the world's budget.

import { ProtocolError } from "./errors.ts";
import type { ComponentInfo, Hello, UpdatePart } from "./protocol.ts";
import { Bits, Column, Table, type Budget, type ColumnSpec, type Moment, type Role } from "./table.ts";
import { arrayOver, scalarBytes } from "./types.ts";

const TABLE = 1, DROP = 2, VALUES = 3;
const RUNS = 0, LIST = 1, BITMAP = 2, SAME = 3;
const RAW = 0, CONSTANT = 1, U8 = 2, U32 = 4;
const BLOCK_BYTES = 32;
/** Bytes that a column's objects cost beside its values: so that empty tables count, too. */
const COLUMN_BYTES = 512;
/** Rows that a table can have: handles name fewer. */
const ROWS_MAX = 2 ** 32 - 2;
/** The table that holds the resources' bytes. */
export const RESOURCES = 1;

const ROLES: Readonly<Record<number, Role>> = { 0: "handle", 1: "field", 2: "presence", 6: "resources", 7: "box" };

/** What is known of components, by their numbers. */
export class Names {
  readonly components: ReadonlyMap<number, ComponentInfo>;
  readonly columns: ReadonlyMap<string, ColumnSpec>;

  constructor(hello: Pick<Hello, "components">) {
    this.components = new Map(hello.components.map(component => [component.id, component]));
    const columns = new Map<string, ColumnSpec>();
    for (const component of hello.components) {
      for (const { index } of component.fields) {
        const spec = this.spec(component.id, index);
        columns.set(spec.name, spec);
      }
    }
    this.columns = columns;
  }

  component(id: number): ComponentInfo {
    const component = this.components.get(id);
    if (!component) throw new ProtocolError(`component ${id} was not announced`);
    return component;
  }

  spec(id: number, index: number): ColumnSpec {
    const component = this.component(id), field = component.fields.find(field => field.index === index);
    if (!field) throw new ProtocolError(`${component.name} has no field ${index}`);
    return {
      name: `${component.name}.${field.name}`, component: component.name, field: field.name, type: field.scalar, lanes: Math.max(field.length, 1),
    };
  }
}

/** A column as a TABLE block declares it. */
interface Declared {
  readonly key: string;
  readonly role: Role;
  readonly itemBytes: number;
  readonly itemRows: 1 | 64;
  readonly component: number;
  readonly field: number;
  /** Values per row of a float field, which may come quantised; else 0. */
  readonly floats: number;
}

/** A table as the update will leave it. */
interface Plan {
  readonly id: number;
  readonly rows: number;
  readonly columns: readonly Declared[];
  readonly components: readonly string[];
}

/** Which items a VALUES block names. */
interface Rows {
  readonly kind: typeof RUNS | typeof LIST;
  /** Runs: first and count of each; list: the items. */
  readonly at: Uint32Array;
  readonly items: number;
}

type Step =
  | { readonly kind: "shape"; readonly plan: Plan }
  | { readonly kind: "drop"; readonly id: number }
  | { readonly kind: "values"; readonly id: number; readonly place: number; readonly rows: Rows; readonly encoding: number;
      readonly values: Uint8Array<ArrayBuffer>; readonly offset: number; readonly scale: number };

/** An update that was found to be whole and in order. */
export interface CheckedUpdate {
  readonly full: boolean;
  readonly steps: readonly Step[];
}

/** Checks all parts of an update against the tables that are there. */
export function check(parts: readonly UpdatePart[], tables: ReadonlyMap<number, Table>, names: Names, bytesMax: number): CheckedUpdate {
  const full = parts[0]?.full === true;
  const plans = new Map<number, Plan>();
  if (!full) for (const table of tables.values()) plans.set(table.id, planOf(table));
  const steps: Step[] = [];
  let values = false, room = 0, shaped = 0;
  for (const part of parts) {
    let at = 0, same: { rows: Rows; id: number } | undefined;
    const { body } = part;
    const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
    for (let block = 0; block < part.blocks; block++) {
      if (body.byteLength - at < BLOCK_BYTES) throw new ProtocolError("a block beyond the end of its message");
      const kind = view.getUint8(at), bytes = view.getUint32(at + 4, true), id = view.getUint32(at + 8, true);
      if (bytes < BLOCK_BYTES || bytes % 8 !== 0 || bytes > body.byteLength - at) throw new ProtocolError(`a block of ${bytes} bytes`);
      if (view.getUint8(at + 3) !== 0) throw new ProtocolError("a block with unknown flags");
      if (kind === VALUES) {
        if (!values) room = sizeOf(plans, bytesMax);
        values = true;
        const plan = plans.get(id);
        if (!plan) throw new ProtocolError(`values of table ${id}, which is not there`);
        // no item comes twice: so the work is bounded by what the tables hold
        room -= view.getUint32(at + 20, true) * (plan.columns[view.getUint32(at + 12, true)]?.itemBytes ?? 0);
        if (room < 0) throw new ProtocolError("an update with more values than the tables have room for");
        const step = valuesStep(body.subarray(at, at + bytes), plan, same?.id === id ? same.rows : undefined);
        same = { rows: step.rows, id };
        steps.push(step);
      } else if (values) {
        throw new ProtocolError("a table changes after values were set");
      } else if (kind === TABLE) {
        const plan = tablePlan(body.subarray(at, at + bytes), names);
        // tables that come and go within an update: each of them takes memory, whatever is left in the end
        shaped += bytesOf(plan);
        within(shaped, bytesMax);
        plans.set(id, plan);
        steps.push({ kind: "shape", plan });
      } else if (kind === DROP) {
        plans.delete(id);
        steps.push({ kind: "drop", id });
      } else {
        throw new ProtocolError(`a block of unknown kind ${kind}`);
      }
      at += bytes;
    }
    if (at !== body.byteLength) throw new ProtocolError("bytes after the last block");
  }
  if (!values) sizeOf(plans, bytesMax);
  return { full, steps };
}

/** Bytes of all tables. */
function sizeOf(plans: ReadonlyMap<number, Plan>, bytesMax: number): number {
  let sum = 0;
  for (const plan of plans.values()) sum += bytesOf(plan);
  within(sum, bytesMax);
  return sum;
}

function bytesOf(plan: Plan): number {
  let sum = 0;
  for (const column of plan.columns) sum += Math.ceil(plan.rows / column.itemRows) * column.itemBytes + COLUMN_BYTES;
  return sum;
}

function within(bytes: number, bytesMax: number): void {
  if (bytes > bytesMax) throw new ProtocolError(`the state has ${bytes} bytes, this client holds at most ${bytesMax}: raise memoryBytesMax`);
}

function planOf(table: Table): Plan {
  const columns = table.parts.map((part): Declared => ({
    key: part.key, role: part.role, itemBytes: part.itemBytes, itemRows: part.itemRows, component: 0, field: 0,
    floats: part instanceof Column ? floats(part) : 0,
  }));
  return { id: table.id, rows: table.rows, columns, components: table.components };
}

function tablePlan(block: Uint8Array<ArrayBuffer>, names: Names): Plan {
  const view = new DataView(block.buffer, block.byteOffset, block.byteLength);
  const id = view.getUint32(8, true), count = view.getUint32(12, true), rows = view.getUint32(16, true), ids = view.getUint32(20, true);
  const need = BLOCK_BYTES + count * 8 + Math.ceil(ids / 4) * 8;
  if (need !== block.byteLength) throw new ProtocolError(`a table of ${count} columns and ${ids} components in ${block.byteLength} bytes`);
  if (id < RESOURCES || rows > ROWS_MAX) throw new ProtocolError(`table ${id} of ${rows} rows`);
  const components = Array.from({ length: ids }, (_, i) => names.component(view.getUint16(BLOCK_BYTES + count * 8 + i * 2, true)).name);
  const columns = Array.from({ length: count }, (_, i) => declared(view, BLOCK_BYTES + i * 8, names));
  if (new Set(columns.map(column => column.key)).size !== count) throw new ProtocolError(`table ${id} has a column twice`);
  const first = columns[0]?.role, others = columns.slice(1);
  const sound = id === RESOURCES
    ? count === 1 && first === "resources"
    : first === "handle" && others.every(column => column.role !== "handle" && column.role !== "resources");
  if (!sound) throw new ProtocolError(`the columns of table ${id} are not those of a table`);
  return { id, rows, columns, components };
}

function declared(view: DataView, at: number, names: Names): Declared {
  const role = ROLES[view.getUint8(at)], field = view.getUint8(at + 1), component = view.getUint16(at + 2, true), bytes = view.getUint32(at + 4, true);
  if (role === undefined) throw new ProtocolError(`a column of unknown role ${view.getUint8(at)}`);
  const key = `${role}:${component}:${field}`, bits = role === "presence" || role === "box";
  let want = 8, lanes = 0;
  if (role === "resources") want = 1;
  else if (bits) want = 0;
  else if (role === "field") {
    const spec = names.spec(component, field);
    want = scalarBytes(spec.type) * spec.lanes;
    lanes = floats(spec);
  }
  if (role === "presence" && names.component(component).storage !== "toggle") throw new ProtocolError("presence of what is always present");
  if (bytes !== want) throw new ProtocolError(`a column of ${bytes} bytes per item; it has ${want}`);
  return { key, role, itemBytes: bits ? 8 : bytes, itemRows: bits ? 64 : 1, component, field, floats: lanes };
}

function floats(spec: ColumnSpec): number {
  return spec.type === "f32" || spec.type === "f64" ? spec.lanes : 0;
}

function valuesStep(block: Uint8Array<ArrayBuffer>, plan: Plan, same: Rows | undefined): Extract<Step, { kind: "values" }> {
  const view = new DataView(block.buffer, block.byteOffset, block.byteLength);
  const encoding = view.getUint8(1), rowKind = view.getUint8(2), place = view.getUint32(12, true);
  const entries = view.getUint32(16, true), items = view.getUint32(20, true), first = view.getUint32(24, true);
  const column = plan.columns[place];
  if (!column) throw new ProtocolError(`table ${plan.id} has no column ${place}`);
  const limit = Math.ceil(plan.rows / column.itemRows);
  let at = BLOCK_BYTES, offset = 0, scale = 0;
  if (encoding >= U8 && encoding <= U32) {
    if (block.byteLength < at + 16) throw new ProtocolError("quantised values without a scale");
    offset = view.getFloat64(at, true);
    scale = view.getFloat64(at + 8, true);
    at += 16;
  } else if (encoding !== RAW && encoding !== CONSTANT) {
    throw new ProtocolError(`values of unknown encoding ${encoding}`);
  }
  const rowBytes = rowKind === RUNS || rowKind === BITMAP ? entries * 8 : rowKind === LIST ? entries * 4 : 0;
  if (rowBytes > block.byteLength - at) throw new ProtocolError("rows beyond the end of their block");
  const words = new Uint32Array(block.buffer, block.byteOffset + at, rowBytes / 4);
  const rows = rowKind === SAME ? sameRows(same, items, limit) : rowsOf(rowKind, words, items, first, limit);
  at += Math.ceil(rowBytes / 8) * 8;
  const lanes = column.floats;
  if (encoding >= U8 && lanes === 0) throw new ProtocolError(`table ${plan.id}: quantised values of what is no float`);
  const length = encoding === RAW ? items * column.itemBytes : encoding === CONSTANT ? column.itemBytes : items * lanes * (1 << encoding - U8);
  if (at + Math.ceil(length / 8) * 8 !== block.byteLength) throw new ProtocolError(`${items} items in a block of ${block.byteLength} bytes`);
  return { kind: "values", id: plan.id, place, rows, encoding, values: block.subarray(at, at + length), offset, scale };
}

function sameRows(same: Rows | undefined, items: number, limit: number): Rows {
  if (!same) throw new ProtocolError("the same rows as none");
  if (same.items !== items) throw new ProtocolError(`${items} items at ${same.items} rows`);
  const last = same.at.length === 0 ? 0 : same.kind === LIST ? same.at[same.at.length - 1]! + 1 : same.at[same.at.length - 2]! + same.at[same.at.length - 1]!;
  if (last > limit) throw new ProtocolError(`item ${last - 1} of ${limit}`);
  return same;
}

function rowsOf(kind: number, words: Uint32Array, items: number, first: number, limit: number): Rows {
  if (kind === RUNS) {
    let end = 0, sum = 0;
    for (let i = 0; i < words.length; i += 2) {
      const from = words[i]!, count = words[i + 1]!;
      if (from < end || count > limit - from) throw new ProtocolError(`items ${from} and ${count} more of ${limit}`);
      end = from + count;
      sum += count;
    }
    if (sum !== items) throw new ProtocolError(`${items} items where runs name ${sum}`);
    return { kind: RUNS, at: words, items };
  }
  if (kind === LIST) {
    if (words.length !== items) throw new ProtocolError(`${items} items where a list names ${words.length}`);
    let before = -1;
    for (let i = 0; i < words.length; i++) {
      const item = words[i]!;
      if (item <= before) throw new ProtocolError("items that do not ascend");
      before = item;
    }
    if (before >= limit) throw new ProtocolError(`item ${before} of ${limit}`);
    return { kind: LIST, at: words, items };
  }
  if (kind !== BITMAP) throw new ProtocolError(`rows of unknown kind ${kind}`);
  if (items > words.length * 32) throw new ProtocolError(`${items} items in ${words.length * 32} bits`);
  const list = new Uint32Array(items);
  let found = 0;
  for (let word = 0; word < words.length; word++) {
    for (let bits = words[word]!; bits !== 0; bits &= bits - 1) {
      if (found === items) throw new ProtocolError(`more than ${items} items in a bitmap`);
      const item = first + word * 32 + (31 - Math.clz32(bits & -bits));
      if (item >= limit) throw new ProtocolError(`item ${item} of ${limit}`);
      list[found++] = item;
    }
  }
  if (found !== items) throw new ProtocolError(`${items} items where a bitmap names ${found}`);
  return { kind: LIST, at: list, items };
}

/** Carries a checked update out. Returns how many rows changed: of each table, those of its most changed column. */
export function apply(update: CheckedUpdate, tables: Map<number, Table>, names: Names, budget: Budget, moment: Moment): number {
  if (update.full) {
    for (const table of tables.values()) table.clear();
    tables.clear();
  }
  const changed = new Map<number, Map<number, number>>();
  for (const step of update.steps) {
    if (step.kind === "shape") {
      shape(step.plan, tables, names, budget, moment);
    } else if (step.kind === "drop") {
      tables.get(step.id)?.clear();
      tables.delete(step.id);
    } else {
      const part = tables.get(step.id)!.parts[step.place]!;
      write(part, step);
      stamp(part, step.rows, moment);
      if (step.id !== RESOURCES && part instanceof Column) {
        const columns = changed.get(step.id) ?? new Map<number, number>();
        changed.set(step.id, columns.set(step.place, (columns.get(step.place) ?? 0) + step.rows.items));
      }
    }
  }
  let rows = 0;
  for (const columns of changed.values()) rows += Math.max(...columns.values());
  return rows;
}

function shape(plan: Plan, tables: Map<number, Table>, names: Names, budget: Budget, moment: Moment): void {
  let table = tables.get(plan.id);
  if (!table) tables.set(plan.id, table = new Table(plan.id));
  const parts = table.parts;
  if (parts.length !== plan.columns.length || plan.columns.some((column, i) => column.key !== parts[i]!.key)) {
    const had = new Map(parts.map(part => [part.key, part]));
    table.reshape(plan.components, plan.columns.map(column => had.get(column.key) ?? make(column, names, budget)), moment);
  }
  table.resize(plan.rows, moment);
}

function make(column: Declared, names: Names, budget: Budget): Column | Bits {
  const { role, key } = column;
  switch (role) {
    case "handle": return new Column({ name: "entity", component: "", field: "entity", type: "entity", lanes: 1 }, role, key, budget);
    case "resources": return new Column({ name: "resources", component: "", field: "", type: "u8", lanes: 1 }, role, key, budget);
    case "field": return new Column(names.spec(column.component, column.field), role, key, budget);
    case "presence": return new Bits(names.component(column.component).name, role, key, budget);
    case "box": return new Bits("", role, key, budget);
  }
}

function stamp(part: Column | Bits, { kind, at }: Rows, moment: Moment): void {
  if (kind === LIST) return part.stampEach(at, moment);
  for (let i = 0; i < at.length; i += 2) part.stamp(at[i]!, at[i]! + at[i + 1]!, moment);
}

/** Bytes are copied as integers: a float that is no number keeps its bits. */
function write(part: Column | Bits, step: Extract<Step, { kind: "values" }>): void {
  if (step.encoding >= U8) return writeQuantised(part as Column, step);
  const { rows, values } = step, { itemBytes, bytes } = part, { at } = rows;
  const constant = step.encoding === CONSTANT;
  const unit = itemBytes % 4 === 0 ? 4 : itemBytes % 2 === 0 ? 2 : 1, per = itemBytes / unit;
  const words = (b: Uint8Array): Uint32Array | Uint16Array | Uint8Array =>
    unit === 4 ? new Uint32Array(b.buffer, b.byteOffset, b.length >> 2) : unit === 2 ? new Uint16Array(b.buffer, b.byteOffset, b.length >> 1) : b;
  const to = words(bytes), from = words(values);
  if (rows.kind === RUNS) {
    let next = 0;
    for (let i = 0; i < at.length; i += 2) {
      const first = at[i]! * per, count = at[i + 1]! * per;
      if (constant && per === 1) to.fill(from[0]!, first, first + count);
      else if (constant) for (let k = 0; k < count; k++) to[first + k] = from[k % per]!;
      else if (count > 16) to.set(from.subarray(next, next + count), first);
      else for (let k = 0; k < count; k++) to[first + k] = from[next + k]!;
      next += count;
    }
  } else if (per === 1) {
    if (constant) for (let i = 0; i < at.length; i++) to[at[i]!] = from[0]!;
    else for (let i = 0; i < at.length; i++) to[at[i]!] = from[i]!;
  } else {
    for (let i = 0; i < at.length; i++) {
      const first = at[i]! * per, source = constant ? 0 : i * per;
      for (let k = 0; k < per; k++) to[first + k] = from[source + k]!;
    }
  }
}

function writeQuantised(column: Column, step: Extract<Step, { kind: "values" }>): void {
  const { rows, values, offset, scale } = step, { at } = rows, { lanes } = column;
  const from = arrayOver(step.encoding === U8 ? "u8" : step.encoding === U32 ? "u32" : "u16", values.buffer, values.byteOffset,
    values.length / (1 << step.encoding - U8)) as Uint32Array;
  const to = column.data as Float64Array;
  let next = 0;
  const run = (first: number, count: number): void => {
    for (let k = first * lanes, end = (first + count) * lanes; k < end; k++) to[k] = offset + scale * from[next++]!;
  };
  if (rows.kind === RUNS) for (let i = 0; i < at.length; i += 2) run(at[i]!, at[i + 1]!);
  else for (let i = 0; i < at.length; i++) run(at[i]!, 1);
}
