//! The tabs below the picture. As the pattern for tabs wants it: one is in the tab order, arrows go to the others.

import { remember, remembered } from "./storage.ts";

export class Tabs {
  readonly #tabs = [...document.querySelectorAll<HTMLElement>("[role=tab]")];
  #shown = "";

  constructor() {
    this.#tabs.forEach((tab, i) => {
      tab.onclick = () => this.show(nameOf(tab));
      tab.onkeydown = event => {
        const by = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
        if (by === 0) return;
        const next = this.#tabs[(i + by + this.#tabs.length) % this.#tabs.length]!;
        this.show(nameOf(next));
        next.focus();
        event.preventDefault();
      };
    });
    const before = remembered("hypostyle-tab"), names = this.#tabs.map(nameOf);
    this.show(before !== null && names.includes(before) ? before : names[0]!);
  }

  /** The tab that is shown. */
  get shown(): string {
    return this.#shown;
  }

  show(name: string): void {
    this.#shown = name;
    remember("hypostyle-tab", name);
    for (const tab of this.#tabs) {
      const shown = nameOf(tab) === name;
      tab.setAttribute("aria-selected", String(shown));
      tab.tabIndex = shown ? 0 : -1;
      document.getElementById(tab.getAttribute("aria-controls")!)!.hidden = !shown;
    }
  }
}

function nameOf(tab: HTMLElement): string {
  return tab.id.replace("tab-", "");
}
