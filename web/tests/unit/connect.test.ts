//! Connections against a scripted server: states, acknowledgements, resuming, refusals, hostile servers.

import assert from "node:assert/strict";
import { test } from "node:test";
import { connect, type Connection, type ConnectOptions, type ConnectionState } from "../../src/view/connect.ts";
import { NoWebSocketError } from "../../src/view/errors.ts";
import { sameAsModel } from "../support/compare.ts";
import { Random } from "../support/random.ts";
import { SUBSCRIBED, Socket, full, model, next } from "../support/socket.ts";
import { HELLO, copy, difference, json, mutate, reason, update } from "../support/server.ts";

function begin(options: ConnectOptions = {}): { connection: Connection; states: ConnectionState[] } {
  Socket.all = [];
  const connection = connect("ws://test/live", { retryMsMin: 5, retryMsMax: 20, fetch: () => Promise.reject(new Error("no network")), ...options, socket: () => new Socket() as unknown as WebSocket });
  const states: ConnectionState[] = [];
  connection.onState(state => states.push(state));
  return { connection, states };
}

const body = (bytes: Uint8Array): Record<string, unknown> => JSON.parse(Buffer.from(bytes.subarray(8)).toString()) as Record<string, unknown>;

test("a first state makes it live, and is acknowledged", async () => {
  const { connection, states } = begin({ columns: ["position"], rateHz: 500 });
  const socket = await next(1);
  socket.says(json(1, HELLO));
  assert.deepEqual(body(socket.hears(0x81)[0]!), { columns: ["position"], rate_hz: 60 });
  let frames = 0;
  connection.onFrame(event => {
    frames++;
    assert.equal(event.generation, 7);
  });
  socket.says(json(2, SUBSCRIBED), ...full(7, model(10)));
  assert.equal(connection.state, "live");
  assert.equal(frames, 1);
  assert.equal(connection.world.entities.count, 10);
  const ack = new DataView(socket.hears(0x82)[0]!.buffer);
  assert.deepEqual([ack.getUint32(8, true), ack.getBigUint64(16, true)], [1, 7n]);
  await connection.ready();
  connection.close();
  assert.deepEqual(states, ["live", "closed"]);
  socket.says(...full(8, model(3)));
  assert.equal(connection.world.generation, 7);
});

test("without a WebSocket it throws at once, and says what to do", () => {
  const platform = globalThis as { WebSocket?: unknown }, own = Object.getOwnPropertyDescriptor(globalThis, "WebSocket");
  Object.defineProperty(globalThis, "WebSocket", { value: undefined, configurable: true, writable: true });
  try {
    assert.throws(() => connect("ws://test/live"), (error: Error) => {
      assert.ok(error instanceof NoWebSocketError && error.name === "NoWebSocketError");
      assert.match(error.message, /node 22.*--experimental-websocket.*`socket: /);
      return true;
    });
  } finally {
    if (own) Object.defineProperty(globalThis, "WebSocket", own);
    else delete platform.WebSocket;
  }
});

test("a lost connection is resumed from the generation that is held", async () => {
  const { connection, states } = begin();
  const first = await next(1), start = model(50), later = copy(start);
  mutate(later, new Random(3));
  first.says(json(1, HELLO), json(2, SUBSCRIBED), ...full(7, start));
  // half of an update, then nothing more
  const [half] = update({ subscription: 1, from: 7, to: 8, frame: 8, time: 8, full: false }, difference(start, later, new Random(2), false), 2);
  first.says(half!);
  first.onclose?.({ code: 1006, reason: "" });
  assert.equal(connection.state, "waiting");
  sameAsModel(connection.world, start, "while away");
  const second = await next(2);
  second.says(json(1, HELLO));
  assert.deepEqual(body(second.hears(0x81)[0]!)["resume"], { session: HELLO.session, view: "v1", generation: 7 });
  second.says(json(2, { ...SUBSCRIBED, resumed: true }));
  assert.equal(connection.state, "live");
  second.says(...update({ subscription: 1, from: 7, to: 9, frame: 9, time: 9, full: false }, difference(start, later, new Random(4))));
  sameAsModel(connection.world, later, "after resuming");
  assert.deepEqual([connection.stats.reconnects, connection.stats.resumes, connection.stats.fullUpdates], [1, 1, 1]);
  // another session: nothing that is held counts
  second.onclose?.({ code: 1006, reason: "" });
  const third = await next(3);
  third.says(json(1, { ...HELLO, session: "another" }));
  assert.equal(body(third.hears(0x81)[0]!)["resume"], undefined);
  assert.equal(connection.world.entities.count, 0);
  connection.close();
  assert.deepEqual(states.filter(state => state !== "connecting"), ["live", "waiting", "live", "waiting", "closed"]);
});

test("whatever a server says, the caller gets a state and a reason", async () => {
  const noise: unknown[] = ["text", new Uint8Array(7), new Uint8Array(64), full(1, model(4))[0]!, json(2, SUBSCRIBED), json(1, { ...HELLO, protocol: 2 })];
  for (const bad of noise) {
    const { connection } = begin();
    const socket = await next(1);
    socket.onmessage?.({ data: bad instanceof Uint8Array ? bad.slice().buffer : bad });
    assert.equal(connection.state, "waiting");
    assert.match(connection.reason, /^protocol error: /);
    assert.equal(socket.readyState, 3);
    connection.close();
  }
  const { connection } = begin({ memoryBytesMax: 10_000 });
  const socket = await next(1);
  socket.says(json(1, HELLO), json(2, SUBSCRIBED), ...full(7, model(5000)));
  assert.match(connection.reason, /raise memoryBytesMax/);
  assert.equal(connection.world.bytes, 0);
  // after a protocol error nothing is resumed
  const again = await next(2);
  again.says(json(1, HELLO));
  assert.equal(body(again.hears(0x81)[0]!)["resume"], undefined);
  connection.close();
});

test("a refused subscription rejects, and the old one goes on", async () => {
  const { connection } = begin();
  const socket = await next(1);
  socket.says(json(1, HELLO), json(2, SUBSCRIBED), ...full(7, model(10)));
  const asked = connection.subscribe({ columns: ["nothing"] });
  socket.says(reason(7, 8, "there is no component nothing"));
  await assert.rejects(asked, /there is no component nothing/);
  assert.equal(connection.asked.columns, undefined);
  socket.says(...update({ subscription: 1, from: 7, to: 8, frame: 8, time: 8, full: false }, []));
  assert.equal(connection.world.generation, 8);
  const other = connection.subscribe({ columns: ["position"], rateHz: 5 });
  socket.says(json(2, { ...SUBSCRIBED, subscription: 2, view: "v2", rate_hz: 5 }));
  assert.equal((await other).rateHz, 5);
  connection.close();
});

test("a wrong token ends it; a pause lets go and goes on; silence is given up", async () => {
  const refused = begin();
  (await next(1)).says(reason(6, 7, "a token is needed"));
  assert.deepEqual([refused.connection.state, refused.connection.reason], ["closed", "a token is needed"]);
  const { connection } = begin({ silenceMsMax: 600 });
  const socket = await next(1);
  socket.says(json(1, HELLO), json(2, SUBSCRIBED), ...full(7, model(10)));
  connection.pause();
  assert.deepEqual([connection.state, socket.readyState, connection.world.entities.count], ["paused", 3, 10]);
  connection.resume();
  const second = await next(2);
  second.says(json(1, HELLO), json(2, { ...SUBSCRIBED, resumed: true }));
  assert.equal(connection.state, "live");
  await next(3);
  assert.ok(second.hears(0x83).length > 0, "it pings before it gives up");
  connection.close();
});

test("inputs carry rising numbers, and only such that the server takes", async () => {
  const { connection } = begin();
  const socket = await next(1);
  socket.says(json(1, HELLO), json(2, SUBSCRIBED), ...full(7, model(10)));
  assert.equal(connection.send("push", new Uint8Array([1])), 1);
  assert.equal(connection.send("push", new Uint8Array([2])), 2);
  assert.throws(() => connection.send("pull", new Uint8Array(0)), /takes no input `pull`/);
  assert.throws(() => connection.send("push", new Uint8Array(70_000)), /the server takes 65536/);
  assert.deepEqual(socket.hears(0x84).map(bytes => new DataView(bytes.buffer).getUint32(8, true)), [1, 2]);
  socket.says(...update({ subscription: 1, from: 7, to: 8, frame: 8, time: 8, full: false, input: 1 }, []));
  assert.equal(connection.acknowledgedInput, 1);
  assert.equal(connection.send("push.x", new Uint8Array([3])), 3, "a field of what the server takes");
  // with another connection the server begins to count anew: what went before is over
  const frames: number[] = [];
  connection.onFrame(frame => frames.push(frame.input));
  connection.pause();
  connection.resume();
  const second = await next(2);
  second.says(json(1, HELLO), json(2, SUBSCRIBED), ...full(9, model(10)));
  assert.equal(connection.acknowledgedInput, 3);
  assert.equal(connection.send("push", new Uint8Array([4])), 4);
  second.says(...update({ subscription: 1, from: 9, to: 10, frame: 10, time: 10, full: false, input: 0 }, []));
  second.says(...update({ subscription: 1, from: 10, to: 11, frame: 11, time: 11, full: false, input: 4 }, []));
  assert.deepEqual(frames, [3, 3, 4]);
  connection.close();
});

test("a socket that tells its error and no end is given up at once", async () => {
  const { connection } = begin();
  (await next(1)).onerror?.({ message: "refused" });
  await next(2).finally(() => connection.close());
});

test("a server that is away ends nothing, and is found again", async () => {
  const { connection, states } = begin();
  (await next(1)).breaks("connect ECONNREFUSED 127.0.0.1:1");
  assert.equal(connection.state, "waiting");
  assert.equal(connection.reason, "no connection to the server (connect ECONNREFUSED 127.0.0.1:1)");
  (await next(2)).says(json(1, HELLO), json(2, SUBSCRIBED), ...full(7, model(10)));
  assert.equal(connection.state, "live");
  connection.close();
  assert.deepEqual(states, ["waiting", "connecting", "live", "closed"]);
});

/** A connection whose sockets are refused with this answer; what was asked. */
function refusedWith(status: number, error: string, headers: Record<string, string> = {}, options: ConnectOptions = {}): { connection: Connection; asked: string[] } {
  const asked: string[] = [];
  const fetch = (url: string): Promise<Response> => {
    asked.push(url);
    return Promise.resolve(new Response(JSON.stringify({ error }), { status, headers }));
  };
  return { connection: begin({ token: "a b", ...options, fetch }).connection, asked };
}

const pause = (ms: number): Promise<void> => new Promise(done => setTimeout(done, ms));

test("a refusal that no new attempt can mend ends it, with the server's reason", async () => {
  for (const [status, text] of [[401, "this gateway wants a token"], [403, "pages of this origin may not connect"]] as const) {
    const { connection, asked } = refusedWith(status, text);
    const ready = connection.ready();
    (await next(1)).breaks(`Unexpected server response: ${status}`);
    await assert.rejects(ready, new RegExp(text));
    assert.deepEqual([connection.state, connection.reason], ["closed", text]);
    assert.deepEqual(asked, ["http://test/live?token=a+b"]);
    await pause(60);
    assert.equal(Socket.all.length, 1, "it does not try again");
  }
});

test("a full server says when to come again; other answers change nothing", async () => {
  const { connection } = refusedWith(503, "there are 64 clients already", { "retry-after": "600" });
  (await next(1)).breaks("Unexpected server response: 503");
  while (connection.reason !== "there are 64 clients already") await pause(1);
  const left = connection.nextTryAt - performance.now();
  assert.ok(left > 590_000 && left <= 750_000, `${left} ms`);
  await pause(60);
  assert.deepEqual([connection.state, Socket.all.length], ["waiting", 1]);
  connection.resume();
  assert.equal(Socket.all.length, 2, "whoever wants can try at once");
  connection.close();
  // a pause that makes no sense is none
  const odd = refusedWith(503, "full", { "retry-after": "soon" });
  (await next(1)).breaks("refused");
  await next(2);
  odd.connection.close();
  for (const status of [200, 404, 426, 500]) {
    const { connection } = refusedWith(status, "nothing");
    (await next(1)).breaks("refused");
    await next(2);
    assert.notEqual(connection.state, "closed");
    connection.close();
  }
  // an answer that comes too late is not about this connection any more
  const late = refusedWith(401, "too late");
  (await next(1)).breaks("refused");
  late.connection.pause();
  await pause(20);
  assert.equal(late.connection.state, "paused");
  late.connection.close();
  // whoever was let in once is not refused: it is a lost connection
  const lost = refusedWith(401, "never asked");
  const socket = await next(1);
  socket.says(json(1, HELLO), json(2, SUBSCRIBED), ...full(7, model(1)));
  socket.breaks("reset");
  await next(2);
  assert.deepEqual(lost.asked, []);
  lost.connection.close();
});
