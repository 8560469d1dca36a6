//! The button that records: what is seen, into a file among the downloads.

import { messageOf } from "../view/errors.ts";
import { setText } from "./dom.ts";
import { download } from "./picture.ts";
import { record, type Recording } from "./video.ts";

const $ = <T extends HTMLElement>(id: string): T => document.getElementById(id) as T;

export class Camcorder {
  #running: Recording | undefined;
  #begun = 0;
  readonly #layers: readonly HTMLCanvasElement[];
  readonly #ground: () => string;
  readonly #name: () => string;
  readonly #say: (text: string) => void;

  constructor(layers: readonly HTMLCanvasElement[], ground: () => string, name: () => string, say: (text: string) => void) {
    this.#layers = layers;
    this.#ground = ground;
    this.#name = name;
    this.#say = say;
  }

  /** A picture was drawn. */
  frame(): void {
    if (!this.#running) return;
    this.#running.frame();
    this.#show();
  }

  /** Begins, or ends and hands over the file. */
  async toggle(): Promise<void> {
    const running = this.#running;
    try {
      if (!running) {
        this.#begun = performance.now();
        this.#running = record(this.#layers, this.#ground, why => {
          this.#say(why);
          void this.toggle();
        });
        this.#show();
        return;
      }
      this.#running = undefined;
      const file = await running.stop();
      download(file, `${this.#name()}.${running.kind}`);
      this.#say(running.kind === "webm" ? "The video is among the downloads" : "This browser makes no video: its frames are among the downloads, as PNG files in a tar archive");
    } catch (error) {
      this.#running = undefined;
      this.#say(messageOf(error));
    }
    this.#show();
  }

  #show(): void {
    const button = $("video"), seconds = Math.floor((performance.now() - this.#begun) / 1000);
    button.setAttribute("aria-pressed", String(this.#running !== undefined));
    setText(button, this.#running ? `■ ${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}` : "Video");
  }
}
