//! What a page holds, as hashes that compare with those of a snapshot.

import type { Page } from "playwright-core";

/** Per table its rows, and per column a SHA-256 of its bytes: as `hashes` of `snapshot.ts`. */
export function held(page: Page): Promise<string[]> {
  return page.evaluate(async () => {
    const out: string[] = [];
    for (const table of [...hypostyle.connection.world.raw.values()].sort((a, b) => a.id - b.id)) {
      out.push(`table ${table.id}: ${table.rows} rows`);
      for (const part of table.parts) {
        const digest = await crypto.subtle.digest("SHA-256", part.bytes.slice(0, part.bytesOf(table.rows)));
        out.push(`${table.id} ${part.key} ${[...new Uint8Array(digest)].map(byte => byte.toString(16).padStart(2, "0")).join("")}`);
      }
    }
    return out;
  });
}
