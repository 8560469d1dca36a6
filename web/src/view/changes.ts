//! What changed since a generation. The meaning is that of the engine's `changed_since`: where the bytes of a chunk's rows
//! differ from those that the same rows had at that generation, the chunk has changed since. The reverse need not hold: an
//! update that leads over several generations counts as its last one, and a whole state counts as new from end to end.

import { CHUNK_ROWS, type Table } from "./table.ts";

/** Which chunks of 1,024 rows of a column changed. */
export class ChangedChunks {
  /** How many chunks the column has: one for every 1,024 rows, the last one shorter. */
  readonly chunks: number;
  readonly #generations: Float64Array;
  readonly #rows: number;
  readonly #since: number;

  /** Those of a column with these generations, a chunk each, that are later than `since`. */
  constructor(generations: Float64Array, rows: number, since: number) {
    this.chunks = Math.ceil(rows / CHUNK_ROWS);
    this.#generations = generations;
    this.#rows = rows;
    this.#since = since;
  }

  /** Whether a chunk changed. */
  contains(chunk: number): boolean {
    return chunk >= 0 && chunk < this.chunks && this.#generations[chunk]! > this.#since;
  }

  /** Whether nothing changed. */
  get isEmpty(): boolean {
    for (let chunk = 0; chunk < this.chunks; chunk++) if (this.contains(chunk)) return false;
    return true;
  }

  /** The chunks that changed, in order: chunk `c` has the rows from `1024 * c` on. */
  *[Symbol.iterator](): Generator<number> {
    for (let chunk = 0; chunk < this.chunks; chunk++) if (this.contains(chunk)) yield chunk;
  }

  /** The rows of the chunks that changed, as runs `[from, to)` that do not touch each other, in order. */
  *runs(): Generator<readonly [from: number, to: number]> {
    for (let chunk = 0; chunk < this.chunks; chunk++) {
      if (!this.contains(chunk)) continue;
      const from = chunk * CHUNK_ROWS;
      while (this.contains(chunk + 1)) chunk++;
      yield [from, Math.min((chunk + 1) * CHUNK_ROWS, this.#rows)];
    }
  }
}

/** A column of which something changed since a generation. */
export interface ChangedColumn {
  readonly table: Table;
  /**
   * `position.x` of a field, a toggle's name of who has it, `(entity)` of the rows' handles, `(inside)` of which rows are
   * inside the subscription's box.
   */
  readonly name: string;
  readonly chunks: ChangedChunks;
}

/** The columns of a table in which something changed after a generation; below 0: all that there is. */
export function* changedColumns(table: Table, since: number): Generator<ChangedColumn> {
  for (const part of table.parts) {
    const chunks = new ChangedChunks(part.generations, table.rows, since);
    if (!chunks.isEmpty) yield { table, name: nameOf(part), chunks };
  }
}

function nameOf(part: Table["parts"][number]): string {
  switch (part.role) {
    case "handle": return "(entity)";
    case "box": return "(inside)";
    case "presence": return part.component;
    default: return "name" in part ? part.name : part.component;
  }
}
