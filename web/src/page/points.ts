//! Points: one draw call per table, straight from the typed arrays.
//!
//! Each column has a buffer on the GPU, brought up to date chunk by chunk, as the stamps say. What WebGL cannot read as
//! it is (64-bit values, bits) is converted, changed chunks alone.

import { CHUNK_ROWS, Bits, Column, type Table } from "../view/table.ts";
import { smallNumbers } from "../view/types.ts";
import { rgb } from "./colour.ts";
import type { Camera } from "./camera.ts";
import type { Computed } from "./computed.ts";
import { PLACES, POINT_FRAGMENT, POINT_VERTEX, SPHERE_FRAGMENT, SPHERE_VERTEX } from "./shaders.ts";

/** Where the values of one axis, or of the colour, come from in a table. */
export type Source =
  | { readonly kind: "column"; readonly column: Column; readonly lane: number }
  | { readonly kind: "bits"; readonly bits: Bits }
  | { readonly kind: "floats"; readonly data: Float32Array | Float64Array; readonly lanes: number; readonly lane: number; readonly version: number }
  | { readonly kind: "computed"; readonly computed: Computed }
  | { readonly kind: "constant"; readonly value: number };

/** A table to draw. */
export interface Batch {
  readonly table: Table;
  readonly x: Source;
  readonly y: Source;
  readonly z: Source;
  readonly colour: Source;
  /** All points in one colour: then `colour` does not count. */
  readonly plain: string | undefined;
  /** Which rows are shown: those whose value is neither 0 nor none. */
  readonly shown: Source;
  /** In values: of spheres. */
  readonly radius: Source;
}

interface GpuBuffer {
  readonly buffer: WebGLBuffer;
  bytes: number;
  version: number;
  staging: Float32Array | Uint8Array | undefined;
}

/** A program, with where its uniforms are. */
interface Program {
  readonly program: WebGLProgram;
  readonly place: (name: string) => WebGLUniformLocation | null;
}

/** How to draw. */
export interface Look {
  /** Flat points, or shaded spheres with their radius in values. */
  readonly shape: "points" | "spheres";
  /** Points: pixels across. */
  readonly size: number;
  /** Points: 0, all have one size; else the distance at which they have it. */
  readonly reach: number;
  /** The ends of the colours' range; logarithms of them where `mode` is `log`. */
  readonly low: number;
  readonly high: number;
  readonly mode: "linear" | "log" | "kinds";
  /** What lies beyond an end: has its colour, is grey, is not shown. */
  readonly outside: "clamp" | "grey" | "hide";
  readonly version: number;
  readonly alpha: number;
}

export class Points {
  readonly #gl: WebGL2RenderingContext;
  readonly #buffers = new Map<object, GpuBuffer>();
  #used = new Set<object>();
  #flat!: Program;
  #spheres!: Program;
  #map!: WebGLTexture;
  readonly #matrix = new Float32Array(16);
  #palette: Uint8Array<ArrayBuffer> = new Uint8Array(1024);
  /** Bytes sent to the GPU and draw calls made by the last `draw`. */
  uploaded = 0;
  calls = 0;

  constructor(readonly canvas: HTMLCanvasElement) {
    const gl = canvas.getContext("webgl2", { antialias: false, depth: true, alpha: true, premultipliedAlpha: true, powerPreference: "high-performance" });
    if (!gl) throw new Error("this browser has no WebGL 2");
    this.#gl = gl;
    this.#make();
    canvas.addEventListener("webglcontextlost", event => event.preventDefault());
    canvas.addEventListener("webglcontextrestored", () => {
      this.#buffers.clear();
      this.#make();
    });
  }

  /** Sets the colour map: 256 colours of 4 bytes. */
  palette(colours: Uint8Array<ArrayBuffer>): void {
    const gl = this.#gl;
    this.#palette = colours;
    gl.bindTexture(gl.TEXTURE_2D, this.#map);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, 256, 1, 0, gl.RGBA, gl.UNSIGNED_BYTE, colours);
  }

  /** Draws all tables. */
  draw(batches: readonly Batch[], camera: Camera, look: Look): void {
    const gl = this.#gl;
    this.uploaded = this.calls = 0;
    if (gl.isContextLost()) return;
    this.#used = new Set();
    gl.viewport(0, 0, this.canvas.width, this.canvas.height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    if (camera.orbit) gl.enable(gl.DEPTH_TEST);
    else gl.disable(gl.DEPTH_TEST);
    const spheres = look.shape === "spheres", { program, place } = spheres ? this.#spheres : this.#flat;
    gl.useProgram(program);
    if (spheres) this.#setSpheres(camera, place);
    else this.#setPoints(camera, look, place);
    const { low, high } = look;
    gl.uniform2f(place("range"), low, high > low ? 1 / (high - low) : 0);
    gl.uniform1i(place("mode"), look.mode === "log" ? 1 : look.mode === "kinds" ? 2 : 0);
    gl.uniform1i(place("outside"), look.outside === "hide" ? 2 : look.outside === "grey" ? 1 : 0);
    gl.uniform1i(place("map"), 0);
    for (const at of Object.values(PLACES)) gl.vertexAttribDivisor(at, spheres ? 1 : 0);
    for (const batch of batches) {
      const { rows } = batch.table;
      if (rows === 0) continue;
      this.#attribute(PLACES.x, batch.x, rows, look.version);
      this.#attribute(PLACES.y, batch.y, rows, look.version);
      this.#attribute(PLACES.z, batch.z, rows, look.version);
      this.#attribute(PLACES.shown, batch.shown, rows, look.version);
      if (spheres) this.#attribute(PLACES.radius, batch.radius, rows, look.version);
      else gl.disableVertexAttribArray(PLACES.radius);
      if (batch.plain === undefined) {
        gl.uniform4f(place("plain"), 0, 0, 0, 0);
        this.#attribute(PLACES.value, batch.colour, rows, look.version);
      } else {
        gl.uniform4f(place("plain"), ...rgb(batch.plain), 1);
        gl.disableVertexAttribArray(PLACES.value);
      }
      if (spheres) gl.drawArraysInstanced(gl.TRIANGLE_STRIP, 0, 4, rows);
      else gl.drawArrays(gl.POINTS, 0, rows);
      this.calls++;
    }
    for (const [key, { buffer }] of this.#buffers) {
      if (this.#used.has(key)) continue;
      gl.deleteBuffer(buffer);
      this.#buffers.delete(key);
    }
  }

  #setPoints(camera: Camera, { size, reach, alpha }: Look, place: Program["place"]): void {
    const gl = this.#gl;
    gl.uniformMatrix4fv(place("matrix"), false, camera.matrix(this.#matrix));
    gl.uniform1f(place("size"), size);
    gl.uniform1f(place("reach"), reach);
    gl.uniform1f(place("round"), size >= 3 ? size : 0);
    gl.uniform1f(place("alpha"), alpha);
  }

  #setSpheres(camera: Camera, place: Program["place"]): void {
    const gl = this.#gl, { view, projection } = camera.parts();
    gl.uniformMatrix4fv(place("view"), false, view);
    gl.uniformMatrix4fv(place("projection"), false, projection);
    gl.uniform1i(place("flatly"), camera.orbit ? 0 : 1);
    // seven tenths of a pixel: a smaller square may miss every pixel's middle
    gl.uniform1f(place("pixel"), 0.7 / (camera.pixels() * (camera.orbit ? camera.distance : 1)));
  }

  #compile(vertex: string, fragment: string): Program | undefined {
    const gl = this.#gl, program = gl.createProgram();
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

  #make(): void {
    const gl = this.#gl, flat = this.#compile(POINT_VERTEX, POINT_FRAGMENT), spheres = this.#compile(SPHERE_VERTEX, SPHERE_FRAGMENT);
    if (!flat || !spheres) return;
    this.#flat = flat;
    this.#spheres = spheres;
    this.#map = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, this.#map);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
    this.palette(this.#palette);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    gl.depthFunc(gl.LEQUAL);
  }

  #attribute(place: number, source: Source, rows: number, version: number): void {
    const gl = this.#gl;
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
      gl.vertexAttribPointer(place, 1, gl.FLOAT, false, lanes * 4, lane * 4);
    } else if (source.kind === "computed") {
      const { data, stamps } = source.computed, gpu = this.#buffer(source.computed, data.length * 4);
      this.#changed(stamps, gpu.version, rows, (from, to) => this.#send(gpu, from * 4, data.subarray(from, to)));
      gpu.version = version;
      gl.vertexAttribPointer(place, 1, gl.FLOAT, false, 4, 0);
    } else if (source.kind === "bits") {
      const { bits } = source, gpu = this.#buffer(bits, bits.words.length * 32);
      this.#changed(bits.stamps, gpu.version, rows, (from, to) => {
        gpu.staging = gpu.staging instanceof Uint8Array && gpu.staging.length >= to ? gpu.staging : new Uint8Array(bits.words.length * 32);
        for (let row = from; row < to; row++) gpu.staging[row] = bits.has(row) ? 1 : 0;
        this.#send(gpu, from, gpu.staging.subarray(from, to));
      });
      gpu.version = version;
      gl.vertexAttribPointer(place, 1, gl.UNSIGNED_BYTE, false, 1, 0);
    } else {
      const { column, lane } = source, { lanes, data } = column;
      const type = gpuType(gl, column.type), bytes = type.bytes * lanes;
      const gpu = this.#buffer(column, (column.bytes.length / column.itemBytes) * bytes);
      this.#changed(column.stamps, gpu.version, rows, (from, to) => {
        this.#send(gpu, from * bytes, type.asIs ? data.subarray(from * lanes, to * lanes) : converted(gpu, data, from * lanes, to * lanes, column.type));
      });
      gpu.version = version;
      gl.vertexAttribPointer(place, 1, type.type, false, bytes, lane * type.bytes);
    }
  }

  /** The buffer of an array, bound; made anew where the array has grown. */
  #buffer(key: object, bytes: number): GpuBuffer {
    const gl = this.#gl;
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
    this.#gl.bufferSubData(this.#gl.ARRAY_BUFFER, offset, data);
    this.uploaded += data.byteLength;
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
