//! The two ends of the colour range: a number that was typed, or the data's own.

/** What a field holds: a number, nothing (the data's own end), or something that is neither. */
export interface Typed {
  readonly value: number | undefined;
  /** Why it is no number; empty where it is one, or nothing. */
  readonly fault: string;
}

/** Ends that were typed; `undefined`: from the data. */
export interface Ends {
  readonly low: number | undefined;
  readonly high: number | undefined;
}

export const FROM_DATA: Ends = { low: undefined, high: undefined };

/** Reads a field. */
export function typed(text: string): Typed {
  const trimmed = text.trim();
  if (trimmed === "") return { value: undefined, fault: "" };
  const value = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(trimmed) ? Number(trimmed) : NaN;
  if (Number.isFinite(value)) return { value, fault: "" };
  return { value: undefined, fault: `"${trimmed}" is no number: write it like 1.5 or 2e-3, or leave the field empty for the data's own` };
}

/** Why two ends do not go together; empty where they do. */
export function conflict({ low, high }: Ends): string {
  return low !== undefined && high !== undefined && low >= high ? `the low end, ${low}, must be below the high end, ${high}` : "";
}

/** The range to show: typed ends where there are any, the data's elsewhere, never empty. */
export function rangeOfEnds(data: readonly [number, number] | undefined, ends: Ends, isSymmetric: boolean): [number, number] | undefined {
  if (ends.low !== undefined && ends.high !== undefined) return [ends.low, ends.high];
  if (!data) return undefined;
  let [low, high] = data;
  if (isSymmetric && ends.low === undefined && ends.high === undefined) [low, high] = [-Math.max(-low, high), Math.max(-low, high)];
  low = ends.low ?? low;
  high = ends.high ?? high;
  if (low < high) return [low, high];
  // all data are alike, or beyond the end that was typed
  const half = Math.max(Math.abs(low), Math.abs(high)) * 1e-6 + 0.5;
  if (ends.low !== undefined) return [low, low + half];
  if (ends.high !== undefined) return [high - half, high];
  return [low - half, high + half];
}
