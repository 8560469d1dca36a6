//! Colour maps: perceptually even ones, as polynomials (after Matt Zucker's fits of matplotlib's maps, CC0), and a
//! small set of colours for kinds.

type Polynomial = readonly (readonly [number, number, number])[];

const MAPS = {
  viridis: [
    [0.2777273272, 0.0054073445, 0.3340998053], [0.1050930431, 1.4046135299, 1.3845901626],
    [-0.3308618287, 0.2148475595, 0.095095163], [-4.6342304990, -5.7991009734, -19.3324409563],
    [6.2282699363, 14.1799333668, 56.6905526007], [4.7763849977, -13.7451453777, -65.3530326334],
    [-5.4354558559, 4.6458526122, 26.3124352496],
  ],
  inferno: [
    [0.0002189404, 0.001651005, -0.0194808984], [0.1065134195, 0.5639564368, 3.9327123889],
    [11.6024930825, -3.9728539657, -15.9423941063], [-41.7039961314, 17.4363988821, 44.3541451987],
    [77.1629356994, -33.4023589421, -81.8073092574], [-71.3194282450, 32.6260642640, 73.2095198580],
    [25.1311262248, -12.2426689524, -23.0703250029],
  ],
  plasma: [
    [0.0587323451, 0.0233336711, 0.5433401826], [2.1765146341, 0.2383834171, 0.7539604599],
    [-2.6894604765, -7.4558511358, 3.1107999398], [6.1303483459, 42.3461881477, -28.5188546533],
    [-11.1074361906, -82.6663110943, 60.1398476742], [10.0230655749, 71.4136177010, -54.0721865556],
    [-3.6587138428, -22.9315346546, 18.1919077865],
  ],
} as const satisfies Record<string, Polynomial>;

/** A colour map's name. */
export type MapName = keyof typeof MAPS | "balance";

/** All maps, the default first. */
export const MAP_NAMES: readonly MapName[] = ["viridis", "inferno", "plasma", "balance"];

/** Colours for what has no order: apart for colour-blind eyes, too (after Okabe and Ito). */
export const KINDS: readonly string[] = ["#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#0072b2", "#f0e442", "#999999"];

function byte(value: number): number {
  return Math.max(0, Math.min(255, Math.round(value * 255)));
}

/** 256 colours, 4 bytes each. The end that would drown in the ground is left out. */
export function table(name: MapName, dark: boolean): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(256 * 4);
  for (let i = 0; i < 256; i++) {
    const t = dark ? 0.16 + 0.84 * i / 255 : 0.9 * i / 255;
    for (let k = 0; k < 3; k++) out[i * 4 + k] = byte(name === "balance" ? balance(i / 255, k, dark) : polynomial(MAPS[name], t, k));
    out[i * 4 + 3] = 255;
  }
  return out;
}

function polynomial(map: Polynomial, t: number, k: number): number {
  let value = 0;
  for (let power = map.length - 1; power >= 0; power--) value = value * t + (map[power]?.[k] ?? 0);
  return value;
}

/** Two hues that part at the middle: for values around zero. */
function balance(t: number, k: number, dark: boolean): number {
  const low = [0.24, 0.56, 0.96][k] ?? 0, high = [0.96, 0.42, 0.26][k] ?? 0, middle = dark ? 0.3 : 0.82;
  const far = Math.abs(2 * t - 1);
  return middle + ((t < 0.5 ? low : high) - middle) * (1 - (1 - far) ** 1.6);
}

/** `#rrggbb` as numbers from 0 to 1. */
export function rgb(hex: string): [number, number, number] {
  const value = parseInt(hex.slice(1), 16);
  return [(value >> 16 & 255) / 255, (value >> 8 & 255) / 255, (value & 255) / 255];
}

/** The colours for kinds where the GPU looks for them: 256 of 4 bytes, of which the first 8 count. */
export function kinds(): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(256 * 4).fill(255);
  KINDS.forEach((hex, i) => rgb(hex).forEach((part, k) => (out[i * 4 + k] = byte(part))));
  return out;
}
