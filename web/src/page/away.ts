//! A tab that nobody sees receives nothing; seen again, it goes on from what it holds.

import type { Connection } from "../view/connect.ts";

/** Hidden for so long, it receives nothing more. */
const HIDDEN_MS = 2000;

export function pauseWhileHidden(connection: Connection): void {
  let hiding: ReturnType<typeof setTimeout> | undefined, away = false;
  const look = (): void => {
    clearTimeout(hiding);
    if (document.hidden) {
      hiding = setTimeout(() => {
        if (!document.hidden || connection.state === "paused" || connection.state === "closed") return;
        away = true;
        connection.pause();
      }, HIDDEN_MS);
    } else if (away) {
      away = false;
      connection.resume();
    }
  };
  document.addEventListener("visibilitychange", look);
  look();
}
