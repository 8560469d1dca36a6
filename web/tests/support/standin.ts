//! A stand-in for the gateway: the page, and a world of particles over the live protocol. For tests of the client alone,
//! and to look at the page without an engine.

import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { Random } from "./random.ts";
import { COMPONENTS, HELLO, columnsOf, json, message, reason, resize, tableBlock, update, valuesBlock, type ModelTable } from "./server.ts";

/** One WebSocket connection, as far as a test server needs it. */
export class WebSocketServerSide {
  onmessage: (bytes: Buffer) => void = () => undefined;
  onclose: () => void = () => undefined;
  readonly #socket: Duplex;
  #input = Buffer.alloc(0);

  constructor(request: IncomingMessage, socket: Duplex) {
    this.#socket = socket;
    const accept = createHash("sha1").update(`${request.headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
    const protocol = request.headers["sec-websocket-protocol"] ? `Sec-WebSocket-Protocol: ${request.headers["sec-websocket-protocol"]}\r\n` : "";
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n${protocol}\r\n`);
    (socket as Socket).setNoDelay?.(true);
    socket.on("data", (data: Buffer) => this.#read(data));
    socket.on("close", () => this.onclose());
    socket.on("error", () => undefined);
  }

  send(bytes: Uint8Array): void {
    const head = Buffer.alloc(bytes.length < 126 ? 2 : bytes.length < 65_536 ? 4 : 10);
    head[0] = 0x82;
    if (head.length === 2) head[1] = bytes.length;
    else if (head.length === 4) head.writeUInt16BE(bytes.length, (head[1] = 126, 2));
    else head.writeBigUInt64BE(BigInt(bytes.length), (head[1] = 127, 2));
    this.#socket.write(head);
    this.#socket.write(bytes);
  }

  /** Cuts the connection, without a word. */
  destroy(): void {
    this.#socket.destroy();
  }

  #read(data: Buffer): void {
    this.#input = Buffer.concat([this.#input, data]);
    for (;;) {
      const input = this.#input;
      if (input.length < 6) return;
      let length = input[1]! & 127, at = 2;
      if (length === 126) {
        length = input.readUInt16BE(2);
        at = 4;
      } else if (length === 127) {
        length = Number(input.readBigUInt64BE(2));
        at = 10;
      }
      if (input.length < at + 4 + length) return;
      const mask = input.subarray(at, at + 4), body = Buffer.from(input.subarray(at + 4, at + 4 + length)).map((byte, i) => byte ^ mask[i & 3]!);
      this.#input = input.subarray(at + 4 + length);
      const kind = input[0]! & 15;
      if (kind === 2) this.onmessage(Buffer.from(body));
      if (kind === 8) this.#socket.end();
    }
  }
}

export interface StandIn {
  readonly url: string;
  readonly sockets: Set<WebSocketServerSide>;
  readonly messages: Buffer[];
  close(): Promise<void>;
}

const TYPES: Record<string, string> = { html: "text/html", css: "text/css", js: "text/javascript" };

/** Serves the page from `folder`, and hands connections to `/live` over. */
export async function standIn(folder: string, live: (socket: WebSocketServerSide, messages: Buffer[]) => void, timeline?: () => unknown): Promise<StandIn> {
  const sockets = new Set<WebSocketServerSide>(), messages: Buffer[] = [];
  const server: Server = createServer((request, response) => {
    const path = new URL(request.url ?? "/", "http://x").pathname;
    if (path === "/timeline" && timeline) return void response.setHeader("content-type", "application/json").end(JSON.stringify(timeline()));
    const name = path === "/" ? "index.html" : path.slice(1);
    if (!/^[\w.]+$/.test(name)) return void response.writeHead(404).end();
    readFile(`${folder}/${name}`).then(
      bytes => response.setHeader("content-type", TYPES[name.split(".").at(-1)!] ?? "text/plain").end(bytes),
      () => response.writeHead(404).end(),
    );
  });
  server.on("error", () => undefined);
  server.on("upgrade", (request, socket) => {
    const side = new WebSocketServerSide(request, socket);
    sockets.add(side);
    side.onclose = () => sockets.delete(side);
    live(side, messages);
  });
  await new Promise<void>(done => server.listen(0, "127.0.0.1", done));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, sockets, messages,
    close: () => new Promise(done => {
      for (const socket of sockets) socket.destroy();
      server.close(() => done());
      server.closeAllConnections();
    }),
  };
}

/** What a client asks for. */
export interface Wishes {
  columns?: string[];
  rate_hz?: number;
  box?: { fields: string[]; min: number[]; max: number[] };
  quantise?: Record<string, number>;
}

/** Particles in two tables, moving on circles; every row changes with every step. With bonds those of the second table name one of the first each. */
export class Particles {
  readonly tables: ModelTable[];
  generation = 1;
  time = 0;
  /** Why a client's wishes are refused; empty: they are not. */
  refuse: (wishes: Wishes) => string = () => "";
  readonly #seeds: Float32Array[];

  constructor(rows: number, readonly bonds = false) {
    this.tables = [[2, [0, 1, 4], Math.floor(rows * 0.8)], [3, bonds ? [0, 1, 4, 5, 6] : [0, 1, 4, 5], rows - Math.floor(rows * 0.8)]].map(([id, components, count]) => {
      const table: ModelTable = { id: id as number, columns: columnsOf(components as number[]), components: components as number[], rows: 0, data: [] };
      resize(table, count as number);
      return table;
    });
    let slot = 0;
    for (const table of this.tables) {
      const handles = new BigUint64Array(table.data[0]!.buffer);
      for (let row = 0; row < table.rows; row++) handles[row] = BigInt(slot++) | 1n << 32n;
    }
    const bond = this.tables[1]!.columns.findIndex(({ role, component }) => role === 1 && component === 6);
    if (bond >= 0) new BigUint64Array(this.tables[1]!.data[bond]!.buffer).forEach((_, row, all) => (all[row] = BigInt(row * 2) | 1n << 32n));
    this.#seeds = this.tables.map((table, t) => Float32Array.from({ length: table.rows * 3 }, (_, i) => {
      return new Random(i * 3 + t).u32() / 2 ** 32;
    }));
    this.step(0);
  }

  step(dt: number): void {
    this.time += dt;
    this.generation++;
    this.tables.forEach((table, t) => {
      const column = (place: number): Float32Array => new Float32Array(table.data[place]!.buffer), seed = this.#seeds[t]!;
      const [x, y, z, vx, vy, vz] = [1, 2, 3, 4, 5, 6].map(column) as [Float32Array, Float32Array, Float32Array, Float32Array, Float32Array, Float32Array];
      for (let row = 0; row < table.rows; row++) {
        const a = seed[row * 3]!, b = seed[row * 3 + 1]!, c = seed[row * 3 + 2]!;
        const radius = 6 + 42 * Math.sqrt(a) + (t ? 6 : 0), speed = 14 / Math.sqrt(radius), angle = b * 6.2832 + this.time * speed / radius * 4 + radius * 0.09;
        x[row] = 50 + radius * Math.cos(angle);
        z[row] = 50 + radius * Math.sin(angle);
        y[row] = 25 + (c - 0.5) * (34 - radius * 0.45) + 3 * Math.sin(angle * 3 + radius * 0.2);
        vx[row] = -speed * 4 * Math.sin(angle);
        vz[row] = speed * 4 * Math.cos(angle);
        vy[row] = 9 * Math.cos(angle * 3 + radius * 0.2) * speed * 4 / radius;
      }
    });
  }

  messages(subscription: number, from: number, wanted: readonly string[], wishes: Wishes = {}): Uint8Array<ArrayBuffer>[] {
    const full = from === 0, blocks: Uint8Array[] = [], ids = COMPONENTS.filter(component => wanted.includes(component.name)).map(component => component.id);
    const shown = this.tables.map(table => {
      const places = table.columns.map((_, i) => i).filter(i => table.columns[i]!.role === 0 || ids.includes(table.columns[i]!.component));
      return { ...table, components: table.components.filter(id => ids.includes(id)), columns: places.map(i => table.columns[i]!), data: places.map(i => table.data[i]!) };
    });
    for (const table of shown) round(table, wishes.quantise ?? {});
    const boxed = wishes.box ? shown.map(table => within(table, wishes.box!)) : [];
    if (full) for (const table of shown) blocks.push(tableBlock(table));
    for (const rows of boxed) {
      const table = shown[boxed.indexOf(rows)]!, last = table.columns.length - 1;
      table.columns.forEach(({ role }, place) => {
        if (role === 1 && rows.length > 0) blocks.push(valuesBlock(table, place, rows, 1));
        if (role === 0 && full) blocks.push(dense(table, place, 0, table.rows));
      });
      blocks.push(valuesBlock(table, last, Array.from({ length: Math.ceil(table.rows / 64) }, (_, i) => i), 1));
    }
    for (const table of boxed.length > 0 ? [] : shown) {
      const parts = Math.ceil(table.rows / 30_000);
      table.columns.forEach((column, place) => {
        if (column.role === 2 || column.role === 0 && !full) return;
        for (let k = 0; k < parts; k++) blocks.push(dense(table, place, k * 30_000, Math.min((k + 1) * 30_000, table.rows)));
      });
    }
    const length = blocks.reduce((sum, block) => sum + block.length, 0);
    return update({ subscription, from, to: this.generation, frame: this.generation, time: this.time, full }, blocks, Math.ceil(length / 900_000));
  }
}

/** Rounds a table's values, in copies: by at most so much. */
function round(table: ModelTable, errors: Record<string, number>): void {
  table.columns.forEach(({ role, component, field }, place) => {
    const of = COMPONENTS.find(({ id }) => id === component)!, error = role === 1 ? errors[`${of.name}.${of.fields[field]?.name}`] : undefined;
    if (error !== undefined) table.data[place] = new Uint8Array(new Float32Array(table.data[place]!.slice().buffer).map(value => Math.round(value / error / 2) * error * 2).buffer);
  });
}

/** Gives a table a column of in-box bits, its last one, and tells which rows are inside. Boxes of the three of `position` alone. */
function within(table: ModelTable, { fields, min, max }: NonNullable<Wishes["box"]>): number[] {
  const rows: number[] = [], bits = new Uint8Array(Math.ceil(table.rows / 64) * 8);
  const sides = fields.map((name, i) => {
    const place = table.columns.findIndex(({ role, component, field }) => role === 1 && component === 0 && field === ["position.x", "position.y", "position.z"].indexOf(name));
    return { values: new Float32Array(table.data[place]!.slice().buffer), low: min[i]!, high: max[i]! };
  });
  for (let row = 0; row < table.rows; row++) {
    if (!sides.every(({ values, low, high }) => values[row]! >= low && values[row]! <= high)) continue;
    rows.push(row);
    bits[row >> 3]! |= 1 << (row & 7);
  }
  table.columns.push({ role: 7, component: 0, field: 0, bytes: 0 });
  table.data.push(bits);
  return rows;
}

/** One run of rows: as `valuesBlock`, without its loops. */
function dense(table: ModelTable, place: number, from: number, to: number): Uint8Array {
  const head = valuesBlock({ ...table, data: table.data.map(() => new Uint8Array(0)) }, place, [], 0), size = table.columns[place]!.bytes;
  const length = Math.ceil((to - from) * size / 8) * 8, out = new Uint8Array(40 + length), view = new DataView(out.buffer);
  out.set(head.subarray(0, 32));
  view.setUint32(4, out.length, true);
  view.setUint32(16, 1, true);
  view.setUint32(20, to - from, true);
  view.setUint32(32, from, true);
  view.setUint32(36, to - from, true);
  out.set(table.data[place]!.subarray(from * size, to * size), 40);
  return out;
}

/** Speaks the protocol on a socket: full state, then deltas at the asked rate, with a window of two. */
export function serveParticles(socket: WebSocketServerSide, particles: Particles, messages: Buffer[]): void {
  let subscription = 0, from = 0, inFlight = 0, timer: ReturnType<typeof setInterval> | undefined;
  const hello = { ...HELLO, components: COMPONENTS.filter(component => [0, 1, 4, 5, ...(particles.bonds ? [6] : [])].includes(component.id)), resources: [], region: "stand-in", message_bytes_max: 1 << 20, generation: particles.generation };
  const close = socket.onclose;
  socket.onclose = () => {
    clearInterval(timer);
    close();
  };
  socket.onmessage = bytes => {
    messages.push(bytes);
    if (bytes[0] === 0x82) inFlight--;
    if (bytes[0] === 0x83) socket.send(message(4, 0, bytes.subarray(8, 16)));
    if (bytes[0] !== 0x81) return;
    const wishes = JSON.parse(bytes.subarray(8).toString()) as Wishes, refusal = particles.refuse(wishes);
    if (refusal !== "") return socket.send(reason(7, 8, refusal));
    const wanted = wishes.columns ?? hello.components.map(component => component.name);
    subscription++;
    from = inFlight = 0;
    socket.send(json(2, { subscription, view: wanted.join(), resumed: false, rate_hz: wishes.rate_hz ?? 60, window: 2, compression: null, quantised: Object.keys(wishes.quantise ?? {}) }));
    clearInterval(timer);
    const send = (): void => {
      if (inFlight >= 2 || from === particles.generation) return;
      inFlight++;
      for (const part of particles.messages(subscription, from, wanted, wishes)) socket.send(part);
      from = particles.generation;
    };
    send();
    timer = setInterval(send, 1000 / (wishes.rate_hz ?? 60));
  };
  socket.send(json(1, hello));
}
