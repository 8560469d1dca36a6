//! The bar under the picture: through the last minutes, state by state, back and forth, and back to what is now.

import { count, digits, milliseconds } from "./format.ts";
import { set } from "./dom.ts";
import { Past, States, type State } from "./states.ts";
import type { World } from "../view/world.ts";

const $ = <T extends HTMLElement>(id: string): T => document.getElementById(id) as T;
/** The last five minutes, at ten states a second; a quarter of a gigabyte at most, which is to last for ten seconds. */
const LIMITS = { bytesMax: 256 * 2 ** 20, statesMax: 3000, gapMs: 100, spanMs: 10_000 };

export class TimeBar {
  readonly states = new States(LIMITS);
  readonly past: Past;
  readonly #world: World;
  readonly #changed: () => void;
  readonly #range = $<HTMLInputElement>("moment");
  #state: State | undefined;
  #plays = false;
  #playedAt = 0;

  /** `changed`: another state is shown. */
  constructor(world: World, changed: () => void) {
    this.#world = world;
    this.past = new Past(world);
    this.#changed = changed;
    this.#range.oninput = () => {
      this.#plays = false;
      this.go(this.states.all[Number(this.#range.value)]);
    };
    $("back").onclick = () => this.step(-1);
    $("forth").onclick = () => this.step(1);
    $("play").onclick = () => this.play();
    $("now").onclick = () => this.go(undefined);
    this.show();
  }

  /** The state that is shown instead of the newest one. */
  get state(): State | undefined {
    return this.#state;
  }

  /** Keeps what was received, while that is wanted. */
  record(at: number): void {
    if (!$<HTMLInputElement>("keep").checked) return;
    this.states.record(this.#world, at);
    // what is looked at may have been dropped: it is shown on, from its copy
    if (this.#state && this.states.all.length === 0) this.go(undefined);
  }

  /** Shows a state; none: what is now. */
  go(state: State | undefined): void {
    if (!state) this.#plays = false;
    this.#state = state;
    if (state) this.past.load(state);
    this.show();
    this.#changed();
  }

  get #index(): number {
    const { all } = this.states, at = this.#state ? all.indexOf(this.#state) : all.length - 1;
    return Math.max(0, at);
  }

  /** One state on, or back. Forth from the newest one is what is now. */
  step(by: number): void {
    this.#plays = false;
    const { all } = this.states, next = this.#index + by;
    if (all.length === 0) return;
    this.go(next >= all.length && by > 0 ? undefined : all[Math.max(0, next)]);
  }

  /** Plays what was kept, as fast as it came, round and round where that is wanted. */
  play(): void {
    const { all } = this.states;
    this.#plays = !this.#plays && all.length > 1;
    this.#playedAt = performance.now();
    if (this.#plays && (!this.#state || this.#state === all.at(-1))) this.go(all[0]);
    this.show();
  }

  /** To be called with each drawn frame. */
  tick(now: number): void {
    if (!this.#plays || !this.#state) return;
    const { all } = this.states, elapsed = now - this.#playedAt, from = this.#index;
    let next = from;
    while (next + 1 < all.length && all[next + 1]!.at - this.#state.at <= elapsed) next++;
    if (next === from && from + 1 < all.length) return;
    this.#playedAt = now;
    if (next + 1 < all.length || next > from) return this.go(all[next]);
    if ($<HTMLInputElement>("loop").checked) return this.go(all[0]);
    this.#plays = false;
    this.show();
  }

  /** Brings the bar up to date. */
  show(): void {
    const { all, bytes } = this.states, state = this.#state;
    this.#range.max = String(Math.max(0, all.length - 1));
    this.#range.value = String(this.#index);
    this.#range.disabled = all.length === 0;
    const shown = state ?? all.at(-1), newest = all.at(-1);
    const ago = state && newest ? `${milliseconds(newest.at - state.at)} before the newest` : "";
    this.#range.setAttribute("aria-valuetext", shown ? `frame ${count(shown.frame)}, time ${digits(shown.time)}${ago ? `, ${ago}` : ", the newest"}` : "nothing is kept yet");
    const span = all.length > 1 ? milliseconds(newest!.at - all[0]!.at) : "0 s";
    set("moment-text", state ? `frame ${count(state.frame)} · ${ago}` : all.length > 0 ? `now · ${span} kept, ${Math.round(bytes / 2 ** 20)} MiB` : this.states.dropped > 0 ? "a state is too large to be kept" : "nothing is kept yet");
    const play = $("play");
    play.setAttribute("aria-label", this.#plays ? "Stop playing" : "Play the last minutes");
    play.textContent = this.#plays ? "❚❚" : "▶";
    for (const id of ["back", "forth", "play"]) $<HTMLButtonElement>(id).disabled = all.length === 0;
    $<HTMLButtonElement>("now").disabled = !state;
    document.querySelector<HTMLElement>(".stage")!.dataset["past"] = String(state !== undefined);
  }
}
