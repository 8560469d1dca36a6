//! An instance of the engine's module: calls with numbers, texts both ways. Knows nothing of pages and threads.

import type { Change, Kernels } from "./kernels.ts";
import { whole } from "./snapshot.ts";

/** The engine refused, failed or is gone. */
export class EngineError extends Error {
  override readonly name = "EngineError";
  /** Whether the instance that said so cannot be called any more. */
  readonly fatal: boolean;

  constructor(message: string, fatal = false) {
    super(message);
    this.fatal = fatal;
  }
}

type Call = (...numbers: (number | bigint)[]) => number;

/** What both builds export; the shared one also the last three. */
interface Exports {
  memory?: WebAssembly.Memory;
  text_make: (bytes: number) => number;
  text_start: () => number;
  text_bytes: () => number;
  memory_take: (bytes: number, align: number) => number;
  panic_text: () => number;
  patch_note: (kind: number, count: number) => number;
  patch_column: (bytes: number, types: number) => number;
  /** Only of modules with scenes of their own. */
  engine_scenes?: () => void;
  worker_died: (index: number) => void;
  __stack_pointer: WebAssembly.Global;
  __wasm_init_tls?: (at: number) => void;
  __tls_size?: WebAssembly.Global;
  __tls_align?: WebAssembly.Global;
}

/** Memory for one more thread: where its stack ends, and where its thread-local values are. */
export interface Block {
  stack: number;
  tls: number;
}

const STACK_BYTES = 1 << 20;

export class Instance {
  readonly memory: WebAssembly.Memory;
  private readonly exports: Exports & Record<string, unknown>;

  private constructor(exports: WebAssembly.Exports, memory: WebAssembly.Memory | undefined) {
    this.exports = exports as unknown as Exports & Record<string, unknown>;
    this.memory = memory ?? this.exports.memory!;
  }

  /**
   * Makes one; with `block` it is one more on a memory that has one already. `origin`: subtracted from its clock's
   * milliseconds. `kernels`: those of systems in JavaScript, if there are any.
   */
  static async make(module: WebAssembly.Module, origin: number, kernels: Kernels | undefined, memory?: WebAssembly.Memory, block?: Block): Promise<Instance> {
    const now_ms = () => performance.timeOrigin + performance.now() - origin + 1;
    const js_kernel = (system: number, firstRow: number, rows: number, dt: number, time: number, frame: number, columns: number): number => {
      try {
        if (!kernels) throw new EngineError("this instance has no kernels");
        kernels.run(system, [firstRow >>> 0, rows >>> 0, dt, time, frame], instance, columns >>> 0);
        return 0;
      } catch (error) {
        // what is thrown must not leave through the module's frames
        instance.put(error instanceof EngineError ? error.message : String(error));
        return 1;
      }
    };
    const env = { now_ms, js_kernel, ...(memory ? { memory } : {}) };
    const made = await WebAssembly.instantiate(module, { env });
    const instance = new Instance(made.exports, memory);
    if (block) {
      instance.exports.__stack_pointer.value = block.stack;
      instance.exports.__wasm_init_tls!(block.tls);
    }
    instance.exports.engine_scenes?.();
    return instance;
  }

  /** Takes memory for another thread. */
  block(): Block {
    const { memory_take, __tls_size, __tls_align } = this.exports;
    const stack = memory_take(STACK_BYTES, 16), tls = memory_take(__tls_size!.value, __tls_align!.value);
    if (stack === 0 || tls === 0) throw new EngineError("there is no memory for another thread");
    return { stack: stack + STACK_BYTES, tls };
  }

  /** Calls a function that leaves a text: the answer, or the error that is thrown. */
  call(name: string, ...numbers: (number | bigint)[]): string {
    const stack = this.exports.__stack_pointer.value as number;
    let failed: number;
    try {
      failed = (this.exports[name] as Call)(...numbers);
    } catch (trap) {
      // whatever was on the stack is lost
      this.exports.__stack_pointer.value = stack;
      throw new EngineError(this.panic() || `no memory or no stack is left, most likely (${String(trap)})`, true);
    }
    const text = this.text();
    if (failed !== 0) throw new EngineError(text);
    return text;
  }

  /** Hands a text over to the next call. */
  put(text: string): void {
    const bytes = new TextEncoder().encode(text), at = this.exports.text_make(bytes.length);
    new Uint8Array(whole(this.memory, at + bytes.length), at, bytes.length).set(bytes);
  }

  /** Within the call of a kernel: notes what is to be changed. */
  note({ kind, components, rows, count, columns }: Change): void {
    this.put(components.join());
    const copy = (at: number, { buffer, byteOffset, byteLength }: ArrayBufferView) => {
      new Uint8Array(whole(this.memory, (at >>> 0) + byteLength), at >>> 0, byteLength).set(new Uint8Array(buffer, byteOffset, byteLength));
    };
    const at = this.exports.patch_note(kind, count);
    if (rows) copy(at, rows);
    for (const { name, array, types } of columns) {
      this.put(name);
      copy(this.exports.patch_column(array.byteLength, types), array);
    }
  }

  /** Tells the engine that this instance's worker is gone. */
  died(index: number, reason: string): void {
    this.put(reason);
    this.exports.worker_died(index);
  }

  private text(): string {
    const at = this.exports.text_start(), bytes = this.exports.text_bytes();
    // a copy: decoders refuse shared memory
    return new TextDecoder().decode(new Uint8Array(whole(this.memory, at + bytes), at, bytes).slice());
  }

  private panic(): string {
    try {
      this.exports.panic_text();
      return this.text();
    } catch {
      return "";
    }
  }
}
