//! How the connection is doing: the state in the header, and the banner over a picture that is old.

import type { Connection } from "../view/connect.ts";
import type { RunState } from "../view/steering.ts";
import { set, setText } from "./dom.ts";

const $ = (id: string): HTMLElement => document.getElementById(id)!;

/** What a banner says, and what it asks for. */
function told({ state, reason, refused, nextTryAt }: Connection): { head: string; text: string } {
  if (refused === 401) return { head: "A token is needed", text: `${reason}.` };
  if (refused === 403) return { head: "Not allowed from here", text: `${reason}. Start the gateway with --allow-origin ${location.origin}` };
  if (refused === 503) return { head: "The gateway is full", text: `${reason}; next try in ${left(nextTryAt)} s` };
  if (state === "closed") return { head: "Closed", text: reason };
  return { head: "Not connected", text: state === "waiting" ? `${reason}; next try in ${left(nextTryAt)} s` : reason };
}

function left(at: number): number {
  return Math.max(0, Math.ceil((at - performance.now()) / 1000));
}

export function showState(connection: Connection, run: RunState | undefined): void {
  const { state, stats } = connection;
  let shown: string = state, text: string = state;
  if (state === "live") {
    if (!connection.writerAlive) [shown, text] = ["ended", "the simulation has ended"];
    else if (run?.paused) text = "run paused";
    else text = stats.ageMs > 3000 ? `live, nothing new for ${Math.round(stats.ageMs / 1000)} s` : "live";
  } else if (state === "waiting") {
    text = "disconnected";
  }
  $("state").dataset["state"] = shown;
  set("state-text", text);
  set("region", connection.hello ? `· ${connection.hello.region}` : $("region").textContent ?? "");
  document.title = `${connection.hello?.region ?? "hypostyle"}${state === "live" ? "" : ` (${text})`}`;
  const lost = state === "waiting" || state === "closed" || state === "connecting" && stats.updates > 0;
  const banner = $("banner"), stage = banner.parentElement!;
  banner.hidden = !lost;
  stage.dataset["stale"] = String(lost);
  if (lost) {
    const { head, text } = told(connection);
    setText(banner.querySelector("b")!, head);
    setText(banner.querySelector("span")!, text);
    $("retry").hidden = state !== "waiting";
    $("token-form").hidden = connection.refused !== 401;
  }
  $("pause").setAttribute("aria-pressed", String(state === "paused"));
  setText($("pause"), state === "paused" ? "Go on" : "Pause view");
}
