//! Points: one draw call per table, straight from the typed arrays.
//!
//! Each column has a buffer on the GPU, brought up to date chunk by chunk, as the stamps say. What WebGL cannot read as
//! it is (64-bit values, bits) is converted, changed chunks alone.

import { CHUNK_ROWS, Bits, Column, type Table } from "../view/table.ts";
import { rgb } from "./colour.ts";
import type { Matrix } from "./camera.ts";

/** Where the values of one axis, or of the colour, come from in a table. */
export type Source =
  | { readonly kind: "column"; readonly column: Column; readonly lane: number }
  | { readonly kind: "bits"; readonly bits: Bits }
  | { readonly kind: "floats"; readonly data: Float32Array | Float64Array; readonly lanes: number; readonly lane: number; readonly version: number }
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
}

interface GpuBuffer {
  readonly buffer: WebGLBuffer;
  bytes: number;
  version: number;
  staging: Float32Array | Uint8Array | undefined;
}

const VERTEX = `#version 300 es
layout(location=0) in float x; layout(location=1) in float y; layout(location=2) in float z; layout(location=3) in float value;
uniform mat4 matrix; uniform float size; uniform float reach; uniform vec2 range; uniform vec4 plain; uniform sampler2D map;
out vec4 colour;
void main() {
  gl_Position = matrix * vec4(x, y, z, 1.0);
  gl_PointSize = reach > 0.0 ? clamp(size * reach / gl_Position.w, 1.0, 40.0) : size;
  float t = clamp((value - range.x) * range.y, 0.0, 1.0);
  colour = plain.a > 0.0 ? plain : texelFetch(map, ivec2(int(t * 255.0 + 0.5), 0), 0);
  if (!(value == value) && plain.a == 0.0) colour = vec4(0.5, 0.5, 0.5, 1.0);
}`;

const FRAGMENT = `#version 300 es
precision mediump float;
in vec4 colour; uniform float round; uniform float alpha; out vec4 pixel;
void main() {
  float cover = alpha;
  if (round > 0.0) { float r = length(gl_PointCoord - 0.5) * 2.0; cover *= clamp((1.0 - r) * round * 0.5 + 0.5, 0.0, 1.0); if (cover <= 0.01) discard; }
  pixel = vec4(colour.rgb * cover, cover);
}`;

export class Points {
  readonly #gl: WebGL2RenderingContext;
  readonly #buffers = new Map<object, GpuBuffer>();
  #used = new Set<object>();
  #program!: WebGLProgram;
  #places!: Record<"matrix" | "size" | "reach" | "range" | "plain" | "map" | "round" | "alpha", WebGLUniformLocation | null>;
  #map!: WebGLTexture;
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

  /** Draws all tables. `reach` 0: points have one size; else it is the distance at which they have it. */
  draw(batches: readonly Batch[], matrix: Matrix, options: { size: number; reach: number; low: number; high: number; version: number; alpha: number }): void {
    const gl = this.#gl;
    this.uploaded = this.calls = 0;
    if (gl.isContextLost()) return;
    this.#used = new Set();
    gl.viewport(0, 0, this.canvas.width, this.canvas.height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.useProgram(this.#program);
    if (options.reach > 0) gl.enable(gl.DEPTH_TEST);
    else gl.disable(gl.DEPTH_TEST);
    const { low, high, size } = options;
    gl.uniformMatrix4fv(this.#places.matrix, false, matrix);
    gl.uniform1f(this.#places.size, size);
    gl.uniform1f(this.#places.reach, options.reach);
    gl.uniform1f(this.#places.round, size >= 3 ? size : 0);
    gl.uniform1f(this.#places.alpha, options.alpha);
    gl.uniform2f(this.#places.range, low, high > low ? 1 / (high - low) : 0);
    gl.uniform1i(this.#places.map, 0);
    for (const batch of batches) {
      const { rows } = batch.table;
      if (rows === 0) continue;
      this.#attribute(0, batch.x, rows, options.version);
      this.#attribute(1, batch.y, rows, options.version);
      this.#attribute(2, batch.z, rows, options.version);
      if (batch.plain === undefined) {
        gl.uniform4f(this.#places.plain, 0, 0, 0, 0);
        this.#attribute(3, batch.colour, rows, options.version);
      } else {
        gl.uniform4f(this.#places.plain, ...rgb(batch.plain), 1);
        gl.disableVertexAttribArray(3);
      }
      gl.drawArrays(gl.POINTS, 0, rows);
      this.calls++;
    }
    for (const [key, { buffer }] of this.#buffers) {
      if (this.#used.has(key)) continue;
      gl.deleteBuffer(buffer);
      this.#buffers.delete(key);
    }
  }

  #make(): void {
    const gl = this.#gl, program = gl.createProgram();
    for (const [type, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]] as const) {
      const shader = gl.createShader(type);
      if (!shader) return;
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost()) throw new Error(`shaders: ${gl.getProgramInfoLog(program)}`);
    this.#program = program;
    const place = (name: string): WebGLUniformLocation | null => gl.getUniformLocation(program, name);
    this.#places = {
      matrix: place("matrix"), size: place("size"), reach: place("reach"), range: place("range"), plain: place("plain"), map: place("map"),
      round: place("round"), alpha: place("alpha"),
    };
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
        this.#send(gpu, from * bytes, type.asIs ? data.subarray(from * lanes, to * lanes) : converted(gpu, data, from * lanes, to * lanes));
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

/** 64-bit values as floats, in the buffer's own array. */
function converted(gpu: GpuBuffer, data: ArrayBufferView & { length: number }, from: number, to: number): Float32Array {
  if (!(gpu.staging instanceof Float32Array) || gpu.staging.length < data.length) gpu.staging = new Float32Array(data.length);
  const out = gpu.staging as Float32Array;
  if (data instanceof Float64Array) {
    for (let i = from; i < to; i++) out[i] = data[i]!;
  } else {
    const low = new Uint32Array(data.buffer, data.byteOffset, data.length * 2);
    const high = data instanceof BigInt64Array ? new Int32Array(data.buffer, data.byteOffset, data.length * 2) : low;
    for (let i = from; i < to; i++) out[i] = high[i * 2 + 1]! * 0x1_0000_0000 + low[i * 2]!;
  }
  return out.subarray(from, to);
}
