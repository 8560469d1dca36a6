//! The unit of what is shown, where the layout tells it.

import type { FieldInfo } from "../view/protocol.ts";

interface Part {
  readonly name: string;
  readonly fields: readonly FieldInfo[];
}

/** What can have units. */
interface Layout {
  readonly components: readonly Part[];
  readonly resourceLayouts: readonly Part[];
}

/** The unit of a column (`position.x`, `spin.turn[1]`), of a resource's field, of a length (`|velocity|`), and of a mean, sum, least or largest one; "": none is known. */
export function unitOf(world: Layout, text: string): string {
  const inner = /^(?:mean|sum|min|max)\((.*)\)$/.exec(text)?.[1] ?? text, length = /^\|(\w+)\|$/.exec(inner)?.[1];
  const owners = [...world.components, ...world.resourceLayouts];
  if (length !== undefined) {
    const units = new Set(owners.find(({ name }) => name === length)?.fields.map(({ unit }) => unit ?? ""));
    return units.size === 1 ? [...units][0]! : "";
  }
  const [, owner, field] = /^(\w+)\.(\w+)(?:\[\d+\])?$/.exec(inner) ?? [];
  return owners.find(({ name }) => name === owner)?.fields.find(({ name }) => name === field)?.unit ?? "";
}

/** With its unit, as `velocity.x [m/s]`. */
export function withUnit(world: Layout, text: string): string {
  const unit = unitOf(world, text);
  return unit === "" ? text : `${text} [${unit}]`;
}
