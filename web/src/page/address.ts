//! The state of the view in the address: what is chosen, where the camera stands, who is selected.

import type { Camera } from "./camera.ts";

/** Browsers refuse addresses that change too often. */
const GAP_MS = 600;

/** What the address says after `#`. */
export function said(): URLSearchParams {
  return new URLSearchParams(location.hash.slice(1));
}

/** The camera as a text: how it looks, then numbers. */
export function cameraText(camera: Camera): string {
  const round = (value: number): string => String(Number(value.toPrecision(7))), at = camera.target.map(round);
  return (camera.orbit ? ["3d", ...at, round(camera.distance), round(camera.yaw), round(camera.pitch)] : ["2d", ...at, round(camera.scale)]).join(",");
}

/** Puts the camera where a text says; false where it says nothing of use. */
export function placeCamera(camera: Camera, text: string | null): boolean {
  const [kind, ...numbers] = (text ?? "").split(","), values = numbers.map(Number), orbit = kind === "3d";
  if (!orbit && kind !== "2d" || values.length !== (orbit ? 6 : 4) || !values.every(Number.isFinite) || !(values[3]! > 0)) return false;
  camera.orbit = orbit;
  camera.move(values[0]! - camera.target[0], values[1]! - camera.target[1], values[2]! - camera.target[2]);
  if (orbit) {
    camera.distance = values[3]!;
    camera.yaw = values[4]!;
    camera.pitch = Math.max(-1.55, Math.min(1.55, values[5]!));
  } else {
    camera.scale = values[3]!;
  }
  return true;
}

/** Writes the address, now and then, where it is another one. */
export class Address {
  #written = location.hash;
  #at = 0;

  write(state: Record<string, string>, now: number): void {
    // what somebody has just typed is taken first: the browser tells of it a little later
    if (now - this.#at < GAP_MS || this.isForeign) return;
    this.#at = now;
    // commas and bars are to be read
    const text = new URLSearchParams(state).toString().replaceAll("%2C", ",").replaceAll("%7C", "|"), hash = text === "" ? "" : `#${text}`;
    if (hash === this.#written) return;
    this.#written = hash;
    try {
      history.replaceState(null, "", hash === "" ? location.pathname + location.search : hash);
    } catch {
      // a frame without an address of its own: the link is still there to be copied
    }
  }

  /** Whether an address was typed, and not written by this. */
  get isForeign(): boolean {
    // read as `said` reads them, which takes any text
    const plain = (hash: string): string => new URLSearchParams(hash.slice(1)).toString();
    return plain(location.hash) !== plain(this.#written);
  }

  /** Takes the address as it is. */
  accept(): void {
    this.#written = location.hash;
  }

  /** The address to give to others: without the token, which is for nobody else. */
  static link(state: Record<string, string>): string {
    const url = new URL(location.href);
    url.searchParams.delete("token");
    url.hash = new URLSearchParams(state).toString();
    return url.href;
  }
}
