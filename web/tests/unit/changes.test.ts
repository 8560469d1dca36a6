//! `changedSince` against copies of every state that there was.

import assert from "node:assert/strict";
import { test } from "node:test";
import { ViewError } from "../../src/view/errors.ts";
import { decode, type UpdatePart } from "../../src/view/protocol.ts";
import { World } from "../../src/view/world.ts";
import { Random } from "../support/random.ts";
import { COMPONENTS, HELLO, columnsOf, copy, difference, json, mutate, resize, update, type Model, type ModelTable } from "../support/server.ts";

const SEED = Number(process.env["SEED"] ?? Date.now() % 1e9);

function fresh(): World {
  const world = new World(2 ** 26), hello = decode(json(1, HELLO));
  if (hello.kind !== "hello") assert.fail();
  world.announce(hello.hello);
  return world;
}

/** Leads the world from one state to another. */
function lead(world: World, from: Model | undefined, to: Model, generation: number, random: Random): void {
  const full = from === undefined, heading = { subscription: 1, from: world.generation, to: generation, frame: generation, time: 0, full };
  const parts = update(heading, difference(from, to, random)).map(bytes => {
    const message = decode(bytes);
    return message.kind === "update" ? message.part : assert.fail();
  }) as UpdatePart[];
  const applied = world.apply(parts);
  assert.deepEqual([applied.generation, applied.series], [world.generation, world.series]);
}

function nameOf(table: ModelTable, place: number): string {
  const { role, component: id, field } = table.columns[place]!, component = COMPONENTS.find(component => component.id === id);
  if (role === 0) return "(entity)";
  if (role === 7) return "(inside)";
  if (role === 2) return component!.name;
  return `${component!.name}.${component!.fields.find((given, i) => ("index" in given ? Number(given.index) : i) === field)!.name}`;
}

/** The bytes of a chunk's rows. */
function chunkOf(table: ModelTable, place: number, chunk: number): Uint8Array {
  const bytes = table.columns[place]!.bytes;
  return table.data[place]!.subarray(chunk * (bytes === 0 ? 128 : 1024 * bytes), (chunk + 1) * (bytes === 0 ? 128 : 1024 * bytes));
}

/** The chunks that the step from one state to the next changed, as `table name chunk`. */
function step(from: Model | undefined, to: Model): Set<string> {
  const changed = new Set<string>();
  for (const table of to.values()) {
    if (table.id === 1) continue;
    const old = from?.get(table.id);
    table.columns.forEach((_, place) => {
      for (let chunk = 0; chunk * 1024 < table.rows; chunk++) {
        const grown = old === undefined || old.rows < Math.min(table.rows, (chunk + 1) * 1024);
        const now = chunkOf(table, place, chunk), had = grown ? now : chunkOf(old, place, chunk).subarray(0, now.length);
        if (grown || Buffer.compare(now, had) !== 0) changed.add(`${table.id} ${nameOf(table, place)} ${chunk}`);
      }
    });
  }
  return changed;
}

function told(world: World, generation: number, series?: number): string[] {
  return world.changedSince(generation, series).flatMap(({ table, name, chunks }) => {
    const found = [...chunks], runs = [...chunks.runs()], rows = runs.flatMap(([from, to]) => Array.from({ length: Math.ceil((to - from) / 1024) }, (_, i) => (from >> 10) + i));
    assert.ok(found.length > 0 && !chunks.isEmpty && chunks.chunks === Math.ceil(table.rows / 1024) && !chunks.contains(chunks.chunks));
    assert.deepEqual(rows, found);
    assert.ok(runs.every(([from, to], i) => from % 1024 === 0 && to <= table.rows && from > (runs[i - 1]?.[1] ?? -1)));
    return found.map(chunk => `${table.id} ${name} ${chunk}`);
  }).sort();
}

test(`what changed since a generation is what its updates brought (seed ${SEED})`, () => {
  for (let round = 0; round < 8; round++) {
    const random = new Random(SEED + round), world = fresh();
    let model: Model = new Map(), generation = 0;
    /** Of each state that was held: its number, its series, and what has changed since. */
    const seen: { generation: number; series: number; since: Set<string> }[] = [];
    for (let i = 0; i < 25; i++) {
      const next = copy(model), full = i === 0 || random.chance(0.08), restarted = full && random.chance(0.5);
      mutate(next, random);
      // numbers go on, stay (another subscription), or begin anew (another simulation)
      generation = restarted ? 1 + random.below(generation + 1) : generation + (full && i > 0 ? random.below(3) : 1 + random.below(3));
      lead(world, full ? undefined : model, next, generation, random);
      const changes = step(full ? undefined : model, next), there = step(undefined, next);
      for (const old of seen) for (const chunk of changes) old.since.add(chunk);
      for (const old of seen.filter(old => old === seen.at(-1) || random.chance(0.3))) {
        // chunks that are no longer there are told to nobody
        const expected = [...full || old.series !== world.series ? there : old.since].filter(chunk => there.has(chunk)).sort();
        assert.deepEqual(told(world, old.generation, old.series), expected, `round ${round}, from ${old.generation} to ${generation}`);
        const doubted = told(world, old.generation), found = new Set(doubted), missing = expected.filter(chunk => !found.has(chunk));
        assert.deepEqual(missing, [], `round ${round}, without a series, from ${old.generation} of ${old.series} to ${generation} of ${world.series}`);
      }
      assert.deepEqual(told(world, world.generation, world.series), []);
      assert.deepEqual(told(world, 0), [...there].sort());
      seen.push({ generation, series: world.series, since: new Set() });
      model = next;
    }
  }
});

test("one row is one chunk, and a simulation that begins anew is all new", () => {
  const random = new Random(1), world = fresh(), table: ModelTable = { id: 2, columns: columnsOf([0, 4]), components: [0, 4], rows: 0, data: [] };
  resize(table, 5000);
  let model: Model = new Map([[2, table]]);
  lead(world, undefined, model, 7, random);
  assert.deepEqual(told(world, 7), [], "the first state is held in one series alone");
  const next = copy(model);
  next.get(2)!.data[1]![1500 * 4] = 1;
  next.get(2)!.data[4]![2048 >> 3] = 1;
  lead(world, model, next, 9, random);
  model = next;
  assert.deepEqual(world.changedSince(7).map(({ name, chunks }) => [name, [...chunks.runs()]]), [["position.x", [[1024, 2048]]], ["frozen", [[2048, 3072]]]]);
  assert.deepEqual(told(world, 9), []);
  // the same numbers again, from a simulation that was started anew
  const series = world.series;
  world.clear();
  assert.deepEqual(world.changedSince(7), []);
  lead(world, undefined, model, 3, random);
  lead(world, model, model, 11, random);
  assert.equal(world.series, series + 1);
  for (const all of [told(world, 7), told(world, 9, series)]) assert.equal(all.length, 5 * 5);
  assert.deepEqual(told(world, 3, world.series), []);
  assert.deepEqual(told(world, 11), [], "more than was ever held before");
  for (const wrong of [-1, 0.5, NaN]) assert.throws(() => world.changedSince(wrong), ViewError);
});
