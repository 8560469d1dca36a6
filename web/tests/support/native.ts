//! The native program, and the engine as it is shipped.

import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { join } from "node:path";
import type { Engine as EngineType, EngineError as ErrorType } from "../../src/engine/index.ts";

/** What the package exports. */
export interface Engines {
  Engine: typeof EngineType;
  EngineError: typeof ErrorType;
}
export type Engine = EngineType;

/** Where `npm run build:engine` puts it; tests run in `web/`. */
export const BUILT = join(process.cwd(), "dist/engine");

/** Loads the engine that was built. */
export async function load(): Promise<Engines> {
  return await import(pathToFileURL(join(BUILT, "index.js")).href) as Engines;
}

export const PROGRAM = process.env["HYPOSTYLE_PROGRAM"] ?? ["release", "debug"].map(name => join("../target", name, "hypostyle")).find(path => existsSync(path));
const known = new Map<string, string>();

/** The state that the native program reaches. */
export function native(scene: string, entities: number, frames: number, seed: number): string {
  if (!PROGRAM) throw new Error("there is no native program: set HYPOSTYLE_PROGRAM to its path");
  const words = ["run", scene, "--entities", String(entities), "--frames", String(frames), "--seed", String(seed), "--workers", "threads:1", "--print-hash"];
  const line = known.get(words.join(" ")) ?? execFileSync(PROGRAM, words, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  known.set(words.join(" "), line);
  const state = /^state ([0-9a-f]{16})$/m.exec(line)?.[1];
  if (!state) throw new Error(`no state in ${line}`);
  return state;
}
