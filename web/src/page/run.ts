//! The run behind the page: how it is steered, by whomever, and buttons that steer it where the gateway lets them.

import type { Connection } from "../view/connect.ts";
import { SteeringError, messageOf } from "../view/errors.ts";
import type { RunState, SteeringAction } from "../view/steering.ts";
import { set, setText } from "./dom.ts";
import { count, digits } from "./format.ts";

const $ = <T extends HTMLElement = HTMLButtonElement>(id: string): T => document.getElementById(id) as T;
/** How often it is asked how the run is steered: others steer, too. */
const LOOK_MS = 500;
/** The pace from which the first slower one comes. */
const PACE_FIRST = 60;
const PACE_MIN = 1e-3, PACE_MAX = 1e9;
/** Buttons, the keys that do the same, and what they do. */
const TOOLS = [["run-pause", "r"], ["run-step", "."], ["run-slower", "<"], ["run-faster", ">"], ["run-max", "m"]] as const;

export class RunBar {
  readonly #connection: Connection;
  readonly #say: (text: string) => void;
  readonly #frames = $<HTMLInputElement>("run-frames");
  readonly #pace = $<HTMLInputElement>("run-pace");
  #state: RunState | undefined;
  /** One more with each request that steers: what was asked before it says nothing any more. */
  #asked = 0;
  /** The server that knows nothing of steering. */
  #silent: unknown;
  /** Why it is not known how the run is steered, where that lasts. */
  #fault = "";

  /** `say`: tells people what went wrong. */
  constructor(connection: Connection, say: (text: string) => void) {
    this.#connection = connection;
    this.#say = say;
    for (const [id, key] of TOOLS) $(id).onclick = () => void this.key(key);
    this.#pace.onchange = () => {
      const text = this.#pace.value.trim(), pace = Number(text);
      const fault = text === "" || pace >= PACE_MIN && pace <= PACE_MAX ? "" : "a number of frames per second, from 0.001 to 1e9; empty: as fast as it goes";
      this.#pace.setCustomValidity(fault);
      if (fault) this.#pace.reportValidity();
      else void this.#steer({ action: "pace", pace: text === "" ? null : pace });
    };
    this.#pace.onblur = () => this.show();
    connection.onState(() => this.show());
    void this.#look();
  }

  /** How the run is steered, as far as that is known now. */
  get state(): RunState | undefined {
    return this.#connection.state === "live" ? this.#state : undefined;
  }

  get #may(): boolean {
    return this.state?.allowed === true && this.state.steerable;
  }

  /** Keys of the picture; true where it was one of these. */
  key(key: string): boolean {
    const { state } = this;
    if (!TOOLS.some(([, own]) => own === key)) return false;
    if (!state || !this.#may) {
      // a page that only shows has none of these keys
      if (state?.allowed) this.#say("The run is not steerable: start it with `hypostyle run --steer`");
      return state?.allowed === true;
    }
    switch (key) {
      case "r":
        void this.#steer({ action: state.paused ? "resume" : "pause" });
        break;
      case ".": {
        const frames = Number(this.#frames.value);
        const fault = Number.isSafeInteger(frames) && frames >= 1 ? "" : "a whole number of frames, 1 or more";
        this.#frames.setCustomValidity(fault);
        if (fault) this.#frames.reportValidity();
        else void this.#steer({ action: "step", frames });
        break;
      }
      case "<":
        void this.#steer({ action: "pace", pace: state.pace === undefined ? PACE_FIRST : Math.max(state.pace / 2, PACE_MIN) });
        break;
      case ">":
        if (state.pace === undefined) this.#say("The run goes as fast as it can already");
        else void this.#steer({ action: "pace", pace: Math.min(state.pace * 2, PACE_MAX) });
        break;
      default:
        void this.#steer({ action: "pace", pace: null });
    }
    return true;
  }

  async #steer(action: SteeringAction): Promise<void> {
    const asked = ++this.#asked;
    try {
      const state = await this.#connection.steer(action);
      if (asked === this.#asked) this.#state = state;
    } catch (error) {
      this.#say(`The run is not steered: ${messageOf(error)}`);
    }
    this.show();
  }

  /** Asks again and again, as long as somebody looks. */
  async #look(): Promise<void> {
    for (;;) {
      const { hello, state } = this.#connection, asked = this.#asked;
      if (state === "live" && hello && hello !== this.#silent && !document.hidden) {
        try {
          const state = await this.#connection.steering();
          if (asked === this.#asked) this.#state = state;
          this.#fault = "";
        } catch (error) {
          if (asked === this.#asked) this.#state = undefined;
          // a server that is away is the connection's to tell; all else is asked again
          const refused = error instanceof SteeringError ? error : undefined;
          if (refused?.status === 404) this.#silent = hello;
          this.#fault = refused && refused.status !== 404 ? refused.message : "";
        }
        this.show();
      }
      await new Promise(done => setTimeout(done, LOOK_MS));
    }
  }

  /** Brings the bar up to date. */
  show(): void {
    const { state } = this, bar = $<HTMLElement>("run");
    bar.hidden = state ? !state.writerAlive || !(state.allowed || state.steerable) : this.#fault === "" || this.#connection.state !== "live";
    if (!state) {
      $<HTMLElement>("run-tools").hidden = true;
      return set("run-text", this.#fault);
    }
    $<HTMLElement>("run-tools").hidden = !state.allowed;
    for (const [id] of TOOLS) $(id).disabled = !this.#may;
    this.#frames.disabled = this.#pace.disabled = !this.#may;
    $("run-faster").disabled = $("run-max").disabled = !this.#may || state.pace === undefined;
    setText($("run-pause"), state.paused ? "Resume run" : "Pause run");
    $("run-pause").setAttribute("aria-pressed", String(state.paused));
    // what is being typed stays
    if (document.activeElement !== this.#pace) {
      this.#pace.value = state.pace === undefined ? "" : String(Number(state.pace.toPrecision(6)));
      this.#pace.setCustomValidity("");
    }
    set("run-text", told(state));
  }
}

/** In a few words. */
function told({ allowed, steerable, paused, pace, frame }: RunState): string {
  if (!steerable) return "not steerable: start it with run --steer";
  const how = paused ? `paused at frame ${count(frame)}` : pace === undefined ? "running, as fast as it goes" : `running, at most ${digits(pace)} frames/s`;
  return allowed ? how : `the run is ${how}`;
}
