//! The real gateway's refusals and ends, as a client meets them.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { test } from "node:test";
import { connect } from "../../src/view/connect.ts";
import { engine, noProgram, until } from "../support/engine.ts";

const TOKEN = "a token of a test";

test("a missing token ends a client, a full gateway is asked again when it says so, an end is clean", { skip: noProgram, timeout: 120_000 }, async () => {
  const file = `${tmpdir()}/hypostyle-token-${process.pid}`;
  writeFileSync(file, `${TOKEN}\n`);
  const real = await engine("refusals", ["--entities", "500", "--frames", "1000000000", "--workers", "local"], ["--token-file", file, "--clients-max", "1"]);
  const url = `ws://127.0.0.1:${real.port}/live`;
  try {
    const stranger = connect(url);
    await assert.rejects(stranger.ready(), /this gateway wants a token/);
    assert.deepEqual([stranger.state, stranger.stats.bytes], ["closed", 0]);
    const first = connect(url, { token: TOKEN });
    await first.ready();
    const second = connect(url, { token: TOKEN });
    await until("what a full gateway says", () => /there are 1 clients already/.test(second.reason));
    assert.equal(second.state, "waiting");
    const left = second.nextTryAt - performance.now();
    assert.ok(left > 2_000 && left < 7_000, `${left} ms`);
    first.close();
    second.resume();
    await until("a place", () => {
      if (second.state === "waiting") second.resume();
      return second.state === "live";
    });
    second.close();
    // the WebSocket's own end
    const ended = await until("a place", () => new Promise<{ code: number; wasClean: boolean } | undefined>(done => {
      const socket = new WebSocket(`${url}?token=${encodeURIComponent(TOKEN)}`, "hypostyle.v1");
      socket.onmessage = () => socket.close(1000, "bye");
      socket.onclose = ({ code, wasClean }) => done(code === 1006 ? undefined : { code, wasClean });
      socket.onerror = () => done(undefined);
    }));
    assert.deepEqual(ended, { code: 1000, wasClean: true });
  } finally {
    await real.close();
  }
});
