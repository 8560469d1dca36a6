//! Handles and a number for each, without an object for any: a table of open addresses in one typed array.

/** How full it gets at most: half. */
const ROOM = 2;
/** Words of an entry: the handle's lower and upper half, and the number plus one; 0: free. */
const WORDS = 3;

export class HandleMap {
  #words: Uint32Array;
  #mask: number;
  #size = 0;

  /** `expected`: about how many there will be. */
  constructor(expected = 0) {
    const entries = 2 ** Math.ceil(Math.log2(Math.max(expected, 8) * ROOM));
    this.#words = new Uint32Array(entries * WORDS);
    this.#mask = entries - 1;
  }

  /** How many handles have a number. */
  get size(): number {
    return this.#size;
  }

  /** Gives a handle a number, below 2^32 - 1. */
  set(low: number, high: number, value: number): void {
    if ((this.#size + 1) * ROOM > this.#mask + 1) this.#grow();
    const at = this.#find(low, high), words = this.#words;
    if (words[at + 2] === 0) this.#size++;
    words[at] = low;
    words[at + 1] = high;
    words[at + 2] = value + 1;
  }

  /** A handle's number. */
  get(low: number, high: number): number | undefined {
    const value = this.#words[this.#find(low, high) + 2]!;
    return value === 0 ? undefined : value - 1;
  }

  /** Calls `each` with every handle, in no order. */
  each(each: (low: number, high: number, value: number) => void): void {
    const words = this.#words;
    for (let at = 0; at < words.length; at += WORDS) if (words[at + 2] !== 0) each(words[at]!, words[at + 1]!, words[at + 2]! - 1);
  }

  /** Where a handle stands, or would. */
  #find(low: number, high: number): number {
    const words = this.#words;
    let at = Math.imul(Math.imul(low ^ high >>> 15, 0x9e37_79b1) ^ high, 0x85eb_ca6b);
    at = (at ^ at >>> 13) & this.#mask;
    while (words[at * WORDS + 2] !== 0 && (words[at * WORDS] !== low || words[at * WORDS + 1] !== high)) at = at + 1 & this.#mask;
    return at * WORDS;
  }

  #grow(): void {
    const grown = new HandleMap(this.#mask + 1);
    this.each((low, high, value) => grown.set(low, high, value));
    this.#words = grown.#words;
    this.#mask = grown.#mask;
  }
}
