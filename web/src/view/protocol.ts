//! Messages of the live protocol (`docs/protocol.md`), as bytes and as objects.
//!
//! Invariants: nothing here knows the world or the socket. Whatever a server sends either becomes a checked object or a
//! `ProtocolError`; no length in a message is believed before it was compared with the bytes that are there.

import { ProtocolError, messageOf } from "./errors.ts";
import { isScalarType, scalarBytes, type ScalarType } from "./types.ts";

export const VERSION = 1;
export const SUBPROTOCOL = "hypostyle.v1";
export const HEADER_BYTES = 8;
export const UPDATE_HEADER_BYTES = 64;

export const Kind = {
  HELLO: 0x01, SUBSCRIBED: 0x02, UPDATE: 0x03, PONG: 0x04, STATUS: 0x05, BYE: 0x06, ERROR: 0x07,
  SUBSCRIBE: 0x81, ACK: 0x82, PING: 0x83, INPUT: 0x84,
} as const;

const FULL = 1, LAST = 2, ZSTD = 4;

export interface FieldInfo {
  readonly name: string;
  /** Its place in the component: with gaps where only some fields are shown. */
  readonly index: number;
  readonly scalar: ScalarType;
  /** 0: a plain scalar; else an array of so many. */
  readonly length: number;
  readonly bytes: number;
  /** The unit of its numbers, where the layout tells it: `m/s`. */
  readonly unit?: string;
  /** What it is, where the layout tells it. */
  readonly description?: string;
}

export interface ComponentInfo {
  readonly id: number;
  readonly name: string;
  readonly storage: "table" | "toggle";
  readonly fields: readonly FieldInfo[];
}

export interface ResourceInfo {
  readonly id: number;
  readonly name: string;
  /** The byte that tells whether it has a value. */
  readonly presence: number;
  readonly fields: readonly (FieldInfo & { readonly offset: number })[];
}

export interface Hello {
  readonly server: string;
  readonly session: string;
  readonly region: string;
  readonly world: string;
  readonly writerAlive: boolean;
  readonly generation: number;
  readonly messageBytesMax: number;
  readonly clientBytesMax: number;
  readonly rateMax: number;
  readonly windowMax: number;
  readonly layoutHash: string;
  readonly components: readonly ComponentInfo[];
  readonly resources: readonly ResourceInfo[];
  readonly inputs: readonly string[];
  /** Whether the server lets its clients steer the run. */
  readonly steer: boolean;
  /** The ranks that write the world together; `undefined` where it is one process. */
  readonly ranks: number | undefined;
  /** What an entity is known by, in its place of the handle and in fields that name entities: its handle, or its global id. */
  readonly identity: "handle" | "global_id";
}

export interface Subscribed {
  readonly subscription: number;
  readonly view: string;
  readonly resumed: boolean;
  readonly rateHz: number;
  readonly window: number;
  readonly quantised: readonly string[];
}

/** One part of an update, its blocks not yet looked at. */
export interface UpdatePart {
  readonly full: boolean;
  readonly last: boolean;
  readonly subscription: number;
  readonly part: number;
  readonly parts: number;
  readonly from: number;
  readonly to: number;
  readonly frame: number;
  readonly time: number;
  readonly blocks: number;
  readonly input: number;
  /** From the first block to the message's end; begins at a multiple of 8 of its buffer. */
  readonly body: Uint8Array<ArrayBuffer>;
}

export type Message =
  | { readonly kind: "hello"; readonly hello: Hello }
  | { readonly kind: "subscribed"; readonly subscribed: Subscribed }
  | { readonly kind: "update"; readonly part: UpdatePart }
  | { readonly kind: "pong"; readonly token: bigint }
  | { readonly kind: "status"; readonly writerAlive: boolean; readonly generation: number; readonly frame: number; readonly clients: number }
  | { readonly kind: "bye" | "error"; readonly code: number; readonly text: string };

/** What a client asks for. */
export interface SubscribeOptions {
  /** Components or single fields; all where left out. */
  readonly columns?: readonly string[];
  readonly resources?: boolean;
  /** At most so many updates a second. */
  readonly rateHz?: number;
  /** Updates in flight without an acknowledgement. */
  readonly window?: number;
  readonly box?: { readonly fields: readonly string[]; readonly min: readonly number[]; readonly max: readonly number[] };
  /** Float field to the largest absolute error. */
  readonly quantise?: Readonly<Record<string, number>>;
}

export interface Resume {
  readonly session: string;
  readonly view: string;
  readonly generation: number;
}

/** A u64 that must stay below 2^53. */
export function u53(view: DataView, at: number): number {
  const high = view.getUint32(at + 4, true);
  if (high >= 0x200000) throw new ProtocolError("a number above 2^53");
  return high * 0x1_0000_0000 + view.getUint32(at, true);
}

/** Reads one message of the server. The bytes stay where they are; an update's body is a view of them. */
export function decode(bytes: Uint8Array<ArrayBuffer>): Message {
  const length = bytes.byteLength;
  if (length < HEADER_BYTES || length % 8 !== 0) throw new ProtocolError(`a message of ${length} bytes`);
  if (bytes.byteOffset % 8 !== 0) throw new ProtocolError("a message that is not aligned");
  const view = new DataView(bytes.buffer, bytes.byteOffset, length);
  const kind = view.getUint8(0), flags = view.getUint16(2, true);
  if (view.getUint8(1) !== VERSION) throw new ProtocolError(`protocol version ${view.getUint8(1)}; this client speaks ${VERSION}`);
  if (view.getUint32(4, true) !== length) throw new ProtocolError(`a message of ${length} bytes that claims ${view.getUint32(4, true)}`);
  const known = kind === Kind.UPDATE ? FULL | LAST | ZSTD : kind === Kind.STATUS ? 1 : 0;
  if ((flags & ~known) !== 0) throw new ProtocolError(`unknown flags ${flags} in a message of kind ${kind}`);
  switch (kind) {
    case Kind.HELLO: return { kind: "hello", hello: hello(json(bytes)) };
    case Kind.SUBSCRIBED: return { kind: "subscribed", subscribed: subscribed(json(bytes)) };
    case Kind.UPDATE: return { kind: "update", part: updatePart(bytes, view, flags) };
    case Kind.PONG:
      exactly(length, 16, "PONG");
      return { kind: "pong", token: view.getBigUint64(8, true) };
    case Kind.STATUS:
      exactly(length, 40, "STATUS");
      return {
        kind: "status", writerAlive: (flags & 1) === 1, generation: u53(view, 8), frame: u53(view, 16), clients: view.getUint32(32, true),
      };
    case Kind.BYE: return { kind: "bye", ...reason(bytes, view) };
    case Kind.ERROR: return { kind: "error", ...reason(bytes, view) };
    default: throw new ProtocolError(`a message of unknown kind ${kind}`);
  }
}

function exactly(length: number, bytes: number, name: string): void {
  if (length !== bytes) throw new ProtocolError(`${name} of ${length} bytes; it has ${bytes}`);
}

function updatePart(bytes: Uint8Array<ArrayBuffer>, view: DataView, flags: number): UpdatePart {
  if (bytes.byteLength < UPDATE_HEADER_BYTES) throw new ProtocolError(`UPDATE of ${bytes.byteLength} bytes`);
  if (flags & ZSTD) throw new ProtocolError("a compressed update, which was not asked for");
  const part: UpdatePart = {
    full: (flags & FULL) !== 0,
    last: (flags & LAST) !== 0,
    subscription: view.getUint32(8, true),
    part: view.getUint16(12, true),
    parts: view.getUint16(14, true),
    from: u53(view, 16),
    to: u53(view, 24),
    frame: u53(view, 32),
    time: view.getFloat64(40, true),
    blocks: view.getUint32(48, true),
    input: view.getUint32(52, true),
    body: bytes.subarray(UPDATE_HEADER_BYTES),
  };
  if (view.getUint32(56, true) !== part.body.byteLength) throw new ProtocolError("an update whose body has another length than it says");
  if (part.blocks * 32 > part.body.byteLength) throw new ProtocolError(`${part.blocks} blocks in ${part.body.byteLength} bytes`);
  if (part.full && part.from !== 0) throw new ProtocolError("a full update that begins at a generation");
  return part;
}

function reason(bytes: Uint8Array<ArrayBuffer>, view: DataView): { code: number; text: string } {
  if (bytes.byteLength < 16) throw new ProtocolError("BYE or ERROR without a reason");
  const length = view.getUint32(12, true);
  if (length > bytes.byteLength - 16) throw new ProtocolError("a text longer than its message");
  return { code: view.getUint16(8, true), text: text(bytes.subarray(16, 16 + length)) };
}

const DECODER = new TextDecoder("utf-8", { fatal: true });
const ENCODER = new TextEncoder();

function text(bytes: Uint8Array): string {
  try {
    return DECODER.decode(bytes);
  } catch {
    throw new ProtocolError("a text that is not UTF-8");
  }
}

type Json = Readonly<Record<string, unknown>>;

function json(bytes: Uint8Array): Json {
  let value: unknown;
  try {
    value = JSON.parse(text(bytes.subarray(HEADER_BYTES)));
  } catch (error) {
    throw error instanceof ProtocolError ? error : new ProtocolError(`JSON that cannot be read: ${messageOf(error)}`);
  }
  return object(value, "the message");
}

function object(value: unknown, what: string): Json {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new ProtocolError(`${what} is no object`);
  return value as Json;
}

function string(from: Json, key: string): string {
  const value = from[key];
  if (typeof value !== "string" || value.length > 65_536) throw new ProtocolError(`\`${key}\` is no text`);
  return value;
}

function integer(from: Json, key: string, min: number, max: number): number {
  const value = from[key];
  if (!Number.isSafeInteger(value) || (value as number) < min || (value as number) > max) {
    throw new ProtocolError(`\`${key}\` is ${JSON.stringify(value)}; it is a whole number from ${min} to ${max}`);
  }
  return value as number;
}

function number(from: Json, key: string): number {
  const value = from[key];
  if (typeof value !== "number" || !(value >= 0)) throw new ProtocolError(`\`${key}\` is no number of at least 0`);
  return value;
}

function list<T>(from: Json, key: string, max: number, item: (value: unknown, place: number) => T): T[] {
  const value = from[key] ?? [];
  if (!Array.isArray(value) || value.length > max) throw new ProtocolError(`\`${key}\` is no list of at most ${max}`);
  return value.map(item);
}

function name(from: Json): string {
  const value = string(from, "name");
  if (value === "") throw new ProtocolError("an empty name");
  return value;
}

function field(value: unknown, place: number): FieldInfo {
  const from = object(value, "a field"), scalar = from["scalar"];
  if (!isScalarType(scalar)) throw new ProtocolError(`the type ${JSON.stringify(scalar)} is not known`);
  const length = integer(from, "length", 0, 65_536), bytes = integer(from, "bytes", 1, 65_536 * 8);
  if (bytes !== scalarBytes(scalar) * Math.max(length, 1)) throw new ProtocolError(`a field of ${bytes} bytes that should have others`);
  const index = from["index"] === undefined ? place : integer(from, "index", 0, 255);
  return { name: name(from), index, scalar, length, bytes, ...words(from, "unit"), ...words(from, "description") };
}

/** What is told of a field in words, if anything is. */
function words<Key extends string>(from: Readonly<Record<string, unknown>>, key: Key): { [K in Key]?: string } {
  const text = from[key];
  if (text === undefined) return {};
  if (typeof text !== "string" || text.length > 255) throw new ProtocolError(`a ${key} is a text of 255 characters at most`);
  return { [key]: text } as { [K in Key]?: string };
}

function unique<T>(items: T[], key: (item: T) => unknown, what: string): T[] {
  if (new Set(items.map(key)).size !== items.length) throw new ProtocolError(`${what} of the same name or number`);
  return items;
}

function hello(from: Json): Hello {
  integer(from, "protocol", VERSION, VERSION);
  const components = list(from, "components", 65_536, value => {
    const component = object(value, "a component"), storage = component["storage"];
    if (storage !== "table" && storage !== "toggle") throw new ProtocolError(`storage ${JSON.stringify(storage)} is not known`);
    const fields = unique(list(component, "fields", 256, field), item => item.name, "fields");
    unique(fields, item => item.index, "fields");
    unique(fields, item => item.index, "fields");
    return { id: integer(component, "id", 0, 65_535), name: name(component), storage, fields } as const;
  });
  unique(components, component => component.id, "components");
  unique(components, component => component.name, "components");
  const resources = list(from, "resources", 65_536, value => {
    const resource = object(value, "a resource");
    const fields = list(resource, "fields", 256, (value, place) => ({ ...field(value, place), offset: integer(object(value, "a field"), "offset", 0, 2 ** 31) }));
    return { id: integer(resource, "id", 0, 65_535), name: name(resource), presence: integer(resource, "presence", 0, 2 ** 31), fields };
  });
  return {
    server: string(from, "server"),
    session: string(from, "session"),
    region: string(from, "region"),
    world: string(from, "world"),
    writerAlive: from["writer_alive"] === true,
    generation: integer(from, "generation", 0, Number.MAX_SAFE_INTEGER),
    messageBytesMax: integer(from, "message_bytes_max", 64, 2 ** 31),
    clientBytesMax: integer(from, "client_bytes_max", 64, 2 ** 31),
    rateMax: number(from, "rate_hz_max"),
    windowMax: integer(from, "window_max", 1, 65_536),
    layoutHash: string(from, "layout_hash"),
    components,
    resources: unique(resources, resource => resource.name, "resources"),
    inputs: list(from, "inputs", 65_536, value => {
      if (typeof value !== "string") throw new ProtocolError("an input's name that is no text");
      return value;
    }),
    steer: from["steer"] === true,
    ranks: typeof from["ranks"] === "number" ? integer(from, "ranks", 1, 1_000_000) : undefined,
    identity: from["identity"] === "global_id" ? "global_id" : "handle",
  };
}

function subscribed(from: Json): Subscribed {
  return {
    subscription: integer(from, "subscription", 1, 0xffff_ffff),
    view: string(from, "view"),
    resumed: from["resumed"] === true,
    // both 0 in a snapshot, which nothing follows
    rateHz: number(from, "rate_hz"),
    window: integer(from, "window", 0, 65_536),
    quantised: list(from, "quantised", 65_536, value => String(value)),
  };
}

function message(kind: number, bytes: number): [Uint8Array<ArrayBuffer>, DataView] {
  const out = new Uint8Array(bytes), view = new DataView(out.buffer);
  view.setUint8(0, kind);
  view.setUint8(1, VERSION);
  view.setUint32(4, bytes, true);
  return [out, view];
}

function putU53(view: DataView, at: number, value: number): void {
  view.setUint32(at, value % 0x1_0000_0000, true);
  view.setUint32(at + 4, Math.floor(value / 0x1_0000_0000), true);
}

export function encodeSubscribe(asked: SubscribeOptions, resume?: Resume): Uint8Array<ArrayBuffer> {
  const body: Record<string, unknown> = {};
  if (asked.columns) body["columns"] = asked.columns;
  if (asked.resources !== undefined) body["resources"] = asked.resources;
  if (asked.rateHz !== undefined) body["rate_hz"] = asked.rateHz;
  if (asked.window !== undefined) body["window"] = asked.window;
  if (asked.box) body["box"] = asked.box;
  if (asked.quantise) body["quantise"] = asked.quantise;
  if (resume) body["resume"] = resume;
  const bytes = ENCODER.encode(JSON.stringify(body));
  const [out] = message(Kind.SUBSCRIBE, HEADER_BYTES + bytes.length);
  out.set(bytes, HEADER_BYTES);
  return out;
}

export function encodeAck(subscription: number, generation: number): Uint8Array<ArrayBuffer> {
  const [out, view] = message(Kind.ACK, 24);
  view.setUint32(8, subscription, true);
  putU53(view, 16, generation);
  return out;
}

export function encodePing(token: bigint): Uint8Array<ArrayBuffer> {
  const [out, view] = message(Kind.PING, 16);
  view.setBigUint64(8, token, true);
  return out;
}

export function encodeInput(sequence: number, name: string, payload: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = ENCODER.encode(name), at = 24 + Math.ceil(bytes.length / 8) * 8;
  const [out, view] = message(Kind.INPUT, at + payload.length);
  view.setUint32(8, sequence, true);
  view.setUint16(12, bytes.length, true);
  view.setUint32(16, payload.length, true);
  out.set(bytes, 24);
  out.set(payload, at);
  return out;
}
