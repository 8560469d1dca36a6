// bitECS in the cases that it has in common with the other engines; a row of results per line, as JSON.
//
// The cases, their sizes, rounds and initial values are those of ../ecs, so that the final states must be equal: what is
// added to a float is rounded to f32 first, as everywhere else.
//
// node run.mjs [--quick] [--rounds N] [--cases PART[,PART...]]

import { addComponent, addEntity, asBuffer, createWorld, query, removeComponent } from 'bitecs';

const args = process.argv.slice(2);
const option = (name) => (args.includes(name) ? args[args.indexOf(name) + 1] : undefined);
const quick = args.includes('--quick');
const rounds = Number(option('--rounds') ?? (quick ? 2 : 11));
const wanted = (option('--cases') ?? '').split(',').filter((part) => part !== '');
const warm = quick ? 1 : 2;
const f32 = Math.fround;
const DT = f32(1 / 60);

// the checksum of ../ecs/src/checksum.rs

const MASK = (1n << 64n) - 1n;
const bits = new DataView(new ArrayBuffer(4));

function bitsOf(value) {
  bits.setFloat32(0, value);
  return BigInt(bits.getUint32(0));
}

class Checksum {
  sum = 0n;

  words(words) {
    let hash = 0x9e3779b97f4a7c15n;
    for (const word of words) {
      hash = ((hash ^ word) * 0xbf58476d1ce4e5b9n) & MASK;
      hash ^= hash >> 29n;
    }
    hash = ((hash ^ (hash >> 32n)) * 0x94d049bb133111ebn) & MASK;
    this.sum = (this.sum + (hash ^ (hash >> 31n))) & MASK;
  }

  floats(values) {
    this.words(values.map(bitsOf));
  }

  get() {
    return this.sum.toString(16).padStart(16, '0');
  }
}

function quantile(sorted, q) {
  const place = (sorted.length - 1) * q;
  const low = sorted[Math.floor(place)];
  return low + (sorted[Math.ceil(place)] - low) * (place % 1);
}

/** Measures the contenders of a case in turn and prints their rows. */
function measure(group, name, entities, operations, repeats, unit, contenders) {
  if (wanted.length > 0 && !wanted.some((part) => `${group}: ${name}`.includes(part))) return;
  const made = contenders.map((contender) => ({ ...contender, state: contender.make(), times: [] }));
  for (let round = 0; round < warm + rounds; round++) {
    for (const contender of made) {
      const begun = process.hrtime.bigint();
      for (let repeat = 0; repeat < repeats; repeat++) contender.run(contender.state);
      const nanoseconds = Number(process.hrtime.bigint() - begun);
      if (round >= warm) contender.times.push(nanoseconds / (operations * repeats));
    }
  }
  for (const { variant, times, check, state } of made) {
    times.sort((a, b) => a - b);
    const note = `node ${process.version} in a process of its own, not interleaved with the others`;
    const [median, low, high] = [0.5, 0.25, 0.75].map((q) => quantile(times, q));
    const row = { group, case: name, entities, engine: 'bitECS', variant, unit, median, low, high };
    console.log(JSON.stringify({ ...row, checksum: check(state), note }));
  }
}

const floats = (n, count) => Array.from({ length: count }, () => new Float32Array(n + 1));

// integrate and simple_iter

function moving(n, position, velocity) {
  const [px, py, pz, vx, vy, vz] = floats(n, 6);
  const Position = { x: px, y: py, z: pz };
  const Velocity = { x: vx, y: vy, z: vz };
  const world = createWorld();
  for (let index = 0; index < n; index++) {
    const eid = addEntity(world);
    addComponent(world, eid, Position);
    addComponent(world, eid, Velocity);
    [px[eid], py[eid], pz[eid]] = position(index);
    [vx[eid], vy[eid], vz[eid]] = velocity(index);
  }
  return { world, Position, Velocity };
}

function advance({ world, Position, Velocity }, dt, modifiers) {
  const { x: px, y: py, z: pz } = Position;
  const { x: vx, y: vy, z: vz } = Velocity;
  const entities = query(world, [Position, Velocity], ...modifiers);
  for (let at = 0; at < entities.length; at++) {
    const eid = entities[at];
    px[eid] += f32(vx[eid] * dt);
    py[eid] += f32(vy[eid] * dt);
    pz[eid] += f32(vz[eid] * dt);
  }
}

function checkMoving({ world, Position, Velocity }, withVelocity) {
  const sum = new Checksum();
  for (const eid of query(world, [Position, Velocity])) {
    const p = [Position.x[eid], Position.y[eid], Position.z[eid]];
    sum.floats(withVelocity ? [...p, Velocity.x[eid], Velocity.y[eid], Velocity.z[eid]] : p);
  }
  return sum.get();
}

function both(make, run, check) {
  return [
    { variant: 'query', make, run: (state) => run(state, []), check },
    { variant: 'query, asBuffer', make, run: (state) => run(state, [asBuffer]), check },
  ];
}

for (const n of quick ? [1_000] : [10_000, 100_000, 1_000_000]) {
  const passes = Math.min(Math.max(Math.floor(200_000 / n), 1), 20);
  const position = (index) => [index, index * 0.5, -index];
  const velocity = (index) => {
    const x = f32((index % 1000) * f32(1e-3));
    return [x, f32(x + f32(1e-3)), f32(x - 0.5)];
  };
  const contenders = both(
    () => moving(n, position, velocity),
    (state, modifiers) => advance(state, DT, modifiers),
    (state) => checkMoving(state, true),
  );
  measure('integrate', '1 thread', n, n, 10 * passes, 'ns/entity', contenders);
}

for (const n of quick ? [100] : [10_000]) {
  const contenders = both(
    () => moving(n, () => [1, 0, 0], () => [1, 0, 0]),
    (state, modifiers) => advance(state, 1, modifiers),
    (state) => checkMoving(state, false),
  );
  measure('ecs_bench_suite', 'simple_iter', n, n, quick ? 10 : 200, 'ns/entity', contenders);
}

// fragmented_iter: 26 tables of 20 entities

{
  const n = 520;
  const make = () => {
    const [data] = floats(n, 1);
    const letters = Array.from({ length: 26 }, () => ({ value: new Float32Array(n + 1) }));
    const Data = { value: data };
    const world = createWorld();
    for (let index = 0; index < n; index++) {
      const eid = addEntity(world);
      addComponent(world, eid, letters[Math.floor(index / 20)]);
      addComponent(world, eid, Data);
      data[eid] = 1 + index;
    }
    return { world, Data };
  };
  const run = ({ world, Data }, modifiers) => {
    const { value } = Data;
    const entities = query(world, [Data], ...modifiers);
    for (let at = 0; at < entities.length; at++) value[entities[at]] *= 2;
  };
  const check = ({ world, Data }) => {
    const sum = new Checksum();
    for (const eid of query(world, [Data])) sum.floats([Data.value[eid]]);
    return sum.get();
  };
  const repeats = quick ? 10 : 200;
  measure('ecs_bench_suite', 'fragmented_iter, 20 entities a table', n, n, repeats, 'ns/entity', both(make, run, check));
}

// schedule: AB, ABC, ABCD, ABCE; swap A and B, C and D, C and E

for (const n of quick ? [100] : [10_000]) {
  const make = () => {
    const components = floats(4 * n, 5).map((value) => ({ value }));
    const world = createWorld();
    for (const letters of [[0, 1], [0, 1, 2], [0, 1, 2, 3], [0, 1, 2, 4]]) {
      for (let index = 0; index < n; index++) {
        const eid = addEntity(world);
        for (const letter of letters) {
          addComponent(world, eid, components[letter]);
          components[letter].value[eid] = index * 8 + letter;
        }
      }
    }
    return { world, components };
  };
  const run = ({ world, components }, modifiers) => {
    const [A, B, C, D, E] = components;
    for (const [first, second] of [[A, B], [C, D], [C, E]]) {
      const [a, b] = [first.value, second.value];
      const entities = query(world, [first, second], ...modifiers);
      for (let at = 0; at < entities.length; at++) {
        const eid = entities[at];
        const value = a[eid];
        a[eid] = b[eid];
        b[eid] = value;
      }
    }
  };
  const check = ({ world, components }) => {
    const sum = new Checksum();
    const has = components.map((component) => new Set(query(world, [component])));
    for (const eid of query(world, [components[0]])) {
      sum.floats(components.map(({ value }, letter) => (has[letter].has(eid) ? value[eid] : -Infinity)));
    }
    return sum.get();
  };
  const name = 'schedule, so many of each of 4 tables';
  const contenders = both(make, run, check).map((each) => ({ ...each, variant: `1 thread, ${each.variant}` }));
  measure('ecs_bench_suite', name, n, 4 * n, quick ? 10 : 20, 'ns/entity', contenders);
}

// add_remove

for (const n of quick ? [100] : [10_000]) {
  const make = () => {
    const [a, b] = floats(n, 2);
    const [A, B] = [{ value: a }, { value: b }];
    const world = createWorld();
    for (let index = 0; index < n; index++) {
      const eid = addEntity(world);
      addComponent(world, eid, A);
      a[eid] = index;
    }
    return { world, A, B };
  };
  const run = ({ world, A, B }) => {
    const entities = query(world, [A]);
    for (let at = 0; at < entities.length; at++) {
      addComponent(world, entities[at], B);
      B.value[entities[at]] = 2;
    }
    for (let at = 0; at < entities.length; at++) removeComponent(world, entities[at], B);
  };
  const check = ({ world, A, B }) => {
    const sum = new Checksum();
    for (const eid of query(world, [A])) sum.floats([A.value[eid]]);
    sum.words([BigInt(query(world, [B]).length)]);
    return sum.get();
  };
  const contenders = [{ variant: 'addComponent and removeComponent', make, run, check }];
  measure('ecs_bench_suite', 'add_remove', n, n, quick ? 1 : 3, 'ns/entity', contenders);
}
