//! Kernels of the tests' world.

export function integrate(job) {
  const { rows, dt } = job, x = job.write("position.x"), vx = job.read("velocity.x");
  for (let i = 0; i < rows; i++) x[i] += vx[i] * dt;
}

/** Reads a field of the component that it writes. */
export function bounce(job) {
  const { rows } = job, vx = job.write("velocity.x"), limit = job.read("velocity.limit"), x = job.read("position.x");
  for (let i = 0; i < rows; i++) if (Math.abs(x[i]) > limit[i]) vx[i] = -vx[i];
}

/** Every type that is not f32. */
export function count(job) {
  const { rows, firstRow, frame, time } = job, turn = job.write("spin.turn"), whole = job.write("spin.whole"), sign = job.write("spin.sign");
  const row = job.write("spin.row"), on = job.write("lamp.on");
  if (!(turn instanceof Float64Array && whole instanceof BigUint64Array && sign instanceof Int32Array && row instanceof Uint32Array && on instanceof Uint8Array)) throw new Error("types");
  if (turn.length !== 2 * rows) throw new Error("two values a row");
  for (let i = 0; i < rows; i++) {
    turn[2 * i] += 0.1 * frame;
    turn[2 * i + 1] = time;
    whole[i] += BigInt(frame) << 40n;
    sign[i] = -sign[i] - 1;
    row[i] = firstRow + i;
    on[i] ^= 1;
  }
}

/** Leaves half of its rows changed. */
export function throws(job) {
  const x = job.write("position.x"), half = job.rows >> 1;
  for (let i = 0; i < half; i++) x[i] = -job.frame;
  if (job.frame === 3) throw new RangeError("no more fuel");
  for (let i = half; i < job.rows; i++) x[i] = -job.frame;
}

export function undeclared(job) {
  job.write("velocity.x");
}

export function writesBool(job) {
  job.write("lamp.on")[job.rows - 1] = 2;
}

export async function waits() {}

let kept;
export function keeps(job) {
  kept?.write("position.x");
  kept = job;
}

/** On the thread that is to break: writes half of its rows, and breaks the clock, which ends the thread through the module. */
export function breaks(job) {
  const x = job.write("position.x");
  if (globalThis.breakAt !== undefined && job.frame >= globalThis.breakAt) {
    x.fill(7, 0, job.rows >> 1);
    performance.now = () => { throw new Error("the clock is broken"); };
    return;
  }
  for (let i = 0; i < job.rows; i++) x[i] += 1;
}

/** Rows come and go: an end makes two beginnings; others get and lose a mark. */
export function age(job) {
  const { rows, frame } = job, left = job.write("life.left"), ends = [], marks = [], unmarks = [];
  for (let i = 0; i < rows; i++) {
    const then = left[i] - 1;
    if (then === 0) ends.push(i);
    else if (then % 4 === 1) marks.push(i);
    else if (then % 4 === 2) unmarks.push(i);
  }
  job.despawn(ends);
  job.spawn(2 * ends.length, { "life.left": Uint32Array.of(5 + frame % 3), "mark.value": Float64Array.from({ length: 2 * ends.length }, (_, n) => n % 2) }, ["young"]);
  job.add("mark", marks, { "mark.value": Float64Array.from(marks, row => (left[row] - 1) / 8) });
  job.remove("mark", unmarks);
  // changes wait: the arrays are still the engine's memory
  for (let i = 0; i < rows; i++) left[i]--;
}

export function stamp(job) {
  const left = job.read("life.left"), odd = Uint32Array.from({ length: job.rows }, (_, n) => n).filter(n => left[n] % 2 === 1);
  job.set(odd, { "mark.at": Uint16Array.from(odd, row => left[row]) });
}

export const changesWrongly = {
  despawns: job => job.despawn([0]), sets: job => job.set([0], { "mark.at": Uint16Array.of(1) }), types: job => job.set([0], { "mark.at": Int16Array.of(1) }),
  lengths: job => job.spawn(3, { "mark.at": Uint16Array.of(1, 2) }), rows: job => job.remove("mark", [job.rows]), fields: job => job.add("mark", [0], { "life.left": Uint32Array.of(1) }),
};
export const { despawns, sets, types, lengths, rows, fields } = changesWrongly;

export const notOne = 1;
