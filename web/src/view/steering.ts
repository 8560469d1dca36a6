//! Steering over HTTP: how the run behind the server is steered, and requests that steer it.
//!
//! Invariants: what a server says either becomes a checked object or an error that tells the HTTP status.

import { SteeringError } from "./errors.ts";

/** What a run is asked for. The pace is frames per second of real time at most; `null`: as fast as it goes. */
export type SteeringAction =
  | { readonly action: "pause" | "resume" }
  | { readonly action: "step"; readonly frames?: number }
  | { readonly action: "pace"; readonly pace: number | null };

/** How a run is steered. */
export interface RunState {
  /** Whether the server lets its clients steer. */
  readonly allowed: boolean;
  /** Whether there is a run that listens to steering. */
  readonly steerable: boolean;
  readonly paused: boolean;
  /** Frames per second of real time at most; `undefined`: as fast as it goes. */
  readonly pace: number | undefined;
  readonly writerAlive: boolean;
  /** The newest frame that the run has published. */
  readonly frame: number;
}

/** How long a server may take to answer. */
const ANSWER_MS_MAX = 10_000;

/** Asks at `url`, a server's address for its socket, how the run is steered; with `action`, steers it before. */
export async function askRun(ask: (url: string, options: RequestInit) => Promise<Response>, url: string, action?: SteeringAction): Promise<RunState> {
  const at = new URL(url);
  at.protocol = at.protocol === "wss:" || at.protocol === "https:" ? "https:" : "http:";
  at.pathname = at.pathname.replace(/[^/]*$/, "steering");
  // a body of plain text asks no leave of another origin's server in advance
  const options: RequestInit = action ? { method: "POST", body: JSON.stringify(action) } : { cache: "no-store" };
  const response = await ask(at.href, { ...options, signal: AbortSignal.timeout(ANSWER_MS_MAX) });
  let said: unknown;
  try {
    said = JSON.parse(await response.text());
  } catch {
    said = undefined;
  }
  const from = typeof said === "object" && said !== null ? said as Readonly<Record<string, unknown>> : {};
  if (!response.ok) {
    const { error } = from;
    throw new SteeringError(typeof error === "string" && error !== "" ? error.slice(0, 500) : `the server does not steer (HTTP ${response.status})`, response.status);
  }
  const { frame, pace } = from;
  if (!Number.isSafeInteger(frame) || pace !== null && typeof pace !== "number") throw new SteeringError("the server's answer is none about steering", response.status);
  return {
    allowed: from["allowed"] === true, steerable: from["steerable"] === true, paused: from["paused"] === true, pace: pace ?? undefined,
    writerAlive: from["writer_alive"] === true, frame: frame as number,
  };
}
