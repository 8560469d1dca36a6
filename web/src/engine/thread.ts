//! The script of the engine's threads: one has the engine and answers the page, the others are its workers.

import { EngineError, Instance, type Block } from "./instance.ts";
import { NODE } from "./host.ts";
import { Kernels, type Declared } from "./kernels.ts";

/** The first message to a thread. */
export interface Role {
  module: WebAssembly.Module;
  memory: WebAssembly.Memory;
  origin: number;
  /** The systems whose kernels this thread imports. */
  kernels?: Declared;
  /** A worker's number; none: this thread has the engine. */
  worker?: { index: number; block: Block };
}

/** A call of the engine, with a text where it takes one. */
export interface Request {
  id: number;
  name: string;
  numbers: (number | bigint)[];
  text?: string;
}

/** What threads say. */
export type Message =
  | { kind: "ready" }
  | { kind: "answer"; id: number; text: string }
  | { kind: "error"; id: number; text: string; fatal: boolean }
  | { kind: "died"; text: string };

interface Scope {
  postMessage(message: unknown): void;
  onmessage: ((event: { data: unknown }) => void) | null;
}

type Post = (message: Message) => void;

/** Connects to the page; on a page at once, as messages do not wait. */
function connect(receive: (data: unknown, post: Post) => void): void {
  if (NODE) {
    void import(/* webpackIgnore: true */ /* @vite-ignore */ "node:worker_threads").then(({ parentPort }) => {
      const post: Post = message => parentPort!.postMessage(message);
      parentPort!.on("message", data => receive(data, post));
    });
  } else {
    const self = globalThis as unknown as Scope;
    self.onmessage = event => receive(event.data, message => self.postMessage(message));
  }
}

let instance: Instance | undefined;

async function begin(role: Role, post: Post): Promise<void> {
  const { module, memory, origin, worker } = role, kernels = role.kernels && await Kernels.load(role.kernels);
  instance = await Instance.make(module, origin, kernels, memory, worker?.block);
  post({ kind: "ready" });
  if (!worker) return;
  try {
    instance.call("worker_run", worker.index);
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    if (error instanceof EngineError && error.fatal) instance.died(worker.index, text);
    post({ kind: "died", text });
  }
}

function answer({ id, name, numbers, text }: Request): Message {
  try {
    if (!instance) throw new EngineError("the thread has not begun");
    if (name === "block") return { kind: "answer", id, text: JSON.stringify(instance.block()) };
    if (text !== undefined) instance.put(text);
    return { kind: "answer", id, text: instance.call(name, ...numbers) };
  } catch (error) {
    return { kind: "error", id, text: error instanceof Error ? error.message : String(error), fatal: error instanceof EngineError && error.fatal };
  }
}

connect((data, post) => {
  if (instance) post(answer(data as Request));
  else begin(data as Role, post).catch((error: unknown) => post({ kind: "died", text: error instanceof EngineError ? error.message : String(error) }));
});
