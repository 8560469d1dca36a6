//! The page's kernel: what has a velocity moves with it.

import type { Connection } from "../view/connect.ts";
import { Predictor, type Floats, type Kernel } from "../view/predict.ts";
import type { World } from "../view/world.ts";

/** `position += velocity * dt` for the axes whose component has a namesake field in `velocity`. */
export function kernelFor(world: World, axes: readonly string[]): Kernel | undefined {
  const pairs: [string, string][] = [];
  for (const axis of new Set(axes.map(name => name.replace(/\[\d+\]$/, "")))) {
    const spec = world.columns.get(axis), speed = spec && spec.component !== "velocity" ? world.columns.get(`velocity.${spec.field}`) : undefined;
    const floats = [spec?.type, speed?.type].every(type => type === "f32" || type === "f64");
    if (spec && speed && floats && spec.lanes === speed.lanes) pairs.push([axis, speed.name]);
  }
  if (pairs.length === 0) return undefined;
  return {
    writes: pairs.map(([to]) => to),
    reads: pairs.map(([, by]) => by),
    step({ rows, dt, table, write, read }) {
      for (const [to, by] of pairs) {
        move(write[to]!, read[by]!, dt, rows * (table.columns.get(to)?.lanes ?? 1));
      }
    },
  };
}

/** A loop of its own, so that engines see plain arrays; four values in a turn, which they do not do by themselves. */
function move(position: Floats, velocity: Floats, dt: number, length: number): void {
  let i = 0;
  for (const last = length - 3; i < last; i += 4) {
    position[i] = position[i]! + velocity[i]! * dt;
    position[i + 1] = position[i + 1]! + velocity[i + 1]! * dt;
    position[i + 2] = position[i + 2]! + velocity[i + 2]! * dt;
    position[i + 3] = position[i + 3]! + velocity[i + 3]! * dt;
  }
  for (; i < length; i++) position[i] = position[i]! + velocity[i]! * dt;
}

/** A predictor that keeps the simulation's pace between states. */
export class Pacer {
  readonly predictor: Predictor;
  /** What reconciling took since this was last set to 0, milliseconds. */
  reconcileMs = 0;
  readonly #connection: Connection;
  readonly #stop: () => void;
  #times: { at: number; time: number }[] = [];

  constructor(connection: Connection, kernel: Kernel, reconcile: "snap" | "smooth") {
    this.#connection = connection;
    // how far ahead is bounded below, by the clock
    this.predictor = new Predictor(connection.world, kernel, { reconcile, aheadMax: 1e12 });
    this.predictor.reconcile(connection.acknowledgedInput);
    this.#stop = connection.onFrame(event => {
      const at = performance.now();
      if ((this.#times.at(-1)?.time ?? -Infinity) > event.time) this.#times = [];
      this.#times.push({ at, time: event.time });
      while (this.#times.length > 2 && at - this.#times[0]!.at > 2500) this.#times.shift();
      this.predictor.reconcile(event.input);
      this.reconcileMs += performance.now() - at;
    });
  }

  /** Simulated time per second of the clock. */
  get pace(): number {
    const first = this.#times[0], last = this.#times.at(-1);
    return first && last && last.at - first.at > 100 ? (last.time - first.time) / (last.at - first.at) * 1000 : 0;
  }

  /** Moves on by so much of the clock; stands still where no state has come for a second. */
  step(ms: number): void {
    const stale = this.#connection.stats.ageMs > 1000 || this.#connection.state !== "live";
    const first = this.#times[0], last = this.#times.at(-1), usual = first && last ? (last.time - first.time) / Math.max(1, this.#times.length - 1) : 0;
    // a state is overdue by then: rather stand than run away
    const room = this.#connection.world.time + 2 * usual - this.predictor.time;
    this.predictor.step(stale ? 0 : Math.max(0, Math.min(this.pace * ms / 1000, room)), ms / 1000);
  }

  close(): void {
    this.#stop();
  }
}
