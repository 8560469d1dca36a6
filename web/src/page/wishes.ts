//! What is asked for beside columns and a rate: a box of space, and by how much values may be rounded. No document needed.

import type { SubscribeOptions } from "../view/protocol.ts";
import { typed } from "./range.ts";

export type Box = NonNullable<SubscribeOptions["box"]>;

/** What a flat view shows: its middle, and how wide and high it is, in values. */
export interface Seen {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Low and high x, low and high y. */
export type Area = readonly [x0: number, x1: number, y0: number, y1: number];

/** How much more than the view is received at each side, in widths and heights of the view. */
const MARGIN = 0.25;
/** Least time between two boxes, ms: each costs a whole state. */
const GAP_MS = 1000;
/** A box so many times as wide and as high as the view is too large for it. */
const LARGE = 4;
/** An open end: bounds are numbers, and JSON has no infinite ones. */
const OPEN = Number.MAX_VALUE;

/** The box that goes with a view: it stays for as long as the view stays within it, and is not much smaller. */
export class Follower {
  #area: Area | undefined;
  #at = -Infinity;

  /** What is to be received for what is seen at a time, ms. */
  follow(seen: Seen, now: number): Area {
    if (this.#area && (fits(this.#area, seen) || now - this.#at < GAP_MS)) return this.#area;
    const { x, y, width, height } = seen, right = width * (0.5 + MARGIN), up = height * (0.5 + MARGIN);
    this.#at = now;
    return this.#area = [x - right, x + right, y - up, y + up];
  }

  /** Begins anew with the next view. */
  forget(): void {
    this.#area = undefined;
  }
}

function fits([x0, x1, y0, y1]: Area, { x, y, width, height }: Seen): boolean {
  const isInside = x - width / 2 >= x0 && x + width / 2 <= x1 && y - height / 2 >= y0 && y + height / 2 <= y1;
  return isInside && x1 - x0 <= width * LARGE && y1 - y0 <= height * LARGE;
}

/** A side of a box, as it was typed. */
export interface Side {
  readonly field: string;
  readonly low: string;
  readonly high: string;
}

/** The box of typed ends; an empty one is open. No box where all are. */
export function readBox(sides: readonly Side[]): { box: Box | undefined; fault: string } {
  const fields: string[] = [], min: number[] = [], max: number[] = [];
  for (const { field, low, high } of sides) {
    const ends = [typed(low), typed(high)] as const, bad = [low, high].find((_, i) => ends[i]!.fault !== "");
    if (bad !== undefined) return { box: undefined, fault: `"${bad.trim()}" is no number: write it like 1.5 or 2e-3, or leave the field empty for no bound` };
    const [from, to] = [ends[0].value, ends[1].value];
    if (from === undefined && to === undefined) continue;
    if (from !== undefined && to !== undefined && from > to) return { box: undefined, fault: `${field}: the low end, ${from}, must not be above the high end, ${to}` };
    const at = fields.indexOf(field);
    // one column on two axes: both sides hold
    if (at >= 0) {
      min[at] = Math.max(min[at]!, from ?? -OPEN);
      max[at] = Math.min(max[at]!, to ?? OPEN);
      if (min[at]! > max[at]!) return { box: undefined, fault: `${field}: its two ranges have nothing in common` };
      continue;
    }
    fields.push(field);
    min.push(from ?? -OPEN);
    max.push(to ?? OPEN);
  }
  return { box: fields.length > 0 ? { fields, min, max } : undefined, fault: "" };
}

/** The largest errors that were typed, by field; empty ones are exact. */
export function readErrors(texts: ReadonlyMap<string, string>): { errors: Record<string, number>; fault: string; at: string } {
  const errors: Record<string, number> = {};
  for (const [name, text] of texts) {
    if (text.trim() === "") continue;
    const { value = NaN } = typed(text);
    // the least that servers take: a number with all its digits
    if (!(value >= 2.2250738585072014e-308)) return { errors: {}, fault: `${name}: "${text.trim()}" is no error: it is a number above 0, such as 0.01; empty: exact`, at: name };
    errors[name] = value;
  }
  return { errors, fault: "", at: "" };
}

/** An error that is not seen: a thousandth of the range, rounded down to 1, 2 or 5. `undefined` where there is no range. */
export function suggestion(values: Iterable<number>): number | undefined {
  let low = Infinity, high = -Infinity;
  for (const value of values) {
    if (value < low && value > -Infinity) low = value;
    if (value > high && value < Infinity) high = value;
  }
  const rough = (high - low) / 1000, power = 10 ** Math.floor(Math.log10(rough));
  if (!(rough > 0) || !Number.isFinite(power) || !(power > 1e-300)) return undefined;
  const step = [5, 2, 1].find(step => step * power <= rough * (1 + 1e-9)) ?? 1;
  return Number((step * power).toPrecision(1));
}
