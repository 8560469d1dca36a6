//! Formulas over an entity's values: `|velocity|`, `mass * |velocity|^2 / 2`, `position.x > 3 and not frozen`.
//!
//! A formula is read once, for a layout, into a tree of scalars. Names that the layout does not have, and vectors where one
//! value is wanted, are errors with the place and what to write instead. Pages may not make code of text, so nothing here does.

import type { ComponentInfo } from "../view/protocol.ts";

/** One value per row. */
export type Node =
  | { readonly kind: "number"; readonly value: number }
  | { readonly kind: "column"; readonly name: string; readonly component: string; readonly lane: number }
  | { readonly kind: "has"; readonly component: string }
  | { readonly kind: "norm"; readonly of: readonly Node[] }
  | { readonly kind: "call"; readonly name: string; readonly of: readonly Node[] };

/** A formula that can be computed. */
export interface Formula {
  readonly text: string;
  readonly node: Node;
  /** The components that it reads. */
  readonly components: readonly string[];
}

/** A formula that cannot be: what is wrong, and what would be right. */
export class FormulaError extends Error {}

/** Functions of one, and of two values. */
export const ONE: Readonly<Record<string, (a: number) => number>> = {
  abs: Math.abs, sqrt: Math.sqrt, cbrt: Math.cbrt, exp: Math.exp, log: Math.log, log10: Math.log10, sin: Math.sin, cos: Math.cos, tan: Math.tan,
  atan: Math.atan, floor: Math.floor, round: Math.round, sign: Math.sign, not: a => a === 0 ? 1 : a !== a ? NaN : 0, neg: a => -a,
};
// what is not there is neither more nor less than anything
export const TWO: Readonly<Record<string, (a: number, b: number) => number>> = {
  "+": (a, b) => a + b, "-": (a, b) => a - b, "*": (a, b) => a * b, "/": (a, b) => a / b, "%": (a, b) => a % b, "^": (a, b) => a ** b,
  "<": (a, b) => a < b ? 1 : 0, "<=": (a, b) => a <= b ? 1 : 0, ">": (a, b) => a > b ? 1 : 0, ">=": (a, b) => a >= b ? 1 : 0,
  "==": (a, b) => a === b ? 1 : 0, "!=": (a, b) => a === a && b === b && a !== b ? 1 : 0,
  and: (a, b) => holds(a) && holds(b) ? 1 : 0, or: (a, b) => holds(a) || holds(b) ? 1 : 0,
  min: Math.min, max: Math.max, atan2: Math.atan2,
};

/** Whether a value counts as yes. */
export function holds(value: number): boolean {
  return value !== 0 && value === value;
}

interface Token {
  readonly kind: "number" | "name" | "sign" | "end";
  readonly text: string;
  readonly at: number;
}

const LENGTH_MAX = 400, DEPTH_MAX = 60;
const TOKEN = /\s*(?:(\d+\.?\d*(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?)|([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)?(?:\[\d+\])?)|(<=|>=|==|!=|&&|[-+*/%^()<>|!,]))/iy;

function tokens(text: string): Token[] {
  if (text.length > LENGTH_MAX) throw new FormulaError(`the formula has ${text.length} characters; at most ${LENGTH_MAX} are read`);
  const out: Token[] = [], end = text.trimEnd().length;
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < end) {
    const at = TOKEN.lastIndex, match = TOKEN.exec(text);
    if (!match) throw new FormulaError(`"${text.slice(at).trim()[0]}" means nothing in a formula; write, for example, |velocity| > 2 and not frozen`);
    out.push({ kind: match[1] !== undefined ? "number" : match[2] !== undefined ? "name" : "sign", text: (match[1] ?? match[2] ?? match[3])!, at });
  }
  out.push({ kind: "end", text: "the end", at: end });
  return out;
}

/** One value, or the values of a vector. */
type Values = readonly Node[];

/** Reads a formula for a layout. @throws FormulaError */
export function formula(text: string, layout: readonly ComponentInfo[]): Formula {
  const reader = new Reader(tokens(text), layout), values = reader.any(0);
  const node = reader.one(values, reader.end());
  const components = new Set<string>();
  collect(node, components);
  return { text, node, components: [...components] };
}

function collect(node: Node, into: Set<string>): void {
  if (node.kind === "column" || node.kind === "has") into.add(node.component);
  else if (node.kind !== "number") for (const of of node.of) collect(of, into);
}

class Reader {
  readonly #tokens: readonly Token[];
  readonly #layout: readonly ComponentInfo[];
  #at = 0;
  #bars = 0;

  constructor(tokens: readonly Token[], layout: readonly ComponentInfo[]) {
    this.#tokens = tokens;
    this.#layout = layout;
  }

  get #next(): Token {
    return this.#tokens[this.#at]!;
  }

  /** Takes one of the signs or words, where it is next. */
  #take(...signs: string[]): string | undefined {
    const { kind, text } = this.#next;
    if (kind === "end" || kind === "number" || !signs.includes(text)) return undefined;
    this.#at++;
    return text;
  }

  #expect(sign: string, after: string): void {
    if (!this.#take(sign)) throw new FormulaError(`${after} wants a "${sign}", and there is ${this.#shown()}`);
  }

  #shown(): string {
    return this.#next.kind === "end" ? "the end" : `"${this.#next.text}"`;
  }

  /** Everything was read. Returns where it ends, for errors. */
  end(): string {
    if (this.#next.kind !== "end") throw new FormulaError(`after the formula there is ${this.#shown()}; write an operator before it`);
    return "the formula";
  }

  one(values: Values, what: string): Node {
    if (values.length !== 1) throw new FormulaError(`${what} is a vector of ${values.length} values; write |...| for its length, or one field`);
    return values[0]!;
  }

  any(depth: number): Values {
    let left = this.#all(depth);
    for (;;) {
      // within bars the second one closes
      const { text } = this.#next, bars = this.#bars === 0 && text === "|" && this.#tokens[this.#at + 1]?.text === "|";
      if (bars) this.#at += 2;
      else if (!this.#take("or")) return left;
      left = this.#pair("or", left, this.#all(depth));
    }
  }

  #all(depth: number): Values {
    let left = this.#not(depth);
    while (this.#take("and", "&&")) left = this.#pair("and", left, this.#not(depth));
    return left;
  }

  #not(depth: number): Values {
    if (depth > DEPTH_MAX) throw new FormulaError(`the formula is nested more than ${DEPTH_MAX} deep`);
    if (this.#take("not", "!")) return [{ kind: "call", name: "not", of: [this.one(this.#not(depth + 1), "what `not` stands before")] }];
    const left = this.#sum(depth), sign = this.#take("<", "<=", ">", ">=", "==", "!=");
    return sign ? this.#pair(sign, left, this.#sum(depth)) : left;
  }

  #sum(depth: number): Values {
    let left = this.#product(depth);
    for (let sign; (sign = this.#take("+", "-"));) left = this.#pair(sign, left, this.#product(depth));
    return left;
  }

  #product(depth: number): Values {
    let left = this.#sign(depth);
    for (let sign; (sign = this.#take("*", "/", "%"));) left = this.#pair(sign, left, this.#sign(depth));
    return left;
  }

  #sign(depth: number): Values {
    if (depth > DEPTH_MAX) throw new FormulaError(`the formula is nested more than ${DEPTH_MAX} deep`);
    if (this.#take("-")) return this.#sign(depth + 1).map(of => ({ kind: "call", name: "neg", of: [of] }));
    if (this.#take("+")) return this.#sign(depth + 1);
    const left = this.#value(depth);
    return this.#take("^") ? this.#pair("^", left, this.#sign(depth + 1)) : left;
  }

  #value(depth: number): Values {
    const token = this.#next;
    if (token.kind === "number") {
      this.#at++;
      return [{ kind: "number", value: Number(token.text) }];
    }
    if (this.#take("(")) {
      const bars = this.#bars;
      this.#bars = 0;
      const inner = this.any(depth + 1);
      this.#bars = bars;
      this.#expect(")", `"("`);
      return inner;
    }
    if (this.#take("|")) {
      this.#bars++;
      const inner = this.any(depth + 1);
      this.#bars--;
      this.#expect("|", `"|"`);
      return [inner.length === 1 ? { kind: "call", name: "abs", of: inner } : { kind: "norm", of: inner }];
    }
    if (token.kind !== "name") throw new FormulaError(`there is ${this.#shown()} where a value should be: a number, or a name such as position.x`);
    this.#at++;
    return this.#tokens[this.#at]?.text === "(" ? this.#call(token.text, depth) : this.#named(token.text);
  }

  #call(name: string, depth: number): Values {
    this.#at++;
    if (name === "has") {
      const of = this.#next.text, component = this.#layout.find(component => component.name === of);
      if (!component) throw new FormulaError(`there is no component "${of}"; there are ${this.#names()}`);
      this.#at++;
      this.#expect(")", "has(");
      return [{ kind: "has", component: of }];
    }
    const wanted = Object.hasOwn(ONE, name) ? 1 : Object.hasOwn(TWO, name) && /^\w+$/.test(name) ? 2 : 0, given: Node[] = [];
    if (wanted === 0) throw new FormulaError(`there is no function "${name}"; there are ${[...Object.keys(ONE).filter(one => one !== "neg"), "min", "max", "atan2", "has"].join(", ")}`);
    const bars = this.#bars;
    this.#bars = 0;
    do given.push(this.one(this.any(depth + 1), `what ${name} is given`)); while (this.#take(","));
    this.#bars = bars;
    this.#expect(")", `${name}(`);
    if (given.length !== wanted) throw new FormulaError(`${name} takes ${wanted === 1 ? "one value" : "two values"}, not ${given.length}`);
    return [{ kind: "call", name, of: given }];
  }

  #names(): string {
    const names = this.#layout.map(component => component.name);
    return names.slice(0, 12).join(", ") + (names.length > 12 ? ", ..." : "");
  }

  #named(text: string): Values {
    const [, base = text, lane] = /^([^[]+)(?:\[(\d+)\])?$/.exec(text) ?? [], [name, fieldName] = base.split(".");
    const component = this.#layout.find(component => component.name === name);
    if (!component) throw new FormulaError(`there is no component "${name}"; there are ${this.#names()}`);
    if (fieldName === undefined) {
      if (lane !== undefined) throw new FormulaError(`${name} is a component; write ${name}.${component.fields[0]?.name ?? "field"}[${lane}]`);
      if (component.fields.length === 0) return [{ kind: "has", component: component.name }];
      return component.fields.filter(({ scalar }) => scalar !== "entity").flatMap(field => lanes(component.name, field));
    }
    const field = component.fields.find(field => field.name === fieldName);
    if (!field || field.scalar === "entity") {
      const fields = component.fields.filter(({ scalar }) => scalar !== "entity").map(field => `${name}.${field.name}`).join(", ");
      throw new FormulaError(`${field ? `${base} is a handle, no number` : `there is no field ${base}`}; ${fields ? `there are ${fields}` : `${name} has no values`}`);
    }
    const all = lanes(component.name, field);
    if (lane === undefined) return all;
    const one = field.length > 0 ? all[Number(lane)] : undefined;
    if (!one) throw new FormulaError(field.length > 0 ? `${base} has ${field.length} values: [0] to [${field.length - 1}]` : `${base} is one value; leave [${lane}] out`);
    return [one];
  }

  /** Both sides, value by value; one value goes with every value of a vector. */
  #pair(name: string, left: Values, right: Values): Values {
    if (left.length !== right.length && left.length !== 1 && right.length !== 1) {
      throw new FormulaError(`"${name}" stands between vectors of ${left.length} and of ${right.length} values`);
    }
    return Array.from({ length: Math.max(left.length, right.length) }, (_, i) => ({
      kind: "call", name, of: [left[left.length === 1 ? 0 : i]!, right[right.length === 1 ? 0 : i]!],
    }));
  }
}

function lanes(component: string, field: ComponentInfo["fields"][number]): Node[] {
  const name = `${component}.${field.name}`;
  return Array.from({ length: Math.max(field.length, 1) }, (_, lane) => ({ kind: "column", name, component, lane }));
}
