//! Numbers as people read them.

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

/** A value of a column, whatever its type. */
export function value(of: unknown): string {
  if (Array.isArray(of)) return of.map(value).join("  ");
  if (typeof of === "bigint") return of === 0xffff_ffff_ffff_ffffn ? "none" : of > 0xffff_ffffn ? `${of & 0xffff_ffffn} · ${of >> 32n}` : String(of);
  if (typeof of === "boolean") return of ? "yes" : "no";
  if (typeof of === "number") return Number.isInteger(of) && Math.abs(of) < 1e9 ? String(of) : Math.abs(of) >= 1e-3 && Math.abs(of) < 1e6 ? of.toFixed(Math.abs(of) >= 100 ? 2 : 4) : of.toExponential(3);
  return "–";
}

/** Round steps: about `wanted` of them between two values. */
export function ticks(low: number, high: number, wanted: number): number[] {
  const rough = (high - low) / Math.max(wanted, 1), power = 10 ** Math.floor(Math.log10(rough));
  if (!(rough > 0) || !Number.isFinite(power) || power === 0) return [];
  const step = [1, 2, 5, 10].map(n => n * power).find(n => n >= rough) ?? 10 * power;
  const out: number[] = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9 && out.length < 100; i++) out.push(Math.abs(i * step) < step * 1e-9 ? 0 : i * step);
  return out;
}
