//! The engine in this page or this node: columns in shared memory, web workers as its workers, and one thread where
//! neither can be had.

import { Instance, EngineError, type Block } from "./instance.ts";
import { compile, cores, thread, whyNotShared, type Thread } from "./host.ts";
import { Kernels, type Declared, type EngineWorld } from "./kernels.ts";
import { declared, startOwn } from "./own.ts";
import { Snapshot, type Described } from "./snapshot.ts";
import type { Message, Request, Role } from "./thread.ts";

export { EngineError } from "./instance.ts";
export type { EngineJob, EngineSpawn, EngineSystem, EngineWorld } from "./kernels.ts";
export { Snapshot, type EngineArray, type EnginePart, type EngineTable } from "./snapshot.ts";

/** What is to run, and how. */
export interface EngineOptions {
  /** The scene's name: `particles`, `spheres`, `nbody`, `lj`, or one of the modules' own; or a world with systems in JavaScript. */
  scene: string | EngineWorld;
  /** How many entities; without it the scene's own number. */
  entities?: number;
  /** Decides every random number; 0 without it. */
  seed?: number | bigint;
  /** Workers beside the engine's own thread; without it, one for each core but one. */
  workers?: number;
  /** A generation is published every so many frames; 1 without it. Looks see published generations. */
  publishEvery?: number;
  /** `in-process`: on this thread, even where there could be others. */
  mode?: "in-process";
  /** Where `engine.wasm`, `engine-shared.wasm` and `thread.js` are; without it, beside this module. */
  base?: string | URL;
}

/** How far a simulation is. */
export interface EngineFrame {
  frame: number;
  generation: number;
  /** Simulated seconds. */
  time: number;
  /** What the frames took, nanoseconds. */
  elapsedNs: number;
}

/** How the engine is doing. */
export interface EngineStatus {
  frame: number;
  entities: number;
  /** Jobs that workers have run. */
  jobsOnWorkers: number;
  workers: { index: number; alive: number; jobs: number; busyNs: number }[];
}

/** What runs. */
export interface EngineScene {
  scene: string;
  about: string;
  /** Simulated seconds of a frame. */
  dt: number;
  entities: number;
}

/** Pages of 64 KiB: what the shared build is linked with. */
const PAGES = { initial: 256, maximum: 16_384 };
/** How long a thread may take to begin. */
const BEGIN_MS = 20_000;

/** Where the modules and the threads' script are. Bundlers take files along whose names stand in `new URL`. */
function places(base: string | URL | undefined): { plain: URL; shared: URL; thread: URL } {
  if (base === undefined) {
    return {
      plain: new URL("./engine.wasm", import.meta.url), shared: new URL("./engine-shared.wasm", import.meta.url), thread: new URL("./thread.js", import.meta.url),
    };
  }
  const folder = new URL(base, import.meta.url), at = (name: string) => new URL(name, folder);
  return { plain: at("engine.wasm"), shared: at("engine-shared.wasm"), thread: at("thread.js") };
}

/** Who is called: an instance here, or a thread that has one. */
interface Callee {
  readonly memory: WebAssembly.Memory;
  call(name: string, numbers: (number | bigint)[], text?: string): Promise<string>;
  end(): void;
}

/** The instance on this thread. */
class Here implements Callee {
  readonly memory: WebAssembly.Memory;
  private readonly instance: Instance;
  private gone: string | undefined;

  constructor(instance: Instance) {
    this.instance = instance;
    this.memory = instance.memory;
  }

  async call(name: string, numbers: (number | bigint)[], text?: string): Promise<string> {
    if (this.gone !== undefined) throw new EngineError(this.gone, true);
    try {
      if (text !== undefined) this.instance.put(text);
      return this.instance.call(name, ...numbers);
    } catch (error) {
      if (error instanceof EngineError && error.fatal) this.gone = `the engine is gone: ${error.message}`;
      throw error;
    }
  }

  end(): void {}
}

/** An instance in a thread of its own, and its workers in theirs. */
class There implements Callee {
  readonly memory: WebAssembly.Memory;
  private readonly module: WebAssembly.Module;
  private readonly script: URL;
  private readonly kernels: Declared | undefined;
  private readonly origin = performance.timeOrigin + performance.now();
  private readonly threads: Thread[] = [];
  private readonly waiting = new Map<number, { resolve: (text: string) => void; reject: (error: Error) => void }>();
  private requests = 0;
  private gone: string | undefined;

  constructor(module: WebAssembly.Module, script: URL, kernels: Declared | undefined) {
    this.module = module;
    this.script = script;
    this.kernels = kernels;
    this.memory = new WebAssembly.Memory({ ...PAGES, shared: true });
  }

  /** Starts a thread, and waits until its instance stands. */
  begin(worker?: Role["worker"]): Promise<void> {
    return new Promise((resolve, reject) => {
      const name = worker ? `hypostyle-${worker.index}` : "hypostyle";
      const late = setTimeout(() => failed("it did not begin in time"), BEGIN_MS);
      const failed = (why: string) => {
        clearTimeout(late);
        reject(new EngineError(`a worker cannot be started: ${why}`));
        if (!worker) this.lost(why);
      };
      const message = (data: unknown) => {
        const said = data as Message;
        if (said.kind === "ready") {
          clearTimeout(late);
          resolve();
        } else if (said.kind === "died") {
          failed(said.text);
        } else {
          this.settle(said);
        }
      };
      thread(this.script, name, message, failed).then(started => {
        this.threads.push(started);
        const role: Role = { module: this.module, memory: this.memory, origin: this.origin, ...(this.kernels ? { kernels: this.kernels } : {}), ...(worker ? { worker } : {}) };
        started.post(role);
      }, (error: unknown) => failed(error instanceof Error ? error.message : String(error)));
    });
  }

  call(name: string, numbers: (number | bigint)[], text?: string): Promise<string> {
    if (this.gone !== undefined) return Promise.reject(new EngineError(this.gone, true));
    return new Promise((resolve, reject) => {
      const id = this.requests++, request: Request = { id, name, numbers, ...(text === undefined ? {} : { text }) };
      this.waiting.set(id, { resolve, reject });
      this.threads[0]!.post(request);
    });
  }

  end(): void {
    this.lost("the engine was stopped");
  }

  private settle(said: Extract<Message, { id: number }>): void {
    const waiting = this.waiting.get(said.id);
    this.waiting.delete(said.id);
    if (said.kind === "answer") {
      waiting?.resolve(said.text);
    } else {
      waiting?.reject(new EngineError(said.text, said.fatal));
      if (said.fatal) this.lost(`the engine is gone: ${said.text}`);
    }
  }

  private lost(why: string): void {
    if (this.gone !== undefined) return;
    this.gone = why;
    for (const started of this.threads) started.end();
    for (const { reject } of this.waiting.values()) reject(new EngineError(why, true));
    this.waiting.clear();
  }
}

/** A scene that runs here. */
export class Engine {
  /** `workers`: the engine has a thread of its own, and these many workers on shared memory; `in-process`: this thread. */
  readonly mode: "workers" | "in-process";
  /** Why it is in this mode. */
  readonly why: string;
  /** Workers beside the engine's own thread. */
  readonly workers: number;
  readonly scene: EngineScene;
  private readonly callee: Callee;
  private stopped = false;

  private constructor(callee: Callee, mode: Engine["mode"], why: string, workers: number, scene: EngineScene) {
    this.callee = callee;
    this.mode = mode;
    this.why = why;
    this.workers = workers;
    this.scene = scene;
  }

  /**
   * Makes the world and everything that it takes. Where memory cannot be shared or workers cannot be started, it runs on
   * this thread, and `why` says so. Rejects with an {@link EngineError} for a scene that cannot be made.
   */
  static async start(options: EngineOptions): Promise<Engine> {
    const { scene, entities = 0, seed = 0, publishEvery = 1 } = options;
    const at = places(options.base), own = typeof scene === "string" ? undefined : declared(scene);
    if (own && (options.entities ?? options.seed) !== undefined) throw new EngineError("`entities` and `seed` are for scenes with a name: a world of one's own says what it spawns");
    const begin = async (callee: Callee, threads: number, runners: number) => {
      if (typeof scene !== "string") return JSON.parse(await startOwn(callee, scene, threads, runners, publishEvery)) as EngineScene;
      const numbers = [entities, BigInt.asUintN(64, BigInt(seed)), threads, runners, publishEvery];
      return JSON.parse(await callee.call("engine_start", numbers, scene)) as EngineScene;
    };
    let why = options.mode === "in-process" ? "it was asked for" : whyNotShared();
    const runners = await cores();
    if (why === undefined) {
      const threads = options.workers ?? Math.max(0, Math.min(runners, 16) - 1);
      const there = new There(await compile(at.shared), at.thread, own);
      const started = await there.begin().then(() => true, (error: unknown) => {
        why = error instanceof Error ? error.message : String(error);
        return false;
      });
      if (started) {
        try {
          const about = await begin(there, threads, runners);
          const blocks: Block[] = [];
          for (let index = 0; index < threads; index++) blocks.push(JSON.parse(await there.call("block", [])) as Block);
          await Promise.all(blocks.map((block, index) => there.begin({ index, block })));
          return new Engine(there, "workers", "memory can be shared with workers here", threads, about);
        } catch (error) {
          there.end();
          throw error;
        }
      }
    }
    const kernels = own && await Kernels.load(own);
    const here = new Here(await Instance.make(await compile(at.plain), performance.timeOrigin, kernels));
    return new Engine(here, "in-process", why ?? "", 0, await begin(here, 0, runners));
  }

  /** Runs frames. */
  async step(frames = 1): Promise<EngineFrame> {
    return JSON.parse(await this.call("engine_step", frames)) as EngineFrame;
  }

  /** The newest state's hash, 16 hexadecimal digits: equal to what `hypostyle run --print-hash` prints for the same scene, entities, seed and frames. */
  hash(): Promise<string> {
    return this.call("engine_hash");
  }

  /** Pins the newest generation: its columns in place, as they are until it is released. */
  async pin(): Promise<Snapshot> {
    const described = JSON.parse(await this.call("engine_pin")) as Described;
    return new Snapshot(described, this.callee.memory, async () => void await this.call("engine_release", described.id));
  }

  async status(): Promise<EngineStatus> {
    return JSON.parse(await this.call("engine_status")) as EngineStatus;
  }

  /** Ends the engine and its threads. Looks are over with it. */
  async stop(): Promise<void> {
    if (this.stopped) return;
    this.stopped = true;
    try {
      await this.callee.call("engine_stop", []);
    } finally {
      this.callee.end();
    }
  }

  private call(name: string, ...numbers: number[]): Promise<string> {
    return this.stopped ? Promise.reject(new EngineError("the engine was stopped", true)) : this.callee.call(name, numbers);
  }
}
