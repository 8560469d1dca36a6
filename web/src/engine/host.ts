//! What differs between pages and node: threads, files, cores. Bundlers for pages are told to leave node's modules alone.

import { EngineError } from "./instance.ts";

/** A thread with a script of its own. */
export interface Thread {
  post(message: unknown): void;
  end(): void;
}

interface Process { versions?: { node?: string } }

/** Whether this is node. */
export const NODE = (globalThis as { process?: Process }).process?.versions?.node !== undefined;

/** Why no memory can be shared with threads here; undefined: it can. */
export function whyNotShared(): string | undefined {
  if (NODE) return undefined;
  if (globalThis.crossOriginIsolated !== true || typeof SharedArrayBuffer === "undefined") {
    return "this page is not cross-origin isolated: its server must send `Cross-Origin-Opener-Policy: same-origin` and `Cross-Origin-Embedder-Policy: require-corp`";
  }
  return typeof Worker === "undefined" ? "there are no workers here" : undefined;
}

/** Threads that can run at the same time. */
export async function cores(): Promise<number> {
  if (NODE) return (await import(/* webpackIgnore: true */ /* @vite-ignore */ "node:os")).availableParallelism();
  return navigator.hardwareConcurrency || 1;
}

/** Starts a thread. `failed` is called at most once, if it cannot start or breaks off. */
export async function thread(script: URL, name: string, message: (data: unknown) => void, failed: (why: string) => void): Promise<Thread> {
  if (NODE) {
    const { Worker } = await import(/* webpackIgnore: true */ /* @vite-ignore */ "node:worker_threads"), worker = new Worker(script, { name });
    worker.on("message", message);
    worker.once("error", error => failed(String(error)));
    return { post: data => worker.postMessage(data), end: () => void worker.terminate() };
  }
  const worker = new Worker(script, { type: "module", name });
  worker.onmessage = event => message(event.data);
  worker.onerror = event => {
    event.preventDefault();
    failed(event.message || "its script was refused or not found");
  };
  return { post: data => worker.postMessage(data), end: () => worker.terminate() };
}

/** Gets and compiles a module. */
export async function compile(url: URL): Promise<WebAssembly.Module> {
  try {
    if (NODE && url.protocol === "file:") return await WebAssembly.compile(new Uint8Array(await (await import(/* webpackIgnore: true */ /* @vite-ignore */ "node:fs/promises")).readFile(url)));
    const response = await fetch(url);
    if (!response.ok) throw new Error(`the server says ${response.status}`);
    return await WebAssembly.compile(await response.arrayBuffer());
  } catch (error) {
    throw new EngineError(`${url.href} cannot be loaded: ${error instanceof Error ? error.message : String(error)}`);
  }
}
