//! The React binding against a scripted server: components render what they select, and only then.

import assert from "node:assert/strict";
import { test } from "node:test";
import { createElement, type ReactElement } from "react";
import { act, create, type ReactTestRenderer } from "react-test-renderer";
import { useView, useWorld } from "../../src/view/react.ts";
import { Socket, SUBSCRIBED, full, model, next } from "../support/socket.ts";
import { HELLO, json } from "../support/server.ts";

(globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean }).IS_REACT_ACT_ENVIRONMENT = true;

const OPTIONS = { socket: () => new Socket() as unknown as WebSocket, fetch: () => Promise.reject(new Error("no network")) };
let renders = 0;

function Count({ url, columns = [] }: { url?: string | undefined; columns?: string[] }): ReactElement {
  const view = useView(url, { ...OPTIONS, columns });
  const seen = useWorld(view.connection, world => ({ count: world.entities.count, even: world.generation % 2 === 0 }), (a, b) => a.count === b.count);
  renders++;
  return createElement("p", null, `${view.state} ${seen ? String(seen.count) : "nothing"}`);
}

const text = (tree: ReactTestRenderer): string => (tree.toJSON() as { children: string[] }).children.join("");

async function mounted(url?: string): Promise<ReactTestRenderer> {
  Socket.all = [];
  let tree: ReactTestRenderer | undefined;
  await act(async () => void (tree = create(createElement(Count, { url }))));
  return tree!;
}

test("a component shows what it selects, and renders where that is another", async () => {
  const tree = await mounted("ws://test/live");
  assert.equal(text(tree), "connecting 0");
  const socket = await next(1);
  await act(async () => socket.says(json(1, HELLO), json(2, SUBSCRIBED), ...full(7, model(10))));
  assert.equal(text(tree), "live 10");
  const before = renders;
  await act(async () => socket.says(...full(8, model(10))));
  assert.equal(renders, before, "as many as before");
  await act(async () => socket.says(...full(9, model(4))));
  assert.equal(text(tree), "live 4");
  assert.equal(renders, before + 1);
  await act(async () => tree.unmount());
  assert.equal(socket.readyState, 3, "the connection ends with its component");
});

test("another address is another connection, and none is none", async () => {
  const tree = await mounted();
  assert.deepEqual([text(tree), Socket.all.length], ["closed nothing", 0]);
  await act(async () => tree.update(createElement(Count, { url: "ws://a/live", columns: ["position"] })));
  await act(async () => (await next(1)).says(json(1, HELLO), json(2, SUBSCRIBED), ...full(7, model(10))));
  assert.equal(text(tree), "live 10");
  const asked = JSON.parse(Buffer.from(Socket.all[0]!.hears(0x81)[0]!.subarray(8)).toString()) as { columns: string[] };
  assert.deepEqual(asked.columns, ["position"], "options of the render that brought the address");
  await act(async () => tree.update(createElement(Count, { url: "ws://b/live" })));
  assert.equal(Socket.all.length, 2);
  assert.equal(Socket.all[0]!.readyState, 3, "the first one is closed");
  await act(async () => (await next(2)).says(json(1, HELLO), json(2, SUBSCRIBED), ...full(3, model(2))));
  assert.equal(text(tree), "live 2");
  await act(async () => tree.update(createElement(Count, {})));
  assert.deepEqual([text(tree), Socket.all[1]!.readyState], ["closed nothing", 3]);
});
