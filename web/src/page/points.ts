//! Points: one draw call per table and view, straight from the typed arrays.

import { rgb } from "./colour.ts";
import type { Table } from "../view/table.ts";
import type { Camera } from "./camera.ts";
import { Gpu, type Program, type Source } from "./gpu.ts";
import { drawArrows, drawLinks, type Arrows, type Links } from "./lines.ts";
import { ARROW_FRAGMENT, ARROW_VERTEX, BALL_FRAGMENT, BALL_VERTEX, LINK_FRAGMENT, LINK_VERTEX, PLACES, POINT_FRAGMENT, POINT_VERTEX, SPHERE_FRAGMENT, SPHERE_VERTEX } from "./shaders.ts";

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
  /** From 0 to 1. */
  readonly opacity: Source;
  /** Vectors that are drawn from the points, along the axes. */
  readonly arrow?: readonly [Source, Source, Source];
}

/** How to draw. */
export interface Look {
  /** Flat points, or shaded spheres with their radius in values. */
  readonly shape: "points" | "spheres";
  /** Points: pixels across. */
  readonly size: number;
  /** Points in orbit: those that are far are smaller. */
  readonly perspective: boolean;
  /** The ends of the colours' range; logarithms of them where `mode` is `log`. */
  readonly low: number;
  readonly high: number;
  readonly mode: "linear" | "log" | "kinds";
  /** What lies beyond an end: has its colour, is grey, is not shown. */
  readonly outside: "clamp" | "grey" | "hide";
  readonly version: number;
  readonly alpha: number;
  /** In orbit: the colour that what is far comes near to. */
  readonly haze?: string | undefined;
}

/** What else is drawn of a world. */
export interface More {
  readonly arrows?: Arrows | undefined;
  readonly links?: Links | undefined;
  /** Those who are chosen: which rows of a table, in which colour. */
  readonly chosen?: { readonly of: (table: Table) => Source | undefined; readonly colour: string } | undefined;
}

/** A part of the canvas, CSS pixels from its upper left corner. */
export interface Rect {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** What makes a picture: its programs and the colour map. */
interface Tools {
  readonly flat: Program;
  readonly spheres: Program;
  readonly balls: Program;
  readonly arrows: Program;
  readonly links: Program;
  readonly map: WebGLTexture;
}

export class Points {
  /** More spheres than these are drawn as shaded discs: a quarter of the corners, and no ray for each pixel. */
  spheresMax = 100_000;
  readonly gpu: Gpu;
  #tools: Tools | undefined;
  readonly #matrix = new Float32Array(16);
  #palette: Uint8Array<ArrayBuffer> = new Uint8Array(1024);

  constructor(readonly canvas: HTMLCanvasElement) {
    this.gpu = new Gpu(canvas, gpu => this.#make(gpu));
  }

  /** Sets the colour map: 256 colours of 4 bytes. */
  palette(colours: Uint8Array<ArrayBuffer>): void {
    this.#palette = colours;
    if (this.#tools) this.#paint(this.gpu.gl, this.#tools.map);
  }

  /** Begins a picture: false where there is nothing to draw with. */
  begin(): boolean {
    return this.gpu.begin() && this.#tools !== undefined;
  }

  /** Ends a picture. */
  end(): void {
    this.gpu.end();
  }

  /** Draws all tables as one camera sees them, into its part of the canvas. */
  draw(batches: readonly Batch[], camera: Camera, look: Look, more: More = {}, { left, top, width, height }: Rect = { left: 0, top: 0, width: camera.width, height: camera.height }): void {
    const { gl } = this.gpu, tools = this.#tools, ratio = this.canvas.width / Math.max(this.canvas.clientWidth, 1);
    if (!tools) return;
    const part = [Math.round(left * ratio), Math.round(this.canvas.height - (top + height) * ratio), Math.round(width * ratio), Math.round(height * ratio)] as const;
    gl.viewport(...part);
    gl.scissor(...part);
    gl.enable(gl.SCISSOR_TEST);
    if (camera.orbit) gl.enable(gl.DEPTH_TEST);
    else gl.disable(gl.DEPTH_TEST);
    const matrix = camera.matrix(this.#matrix);
    if (more.links) drawLinks(this.gpu, tools.links, more.links, matrix);
    this.#points(batches, camera, look, undefined);
    if (more.arrows) {
      const { program, place } = tools.arrows;
      gl.useProgram(program);
      this.#colours(place, look, camera);
      drawArrows(this.gpu, place, more.arrows, batches, matrix, { width: part[2], height: part[3], ratio, version: look.version });
    }
    if (more.chosen) this.#points(batches, camera, { ...look, size: look.size + 2 * ratio }, more.chosen);
  }

  /** Draws points or spheres; with `chosen` those alone, over the others. */
  #points(batches: readonly Batch[], camera: Camera, look: Look, chosen: More["chosen"]): void {
    const { gl } = this.gpu, round = look.shape === "spheres", spheres = round && batches.reduce((sum, { table }) => sum + table.rows, 0) <= this.spheresMax, tools = this.#tools!;
    const { program, place } = spheres ? tools.spheres : round ? tools.balls : tools.flat;
    gl.useProgram(program);
    if (spheres) this.#setSpheres(camera, place);
    else if (round) this.#setBalls(camera, place);
    else this.#setPoints(camera, look, place);
    this.#colours(place, look, camera);
    // what hides what lies behind it lets it through pixel by pixel, in whatever order they are drawn
    gl.uniform1i(place("stipple"), camera.orbit ? 1 : 0);
    for (const at of Object.values(PLACES)) gl.vertexAttribDivisor(at, spheres ? 1 : 0);
    for (const batch of batches) {
      const { rows } = batch.table, marked = chosen?.of(batch.table);
      if (rows === 0 || chosen && !marked) continue;
      const read = (at: number, source: Source): void => this.gpu.attribute(at, source, rows, look.version);
      read(PLACES.x, batch.x);
      read(PLACES.y, batch.y);
      read(PLACES.z, batch.z);
      read(PLACES.shown, batch.shown);
      read(PLACES.marked, marked ?? { kind: "constant", value: 1 });
      read(PLACES.opacity, chosen ? { kind: "constant", value: 1 } : batch.opacity);
      if (round) read(PLACES.radius, batch.radius);
      else gl.disableVertexAttribArray(PLACES.radius);
      const plain = chosen ? chosen.colour : batch.plain;
      if (plain === undefined) {
        gl.uniform4f(place("plain"), 0, 0, 0, 0);
        read(PLACES.value, batch.colour);
      } else {
        // who lies beyond the colours' ends and is hidden for it stays hidden
        gl.uniform4f(place("plain"), ...rgb(plain), batch.plain === undefined ? 2 : 1);
        if (batch.plain === undefined) read(PLACES.value, batch.colour);
        else gl.disableVertexAttribArray(PLACES.value);
      }
      if (spheres) gl.drawArraysInstanced(gl.TRIANGLE_STRIP, 0, 4, rows);
      else gl.drawArrays(gl.POINTS, 0, rows);
      this.gpu.calls++;
    }
  }

  #colours(place: Program["place"], look: Look, camera: Camera): void {
    const { gl } = this.gpu, { low, high, haze } = look;
    gl.uniform4f(place("haze"), ...rgb(haze ?? "#000000"), haze !== undefined && camera.orbit ? 1 / camera.distance : 0);
    gl.uniform2f(place("range"), low, high > low ? 1 / (high - low) : 0);
    gl.uniform1i(place("mode"), look.mode === "log" ? 1 : look.mode === "kinds" ? 2 : 0);
    gl.uniform1i(place("outside"), look.outside === "hide" ? 2 : look.outside === "grey" ? 1 : 0);
    gl.uniform1i(place("map"), 0);
  }

  #setPoints(camera: Camera, { size, alpha, perspective }: Look, place: Program["place"]): void {
    const { gl } = this.gpu;
    gl.uniformMatrix4fv(place("matrix"), false, this.#matrix);
    gl.uniform1f(place("size"), size);
    // 0: all have one size; else the distance at which they have it
    gl.uniform1f(place("reach"), camera.orbit && perspective ? camera.distance : 0);
    gl.uniform1f(place("round"), size >= 3 ? size : 0);
    gl.uniform1f(place("alpha"), alpha);
  }

  #setSpheres(camera: Camera, place: Program["place"]): void {
    const { gl } = this.gpu, { view, projection } = camera.parts();
    gl.uniformMatrix4fv(place("view"), false, view);
    gl.uniformMatrix4fv(place("projection"), false, projection);
    gl.uniform1i(place("flatly"), camera.orbit ? 0 : 1);
    // seven tenths of a pixel: a smaller square may miss every pixel's middle
    gl.uniform1f(place("pixel"), 0.7 / (camera.pixels() * (camera.orbit ? camera.distance : 1)));
  }

  #setBalls(camera: Camera, place: Program["place"]): void {
    const { gl } = this.gpu, ratio = this.canvas.width / Math.max(this.canvas.clientWidth, 1);
    gl.uniformMatrix4fv(place("matrix"), false, this.#matrix);
    gl.uniform1i(place("flatly"), camera.orbit ? 0 : 1);
    gl.uniform1f(place("unit"), ratio * camera.pixels() * (camera.orbit ? camera.distance : 1));
  }

  #make(gpu: Gpu): void {
    const { gl } = gpu, balls = gpu.program(BALL_VERTEX, BALL_FRAGMENT), flat = gpu.program(POINT_VERTEX, POINT_FRAGMENT), spheres = gpu.program(SPHERE_VERTEX, SPHERE_FRAGMENT);
    const arrows = gpu.program(ARROW_VERTEX, ARROW_FRAGMENT), links = gpu.program(LINK_VERTEX, LINK_FRAGMENT);
    if (!flat || !spheres || !balls || !arrows || !links) return;
    const map = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, map);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
    this.#tools = { flat, spheres, balls, arrows, links, map };
    this.#paint(gl, map);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    gl.depthFunc(gl.LEQUAL);
  }

  #paint(gl: WebGL2RenderingContext, map: WebGLTexture): void {
    gl.bindTexture(gl.TEXTURE_2D, map);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, 256, 1, 0, gl.RGBA, gl.UNSIGNED_BYTE, this.#palette);
  }
}
