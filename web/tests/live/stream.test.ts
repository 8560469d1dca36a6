//! Against the real gateway: whatever the network does, the view-world holds the server's bytes.
//!
//! `GENERATIONS` says how many generations the client holds on the way (default 300; 10,000 takes some minutes), `SEED`
//! which faults it meets.

import assert from "node:assert/strict";
import { test } from "node:test";
import { connect, type Connection } from "../../src/view/connect.ts";
import { engine, faultyProxy, noProgram, until } from "../support/engine.ts";
import { Random } from "../support/random.ts";
import type { Column } from "../../src/view/table.ts";
import { sameWorlds } from "../support/compare.ts";
import { hashes, snapshot } from "../support/snapshot.ts";

const GENERATIONS = Number(process.env["GENERATIONS"] ?? 300);
const SEED = Number(process.env["SEED"] ?? Date.now() % 1e9);

function view(port: number, options: Parameters<typeof connect>[1] = {}): Connection {
  return connect(`ws://127.0.0.1:${port}/live`, { retryMsMin: 20, retryMsMax: 200, silenceMsMax: 2500, ...options });
}

/** A state's columns by table and name, to be compared with later ones. */
function kept({ world }: Connection) {
  const bytes = new Map(world.tables.flatMap(table => table.parts.map(part => [`${table.id} ${part.key}`, part.bytes.slice(0, part.bytesOf(table.rows))] as const)));
  return { generation: world.generation, series: world.series, bytes };
}

/** Chunks whose bytes are not those of the state that was kept are told. Returns how many chunks are told, and how many there are. */
function told({ world }: Connection, then: ReturnType<typeof kept>): [number, number] {
  const changed = world.changedSince(then.generation, then.series);
  let all = 0;
  for (const table of world.tables) {
    for (const part of table.parts) {
      const name = part.role === "handle" ? "(entity)" : part.role === "field" ? (part as Column).name : part.component;
      const chunks = changed.find(column => column.table === table && column.name === name)?.chunks, had = then.bytes.get(`${table.id} ${part.key}`) ?? new Uint8Array(0);
      for (let chunk = 0; chunk * 1024 < table.rows; chunk++, all++) {
        const from = part.bytesOf(chunk * 1024), to = part.bytesOf(Math.min((chunk + 1) * 1024, table.rows));
        const same = Buffer.compare(part.bytes.subarray(from, to), had.subarray(from, to)) === 0;
        assert.ok(same || chunks?.contains(chunk), `chunk ${chunk} of ${name} in table ${table.id}, from ${then.generation} to ${world.generation}, seed ${SEED}`);
      }
    }
  }
  return [changed.reduce((sum, { chunks }) => sum + [...chunks].length, 0), all];
}

test(`drops, stalls and reconnects end in the server's bytes (${GENERATIONS} generations, seed ${SEED})`, { skip: noProgram, timeout: 1_800_000 }, async () => {
  const real = await engine("stream", ["--entities", "5000", "--frames", "1000000000", "--publish-every", "20", "--workers", "local"], ["--rate", "500"]);
  const proxy = await faultyProxy(real.port, new Random(SEED), 250);
  const all = view(proxy.port), some = view(proxy.port, { columns: ["position", "velocity.y", "frozen"], rateHz: 15, window: 1 });
  try {
    await all.ready();
    const first = all.world.generation, seen = new Map<number, string>();
    let compared = 0, then = kept(all), less = 0;
    // kept for a while, to be compared with a snapshot of the same generation
    all.onFrame(event => {
      seen.set(event.generation, hashes(all.world).join("\n"));
      if (seen.size > 200) seen.delete(seen.keys().next().value!);
      const [chunks, there] = told(all, then);
      if (chunks < there) less++;
      if (all.stats.updates % 5 === 0) then = kept(all);
    });
    while (all.stats.updates < GENERATIONS || all.stats.reconnects < 3 || compared < 3) {
      const now = await snapshot(real.port);
      await until("news", () => all.world.generation >= now.generation);
      const mine = seen.get(now.generation);
      if (mine) {
        assert.equal(mine, hashes(now).join("\n"), `generation ${now.generation}, seed ${SEED}`);
        compared++;
      }
      await new Promise(done => setTimeout(done, 50));
    }
    await real.run.stop();
    proxy.calm();
    for (const connection of [all, some]) {
      const last = await snapshot(real.port, connection.asked.columns);
      await until("the last generation", () => connection.world.generation === last.generation && connection.state === "live");
      sameWorlds(connection.world, last, `at the end, seed ${SEED}`);
      assert.deepEqual(hashes(connection.world), hashes(last));
    }
    assert.ok(all.stats.resumes > 0, "connections were resumed");
    assert.ok(less > all.stats.updates / 2, `${less} of ${all.stats.updates} updates left a chunk as it was`);
    assert.ok(proxy.faults.cut > 0 && proxy.faults.stalled > 0);
    console.log(`${all.world.generation - first} generations of the server, ${all.stats.updates} held (${all.stats.fullUpdates} full), ${proxy.faults.cut} cuts, `
      + `${proxy.faults.stalled} stalls, ${all.stats.reconnects} reconnects, ${all.stats.resumes} resumed, ${compared} compared on the way`);
  } finally {
    all.close();
    some.close();
    proxy.close();
    await real.close();
  }
});

test("subscriptions change on a live connection; refusals leave it as it is", { skip: noProgram, timeout: 120_000 }, async () => {
  const real = await engine("subscribe", ["--entities", "2000", "--frames", "1000000000", "--workers", "local"]);
  const connection = view(real.port, { columns: ["position.x"] });
  try {
    await connection.ready();
    assert.deepEqual([...connection.world.tables[0]!.columns.keys()], ["position.x"]);
    await assert.rejects(connection.subscribe({ columns: ["nonsense"] }), /nonsense/);
    const then = connection.world.generation;
    await until("news after a refusal", () => connection.world.generation > then);
    await connection.subscribe({ columns: ["position", "frozen"], rateHz: 30 });
    await until("the new columns", () => connection.world.tables.some(table => table.columns.has("position.z")));
    const gravity = connection.world.resource("gravity");
    assert.equal(gravity?.get("x"), 0);
    assert.ok((gravity?.get("y") as number) < -9);
    const bounded = await connection.subscribe({ columns: ["position"], quantise: { "position.x": 0.05 } });
    assert.deepEqual(bounded.quantised, ["position.x"]);
    await until("quantised values", () => connection.world.column("position.x").length > 1000);
    const x = connection.world.column("position.x").toArray() as Float32Array;
    assert.ok(x.every(value => value > -1 && value < 101));
    await connection.subscribe({ columns: ["position"], box: { fields: ["position.x"], min: [0], max: [50] } });
    await until("a box", () => connection.world.tables.some(table => table.inBox !== undefined));
    for (const table of connection.world.tables) {
      const values = table.columns.get("position.x")!.data as Float32Array;
      for (let row = 0; row < table.rows; row++) if (table.inBox?.has(row)) assert.ok(values[row]! >= 0 && values[row]! <= 50);
    }
    const inside = connection.world.column("position.x"), shown = [...inside].map(Number);
    assert.ok(shown.length > 100 && shown.length === inside.length && shown.length === connection.world.entities.count);
    assert.ok(shown.every(value => value >= 0 && value <= 50) && shown.filter(value => value === 0).length < 10, "rows outside are not there");
    assert.deepEqual([...inside.toArray() as Float32Array], shown);
  } finally {
    connection.close();
    await real.close();
  }
});
