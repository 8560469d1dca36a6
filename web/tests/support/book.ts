//! The blocks of JavaScript in the book and in the package's readme.

import { readFileSync, readdirSync } from "node:fs";

const BOOK = "../docs/book";
/** The first line of a module of kernels says so. */
const MODULE = /^.*\/\/ kernels\.js$/m;
/** What a block imports that starts an engine. */
const ENGINE = 'from "hypostyle-view/engine"';

/** A block that starts an engine, and the module of kernels that stands below it. */
export interface EngineBlock { main: string; kernels: string }

function blocks(file: string): string[] {
  const text = readFileSync(file, "utf8");
  return [...text.matchAll(/(<!-- not run: [^\n]*-->\n)?```js\n(.*?)^```/gms)].filter(found => !found[1]).map(found => found[2]!);
}

const book = (): string[] => readdirSync(BOOK).filter(name => name.endsWith(".md")).map(name => `${BOOK}/${name}`);
const isModule = (block: string) => MODULE.test(block.split("\n", 1)[0]!);

/** The book's blocks that are run beside a gateway. */
export function live(): string[] {
  return book().flatMap(blocks).filter(block => !block.includes(ENGINE) && !isModule(block));
}

/** The blocks of the book and of the readme that are run with an engine. */
export function engines(): EngineBlock[] {
  return [...book(), "README.md"].map(blocks).flatMap(all => all.flatMap((main, at) => {
    const kernels = all[at + 1];
    return main.includes(ENGINE) && kernels !== undefined && isModule(kernels) ? [{ main, kernels }] : [];
  }));
}
