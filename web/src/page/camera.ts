//! From values to pixels: a plane that pans and zooms, or an orbit around a target.

/** Column-major 4×4 matrix. */
export type Matrix = Float32Array;

/** The smallest box around the data: low x, y, z, high x, y, z. */
export type Bounds = [number, number, number, number, number, number];

const FIELD = Math.PI / 4;

/** Directions to look from: yaw and pitch, radians. */
export const PRESETS = { front: [0, 0], side: [Math.PI / 2, 0], top: [0, 1.55], corner: [0.6, 0.42] } as const satisfies Record<string, readonly [number, number]>;

export class Camera {
  orbit = false;
  /** The value at the middle of the view. */
  readonly target: [number, number, number] = [0, 0, 0];
  /** Flat: values per CSS pixel. */
  scale = 1;
  /** Orbit: from the target to the eye, in values; and the angles, radians. */
  distance = 1;
  yaw = 0.6;
  pitch = 0.42;
  /** Counts changes, so that what depends on the camera knows when to draw again. */
  changes = 0;
  width = 1;
  height = 1;

  resize(width: number, height: number): void {
    if (width === this.width && height === this.height) return;
    this.width = Math.max(width, 1);
    this.height = Math.max(height, 1);
    this.changes++;
  }

  fit([x0, y0, z0, x1, y1, z1]: Bounds): void {
    this.target[0] = (x0 + x1) / 2;
    this.target[1] = (y0 + y1) / 2;
    this.target[2] = (z0 + z1) / 2;
    const wide = Math.max(x1 - x0, 1e-9), high = Math.max(y1 - y0, 1e-9);
    this.scale = Math.max(wide / Math.max(this.width - 90, 40), high / Math.max(this.height - 70, 40));
    const radius = Math.hypot(wide, high, z1 - z0) / 2;
    this.distance = radius / Math.sin(FIELD / 2) / Math.min(1, this.width / this.height) * 0.92;
    this.changes++;
  }

  /** Moves what is seen by so many pixels. */
  pan(dx: number, dy: number): void {
    if (!this.orbit) {
      this.target[0] -= dx * this.scale;
      this.target[1] += dy * this.scale;
    } else {
      const unit = 2 * this.distance * Math.tan(FIELD / 2) / this.height, [right, up] = this.axes();
      for (let k = 0; k < 3; k++) this.target[k] = (this.target[k] ?? 0) - (right[k] ?? 0) * dx * unit + (up[k] ?? 0) * dy * unit;
    }
    this.changes++;
  }

  turn(dx: number, dy: number): void {
    this.yaw -= dx * 0.006;
    this.pitch = Math.max(-1.55, Math.min(1.55, this.pitch + dy * 0.006));
    this.changes++;
  }

  /** Zooms by a factor, above 1 to see more, about a pixel that stays where it is. */
  zoom(factor: number, x = this.width / 2, y = this.height / 2): void {
    if (this.orbit) {
      this.distance = Math.min(Math.max(this.distance * factor, 1e-9), 1e15);
    } else {
      // numbers of the target's size must be able to tell two pixels apart
      const least = Math.max(1e-12, Math.max(Math.abs(this.target[0]), Math.abs(this.target[1])) * 1e-14);
      const scale = Math.min(Math.max(this.scale * factor, Math.min(least, this.scale)), 1e15), by = this.scale - scale;
      this.target[0] += (x - this.width / 2) * by;
      this.target[1] -= (y - this.height / 2) * by;
      this.scale = scale;
    }
    this.changes++;
  }

  /** Right, up and back of the orbiting eye. */
  axes(): [number[], number[], number[]] {
    const { yaw, pitch } = this;
    const back = [Math.sin(yaw) * Math.cos(pitch), Math.sin(pitch), Math.cos(yaw) * Math.cos(pitch)];
    const right = [Math.cos(yaw), 0, -Math.sin(yaw)];
    const up = [-Math.sin(yaw) * Math.sin(pitch), Math.cos(pitch), -Math.cos(yaw) * Math.sin(pitch)];
    return [right, up, back];
  }

  /** Pixels across one value at the target. */
  pixels(): number {
    return this.orbit ? this.height / (2 * this.distance * Math.tan(FIELD / 2)) : 1 / this.scale;
  }

  matrix(out: Matrix = new Float32Array(16)): Matrix {
    const [tx, ty, tz] = this.target;
    out.fill(0);
    if (!this.orbit) {
      const sx = 2 / (this.width * this.scale), sy = 2 / (this.height * this.scale);
      out[0] = sx; out[5] = sy; out[12] = -tx * sx; out[13] = -ty * sy; out[15] = 1;
      return out;
    }
    const [right, up, back] = this.axes(), f = 1 / Math.tan(FIELD / 2), aspect = this.width / this.height;
    const near = this.distance * 0.01, far = this.distance * 20;
    const along = (axis: number[]): number => (axis[0] ?? 0) * tx + (axis[1] ?? 0) * ty + (axis[2] ?? 0) * tz;
    for (let k = 0; k < 3; k++) {
      const b = back[k] ?? 0;
      out[k * 4] = (right[k] ?? 0) * f / aspect;
      out[k * 4 + 1] = (up[k] ?? 0) * f;
      out[k * 4 + 2] = b * (far + near) / (near - far);
      out[k * 4 + 3] = -b;
    }
    const depth = along(back) + this.distance;
    out[12] = -along(right) * f / aspect;
    out[13] = -along(up) * f;
    out[14] = -depth * (far + near) / (near - far) + 2 * far * near / (near - far);
    out[15] = depth;
    return out;
  }

  /** The matrix in two parts: to the eye, and from there to the screen. */
  parts(): { view: Matrix; projection: Matrix } {
    const view = new Float32Array(16), projection = new Float32Array(16), [tx, ty, tz] = this.target;
    view[0] = view[5] = view[10] = view[15] = 1;
    if (!this.orbit) {
      view[12] = -tx;
      view[13] = -ty;
      projection[0] = 2 / (this.width * this.scale);
      projection[5] = 2 / (this.height * this.scale);
      projection[15] = 1;
      return { view, projection };
    }
    const axes = this.axes(), f = 1 / Math.tan(FIELD / 2), near = this.distance * 0.01, far = this.distance * 20;
    axes.forEach((axis, row) => {
      for (let k = 0; k < 3; k++) view[k * 4 + row] = axis[k] ?? 0;
      view[12 + row] = -((axis[0] ?? 0) * tx + (axis[1] ?? 0) * ty + (axis[2] ?? 0) * tz) - (row === 2 ? this.distance : 0);
    });
    projection[0] = f / (this.width / this.height);
    projection[5] = f;
    projection[10] = (far + near) / (near - far);
    projection[11] = -1;
    projection[14] = 2 * far * near / (near - far);
    return { view, projection };
  }

  /** Looks along an axis, or from a corner. */
  preset(name: keyof typeof PRESETS): void {
    [this.yaw, this.pitch] = PRESETS[name];
    this.changes++;
  }

  /** Moves with what is looked at. */
  move(dx: number, dy: number, dz: number): void {
    this.target[0] += dx;
    this.target[1] += dy;
    this.target[2] += dz;
    this.changes++;
  }

  /** Orbit: from the eye to a place, along the view. */
  away([x, y, z]: readonly [number, number, number]): number {
    const { target, distance } = this, [, , back] = this.axes();
    return Math.max(1e-12, distance - ((x - target[0]) * back[0]! + (y - target[1]) * back[1]! + (z - target[2]) * back[2]!));
  }

  /** Where a value stands, in CSS pixels; `undefined` behind the eye. */
  project(x: number, y: number, z: number, m = this.matrix()): [number, number] | undefined {
    const w = (m[3] ?? 0) * x + (m[7] ?? 0) * y + (m[11] ?? 0) * z + (m[15] ?? 0);
    if (w <= 0) return undefined;
    const px = ((m[0] ?? 0) * x + (m[4] ?? 0) * y + (m[8] ?? 0) * z + (m[12] ?? 0)) / w;
    const py = ((m[1] ?? 0) * x + (m[5] ?? 0) * y + (m[9] ?? 0) * z + (m[13] ?? 0)) / w;
    return [(px + 1) / 2 * this.width, (1 - py) / 2 * this.height];
  }
}
