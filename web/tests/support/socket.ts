//! A connection's end of a socket, played by a test: what it heard, and what a server says to it.

import assert from "node:assert/strict";
import { columnsOf, difference, resize, update, type Model } from "./server.ts";
import { Random } from "./random.ts";

/** The client's end of a socket, played by the test. */
export class Socket {
  static all: Socket[] = [];
  readyState = 0;
  binaryType = "";
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  onerror: ((event: { message?: string }) => void) | null = null;
  readonly sent: Uint8Array[] = [];

  constructor() {
    Socket.all.push(this);
    queueMicrotask(() => (this.readyState = 1));
  }

  addEventListener(): void {}

  send(bytes: Uint8Array): void {
    this.sent.push(bytes);
  }

  close(): void {
    this.readyState = 3;
  }

  /** Ends as the sockets of node's packages do: an error that nobody listens to is thrown. */
  breaks(message: string): void {
    if (!this.onerror) throw new Error(`unhandled error event: ${message}`);
    this.onerror({ message });
    this.onclose?.({ code: 1006, reason: "" });
  }

  says(...messages: Uint8Array<ArrayBuffer>[]): void {
    for (const bytes of messages) this.onmessage?.({ data: bytes.slice().buffer });
  }

  hears(kind: number): Uint8Array[] {
    return this.sent.filter(bytes => bytes[0] === kind);
  }
}

export const SUBSCRIBED = { subscription: 1, view: "v1", resumed: false, rate_hz: 20, window: 2, compression: null, quantised: [] };

/** The socket of the connection that was made as the so-manyth. */
export async function next(count: number): Promise<Socket> {
  for (let i = 0; i < 2000 && Socket.all.length < count; i++) await new Promise(done => setTimeout(done, 2));
  const socket = Socket.all[count - 1];
  assert.ok(socket, `connection ${count} was never made`);
  await Promise.resolve();
  return socket;
}

/** Rows of two components. */
export function model(rows: number): Model {
  const table = { id: 2, columns: columnsOf([0, 1]), components: [0, 1], rows: 0, data: [] };
  resize(table, rows);
  return new Map([[2, table]]);
}

/** The messages of a whole state. */
export const full = (to: number, of: Model): Uint8Array<ArrayBuffer>[] => update({ subscription: 1, from: 0, to, frame: to, time: to, full: true }, difference(undefined, of, new Random(1)));
