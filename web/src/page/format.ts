//! Numbers as people read them.

import type { ScalarType } from "../view/types.ts";

/** With a unit's prefix: 1.23 M. */
export function short(value: number, unit = ""): string {
  const size = Math.abs(value);
  if (!Number.isFinite(value)) return "–";
  const gap = unit ? " " : "";
  for (const [from, prefix] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]] as const) {
    if (size >= from) return `${digits(value / from)}${unit ? " " : ""}${prefix}${unit}`;
  }
  return `${digits(value)}${gap}${unit}`;
}

/** Three digits that count. */
export function digits(value: number): string {
  const size = Math.abs(value);
  if (!Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  if (size < 1e-3 || size >= 1e6) return value.toExponential(1);
  return size >= 100 ? value.toFixed(0) : size >= 10 ? value.toFixed(1) : size >= 1 ? value.toFixed(2) : value.toPrecision(2);
}

export function bytes(value: number): string {
  return short(value, "B");
}

export function milliseconds(value: number): string {
  if (!Number.isFinite(value)) return "–";
  if (value >= 1000) return `${value >= 10_000 ? Math.round(value / 1000) : (value / 1000).toFixed(1)} s`;
  return `${value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)} ms`;
}

export function count(value: number): string {
  return value.toLocaleString("en");
}

/** Entities of many ranks are known by their global ids: a handle is one rank's. */
let byId = false;

/** Says what entities are called by from now on: their global ids, or slot and generation. */
export function nameEntities(ids: boolean): void {
  byId = ids;
}

/** An entity, by its handle: slot and generation; by its id where that is what is known of it; none where it is null. */
export function handle(of: bigint): string {
  return of === 0xffff_ffff_ffff_ffffn ? "none" : byId ? String(of) : `${slotOf(of)} · ${of >> 32n}`;
}

/** What {@link handle} says. */
export function handleName(): string {
  return byId ? "global id" : "slot · generation";
}

/** What to type for an entity: {@link entityOf}. */
export function slotOf(of: bigint): string {
  return String(byId ? of : of & 0xffff_ffffn);
}

/** The slot, or the id, that was typed; `undefined` where it is none. */
export function entityOf(text: string): number | bigint | undefined {
  if (!/^\d{1,20}$/.test(text.trim())) return undefined;
  const of = BigInt(text.trim());
  return byId ? (of < 1n << 64n ? of : undefined) : Number(of);
}

/** A value of a column of this type: an integer of 64 bits is a handle only where the layout says so. */
export function value(of: unknown, type: ScalarType | undefined): string {
  if (Array.isArray(of)) return of.map(one => value(one, type)).join("  ");
  if (typeof of === "bigint") return type === "entity" ? handle(of) : String(of);
  if (typeof of === "boolean") return of ? "yes" : "no";
  if (typeof of === "number") return Number.isInteger(of) && Math.abs(of) < 1e9 ? String(of) : Math.abs(of) >= 1e-3 && Math.abs(of) < 1e6 ? of.toFixed(Math.abs(of) >= 100 ? 2 : 4) : of.toExponential(3);
  return "–";
}

/** Round steps: about `wanted` of them between two values, all different. */
export function ticks(low: number, high: number, wanted: number): number[] {
  const rough = (high - low) / Math.max(wanted, 1), power = 10 ** Math.floor(Math.log10(rough));
  if (!(rough > 0) || !Number.isFinite(power) || power === 0) return [];
  const step = [1, 2, 5, 10].map(n => n * power).find(n => n >= rough) ?? 10 * power;
  const out: number[] = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9 && out.length < 100; i++) {
    const tick = Math.abs(i * step) < step * 1e-9 ? 0 : i * step;
    // closer together than numbers of this size are
    if (out.length > 0 && tick <= out.at(-1)!) return [];
    out.push(tick);
  }
  return out;
}

/** Characters that a tick's label may have. */
const LABEL_MAX = 9;

/**
 * The labels of ticks, all different. Where they would be too long, `offset` is what all of them have in common, and the
 * labels are what is to be added to it.
 */
export function tickLabels(values: readonly number[]): { offset: string; labels: string[] } {
  const [first, second] = values;
  if (first === undefined) return { offset: "", labels: [] };
  const step = second === undefined ? Math.abs(first) || 1 : second - first, largest = Math.max(...values.map(Math.abs));
  const places = Math.max(0, -Math.floor(Math.log10(step) + 1e-9)), plain = values.map(value => value.toFixed(Math.min(places, 100)));
  if (largest < 1e5 && places <= 4 && plain.every(text => text.length <= LABEL_MAX)) return { offset: "", labels: plain };
  // digits that count, from the largest value's first to the step's
  const digits = Math.max(0, Math.floor(Math.log10(largest) + 1e-9) - Math.floor(Math.log10(step) + 1e-9) + (second === undefined ? 6 : 0));
  const powers = values.map(value => value === 0 ? "0" : value.toExponential(Math.min(digits, 100)));
  if (second === undefined || powers.every(text => text.length <= LABEL_MAX)) return { offset: "", labels: powers };
  const unit = 10 ** Math.floor(Math.log10(step) + 1e-9), base = Math.floor(first / (unit * 1000)) * unit * 1000;
  const labels = values.map(value => {
    const more = Math.round((value - base) / unit);
    return more === 0 ? "+0" : `+${more}e${Math.round(Math.log10(unit))}`;
  });
  return { offset: base.toPrecision(Math.min(Math.max(digits - 1, 1), 17)).replace(/(\.\d*?)0+(e|$)/, "$1$2").replace(/\.(e|$)/, "$1"), labels };
}
