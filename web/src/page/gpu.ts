//! The GPU's side of what is drawn: programs, and a buffer for each column.
//!
//! Each column has a buffer on the GPU, brought up to date chunk by chunk, as the stamps say. What WebGL cannot read as
//! it is (64-bit values, bits) is converted, changed chunks alone.

import { CHUNK_ROWS, Bits, Column } from "../view/table.ts";
import { smallNumbers } from "../view/types.ts";
import type { Computed } from "./computed.ts";

/** WebGL's longest way from one value of an attribute to the next, bytes. */
const STRIDE_MAX = 255;

/** Where the values of one axis, or of the colour, come from in a table. */
export type Source =
  | { readonly kind: "column"; readonly column: Column; readonly lane: number }
  | { readonly kind: "bits"; readonly bits: Bits }
  | { readonly kind: "floats"; readonly data: Float32Array | Float64Array; readonly lanes: number; readonly lane: number; readonly version: number }
  | { readonly kind: "computed"; readonly computed: Pick<Computed, "data" | "stamps"> }
  | { readonly kind: "constant"; readonly value: number };

/** What reads a source's values row by row. */
export function readerOf(source: Source): (row: number) => number {
  switch (source.kind) {
    case "constant": return () => source.value;
    case "bits": return row => source.bits.has(row) ? 1 : 0;
    case "computed": {
      const { data } = source.computed;
      return row => data[row]!;
    }
    case "floats": {
      const { data, lanes, lane } = source;
      return row => data[row * lanes + lane]!;
    }
    case "column": {
      const { lane, column: { data, lanes, type } } = source, small = smallNumbers(type);
      if (small) return row => small(Number(data[row * lanes + lane]));
      if (data instanceof BigInt64Array || data instanceof BigUint64Array) return row => Number(data[row * lanes + lane]);
      return row => data[row * lanes + lane] as number;
    }
  }
}

interface GpuBuffer {
  readonly buffer: WebGLBuffer;
  bytes: number;
  version: number;
  staging: Float32Array | Uint8Array | undefined;
}

/** A program, with where its uniforms are. */
export interface Program {
  readonly program: WebGLProgram;
  readonly place: (name: string) => WebGLUniformLocation | null;
}

/** What WebGL has of the columns. */
export class Gpu {
  readonly gl: WebGL2RenderingContext;
  readonly #buffers = new Map<object, GpuBuffer>();
  #used = new Set<object>();
  /** Bytes sent to the GPU and draw calls made for the last picture. */
  uploaded = 0;
  calls = 0;

  /** `make` makes programs and textures: at the beginning, and again after the context was lost. */
  constructor(readonly canvas: HTMLCanvasElement, make: (gpu: Gpu) => void) {
    const gl = canvas.getContext("webgl2", { antialias: false, depth: true, alpha: true, premultipliedAlpha: true, powerPreference: "high-performance" });
    if (!gl) throw new Error("this browser has no WebGL 2");
    this.gl = gl;
    make(this);
    canvas.addEventListener("webglcontextlost", event => event.preventDefault());
    canvas.addEventListener("webglcontextrestored", () => {
      this.#buffers.clear();
      make(this);
    });
  }

  /** Begins a picture: false where there is nothing to draw with. */
  begin(): boolean {
    const { gl, canvas } = this;
    this.uploaded = this.calls = 0;
    if (gl.isContextLost()) return false;
    this.#used = new Set();
    gl.disable(gl.SCISSOR_TEST);
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    return true;
  }

  /** Ends it: buffers that it did not want go. */
  end(): void {
    for (const [key, { buffer }] of this.#buffers) {
      if (this.#used.has(key)) continue;
      this.gl.deleteBuffer(buffer);
      this.#buffers.delete(key);
    }
  }

  /** Makes a program; nothing where the context is lost. */
  program(vertex: string, fragment: string): Program | undefined {
    const { gl } = this, program = gl.createProgram();
    for (const [type, source] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]] as const) {
      const shader = gl.createShader(type);
      if (!shader) return undefined;
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS) && !gl.isContextLost()) throw new Error(`shaders: ${gl.getShaderInfoLog(shader)}`);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost()) throw new Error(`shaders: ${gl.getProgramInfoLog(program)}`);
    const places = new Map<string, WebGLUniformLocation | null>();
    return {
      program,
      place: name => {
        let place = places.get(name);
        if (place === undefined) places.set(name, place = gl.getUniformLocation(program, name));
        return place;
      },
    };
  }

  /** Lets an attribute read a source: of every `step`-th row. */
  attribute(place: number, source: Source, rows: number, version: number, step = 1): void {
    const { gl } = this;
    if (source.kind === "constant") {
      gl.disableVertexAttribArray(place);
      gl.vertexAttrib1f(place, source.value);
      return;
    }
    gl.enableVertexAttribArray(place);
    if (source.kind === "floats") {
      const { data, lanes, lane } = source, key = data, length = rows * lanes;
      const gpu = this.#buffer(key, data.length * 4);
      if (gpu.version !== source.version) {
        this.#send(gpu, 0, data instanceof Float32Array ? data.subarray(0, length) : converted(gpu, data, 0, length));
        gpu.version = source.version;
      }
      gl.vertexAttribPointer(place, 1, gl.FLOAT, false, lanes * 4 * step, lane * 4);
    } else if (source.kind === "computed") {
      const { data, stamps } = source.computed, gpu = this.#buffer(source.computed, data.length * 4);
      this.#changed(stamps, gpu.version, rows, (from, to) => this.#send(gpu, from * 4, data.subarray(from, to)));
      gpu.version = version;
      gl.vertexAttribPointer(place, 1, gl.FLOAT, false, 4 * step, 0);
    } else if (source.kind === "bits") {
      const { bits } = source, gpu = this.#buffer(bits, bits.words.length * 32);
      this.#changed(bits.stamps, gpu.version, rows, (from, to) => {
        gpu.staging = gpu.staging instanceof Uint8Array && gpu.staging.length >= to ? gpu.staging : new Uint8Array(bits.words.length * 32);
        for (let row = from; row < to; row++) gpu.staging[row] = bits.has(row) ? 1 : 0;
        this.#send(gpu, from, gpu.staging.subarray(from, to));
      });
      gpu.version = version;
      gl.vertexAttribPointer(place, 1, gl.UNSIGNED_BYTE, false, step, 0);
    } else {
      const { column, lane } = source, { lanes, data } = column;
      const type = gpuType(gl, column.type), bytes = type.bytes * lanes;
      const gpu = this.#buffer(column, (column.bytes.length / column.itemBytes) * bytes);
      this.#changed(column.stamps, gpu.version, rows, (from, to) => {
        this.#send(gpu, from * bytes, type.asIs ? data.subarray(from * lanes, to * lanes) : converted(gpu, data, from * lanes, to * lanes, column.type));
      });
      gpu.version = version;
      gl.vertexAttribPointer(place, 1, type.type, false, bytes * step, lane * type.bytes);
    }
  }

  /** The buffer of an array, bound; made anew where the array has grown. */
  #buffer(key: object, bytes: number): GpuBuffer {
    const { gl } = this;
    this.#used.add(key);
    let gpu = this.#buffers.get(key);
    if (!gpu) {
      gpu = { buffer: gl.createBuffer(), bytes: -1, version: -1, staging: undefined };
      this.#buffers.set(key, gpu);
    }
    gl.bindBuffer(gl.ARRAY_BUFFER, gpu.buffer);
    if (gpu.bytes !== bytes) {
      gl.bufferData(gl.ARRAY_BUFFER, Math.max(bytes, 4), gl.DYNAMIC_DRAW);
      gpu.bytes = bytes;
      gpu.version = -1;
    }
    return gpu;
  }

  /** Runs of chunks that changed since the buffer was last brought up to date. */
  #changed(stamps: Float64Array, since: number, rows: number, each: (from: number, to: number) => void): void {
    const chunks = Math.ceil(rows / CHUNK_ROWS);
    for (let chunk = 0; chunk < chunks; chunk++) {
      if (since >= 0 && stamps[chunk]! <= since) continue;
      const first = chunk;
      while (chunk + 1 < chunks && (since < 0 || stamps[chunk + 1]! > since)) chunk++;
      each(first * CHUNK_ROWS, Math.min((chunk + 1) * CHUNK_ROWS, rows));
    }
  }

  #send(_: GpuBuffer, offset: number, data: ArrayBufferView): void {
    this.gl.bufferSubData(this.gl.ARRAY_BUFFER, offset, data);
    this.uploaded += data.byteLength;
  }

  /** The longest step, up to the wanted one, with which all of the sources can be read. */
  stepOf(wanted: number, sources: readonly Source[]): number {
    return Math.max(1, sources.reduce((step, source) => Math.min(step, Math.floor(STRIDE_MAX / Math.max(strideOf(this.gl, source), 1))), wanted));
  }
}

function gpuType(gl: WebGL2RenderingContext, type: string): { type: number; bytes: number; asIs: boolean } {
  switch (type) {
    case "f32": return { type: gl.FLOAT, bytes: 4, asIs: true };
    case "i8": return { type: gl.BYTE, bytes: 1, asIs: true };
    case "u8": case "bool": return { type: gl.UNSIGNED_BYTE, bytes: 1, asIs: true };
    case "i16": return { type: gl.SHORT, bytes: 2, asIs: true };
    case "u16": return { type: gl.UNSIGNED_SHORT, bytes: 2, asIs: true };
    case "i32": return { type: gl.INT, bytes: 4, asIs: true };
    case "u32": return { type: gl.UNSIGNED_INT, bytes: 4, asIs: true };
    default: return { type: gl.FLOAT, bytes: 4, asIs: false };
  }
}

/** 64-bit values and small ones as floats, in the buffer's own array. */
function converted(gpu: GpuBuffer, data: ArrayBufferView & { length: number }, from: number, to: number, kind = ""): Float32Array {
  if (!(gpu.staging instanceof Float32Array) || gpu.staging.length < data.length) gpu.staging = new Float32Array(data.length);
  const out = gpu.staging as Float32Array;
  const small = smallNumbers(kind);
  if (small) {
    const bits = data as unknown as ArrayLike<number>;
    for (let i = from; i < to; i++) out[i] = small(bits[i]!);
  } else if (data instanceof Float64Array) {
    for (let i = from; i < to; i++) out[i] = data[i]!;
  } else {
    const low = new Uint32Array(data.buffer, data.byteOffset, data.length * 2);
    const high = data instanceof BigInt64Array ? new Int32Array(data.buffer, data.byteOffset, data.length * 2) : low;
    for (let i = from; i < to; i++) out[i] = high[i * 2 + 1]! * 0x1_0000_0000 + low[i * 2]!;
  }
  return out.subarray(from, to);
}

/** How many bytes lie between a source's values of two rows; 0: none do. */
function strideOf(gl: WebGL2RenderingContext, source: Source): number {
  switch (source.kind) {
    case "constant": return 0;
    case "bits": return 1;
    case "floats": return source.lanes * 4;
    case "computed": return 4;
    case "column": return gpuType(gl, source.column.type).bytes * source.column.lanes;
  }
}
