//! A world that follows a model, from update to update.

import assert from "node:assert/strict";
import { decode } from "../../src/view/protocol.ts";
import { World } from "../../src/view/world.ts";
import { Random } from "./random.ts";
import { HELLO, copy, difference, json, update, type Model } from "./server.ts";

/** A world that is led from state to state as a server would. */
export class Led {
  readonly world = new World(1 << 28);
  #model: Model | undefined;
  generation = 0;
  readonly random: Random;

  constructor(seed: number) {
    this.random = new Random(seed);
    const hello = decode(json(1, HELLO));
    assert.equal(hello.kind, "hello");
    if (hello.kind === "hello") this.world.announce(hello.hello);
  }

  lead(model: Model): void {
    const full = this.#model === undefined, blocks = difference(this.#model, model, this.random);
    const parts = update({ subscription: 1, from: this.generation, to: ++this.generation, frame: this.generation, time: this.generation / 10, full }, blocks, 1).map(bytes => {
      const read = decode(bytes);
      if (read.kind !== "update") throw new Error("no update");
      return read.part;
    });
    this.world.apply(parts);
    this.#model = copy(model);
  }
}
