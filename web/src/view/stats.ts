//! What a connection measures: rates over the last second, times of the newest update.

/** Sums of the last second, in tenths. */
class Rate {
  readonly #sums = new Float64Array(10);
  #tick = 0;

  add(now: number, amount: number): void {
    this.#advance(now);
    this.#sums[this.#tick % 10] = (this.#sums[this.#tick % 10] ?? 0) + amount;
  }

  /** Per second, over the nine whole tenths before this one. */
  perSecond(now: number): number {
    this.#advance(now);
    let sum = 0;
    for (let i = 1; i < 10; i++) sum += this.#sums[(this.#tick + i) % 10] ?? 0;
    return sum / 0.9;
  }

  #advance(now: number): void {
    const tick = Math.floor(now / 100);
    if (tick - this.#tick >= 10) this.#sums.fill(0);
    else for (let t = this.#tick + 1; t <= tick; t++) this.#sums[t % 10] = 0;
    this.#tick = Math.max(tick, this.#tick);
  }
}

/** A connection's measurements. All times are milliseconds. */
export class Stats {
  /** The last update: checking and applying it. */
  applyMs = 0;
  /** Since the connection was made. */
  bytes = 0;
  updates = 0;
  rows = 0;
  /** Connections made after the first. */
  reconnects = 0;
  /** Of those, how many went on without a full state. */
  resumes = 0;
  fullUpdates = 0;
  /** From a ping to its pong; NaN before the first. */
  roundTripMs = NaN;
  #updatedAt = NaN;
  readonly #now: () => number;
  readonly #byteRate = new Rate();
  readonly #rowRate = new Rate();
  readonly #updateRate = new Rate();

  constructor(now: () => number) {
    this.#now = now;
  }

  get bytesPerSecond(): number {
    return this.#byteRate.perSecond(this.#now());
  }

  get rowsPerSecond(): number {
    return this.#rowRate.perSecond(this.#now());
  }

  get updatesPerSecond(): number {
    return this.#updateRate.perSecond(this.#now());
  }

  /** How long ago the newest state came. */
  get ageMs(): number {
    return this.#now() - this.#updatedAt;
  }

  received(bytes: number): void {
    this.bytes += bytes;
    this.#byteRate.add(this.#now(), bytes);
  }

  applied(rows: number, full: boolean, ms: number): void {
    this.rows += rows;
    this.updates++;
    if (full) this.fullUpdates++;
    this.applyMs = ms;
    this.#updatedAt = this.#now();
    this.#rowRate.add(this.#updatedAt, rows);
    this.#updateRate.add(this.#updatedAt, 1);
  }
}
