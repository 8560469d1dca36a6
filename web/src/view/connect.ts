//! The connection: a socket that comes back, and the world that it keeps up to date.
//!
//! Invariants: the world is only ever changed by whole updates; an acknowledgement is sent after its update was applied;
//! whatever the server sends, the page gets a state and a reason, never an exception out of an event handler.

import { NoWebSocketError, ProtocolError, RefusedError, ViewError, messageOf } from "./errors.ts";
import {
  SUBPROTOCOL, decode, encodeAck, encodeInput, encodePing, encodeSubscribe,
  type Hello, type Message, type Resume, type Subscribed, type UpdatePart, type SubscribeOptions,
} from "./protocol.ts";
import { Stats } from "./stats.ts";
import { askRun, type RunState, type SteeringAction } from "./steering.ts";
import { Assembler, World, type Applied } from "./world.ts";

/**
 * Where a connection stands: `connecting` until the first state is there, `live` while states come, `waiting` until the
 * next attempt, `paused` and `closed` by request. What a new attempt cannot mend also closes: a token that is missing or
 * wrong (HTTP 401), an origin that may not connect (403), a subscription that the server refuses.
 */
export type ConnectionState = "connecting" | "live" | "waiting" | "paused" | "closed";

export interface ConnectOptions extends SubscribeOptions {
  /** Bytes of columns that the world may have; default 1 GiB. Growing tables take up to half as much on top. */
  readonly memoryBytesMax?: number;
  /** The pause before the first new attempt and the longest one, milliseconds; default 250 and 10,000. */
  readonly retryMsMin?: number;
  readonly retryMsMax?: number;
  /** A connection that is silent for so long is given up, milliseconds; default 10,000. */
  readonly silenceMsMax?: number;
  /**
   * Decides what to ask for when the server has said what it has; instead of what these options ask for. Where the server
   * refuses that, it is asked again, with the reason: the same answer closes the connection.
   */
  readonly choose?: (hello: Hello, refused?: string) => SubscribeOptions;
  /** Sent as `?token=`. */
  readonly token?: string;
  /** Asks over HTTP: why a socket was refused, which it does not tell itself, and how the run is steered; default: the platform's `fetch`. */
  readonly fetch?: (url: string, options: RequestInit) => Promise<Response>;
  /** Makes the socket: where the platform's `WebSocket` is not wanted. */
  readonly socket?: (url: string, protocol: string) => WebSocket;
}

/** An applied update and what it cost. */
export interface FrameEvent extends Applied {
  /** Checking and applying, milliseconds. */
  readonly applyMs: number;
}

/** Opens a view of a live region. Throws a `NoWebSocketError` where the platform has no `WebSocket` and `socket` is not given. */
export function connect(url: string | URL, options: ConnectOptions = {}): Connection {
  return new Connection(String(url), options);
}

/** How long a server may take to say why it refused a socket, and the longest pause that it can ask for. */
const WHY_MS_MAX = 5000;
const PAUSE_MS_MAX = 3_600_000;
/** How long after its error a socket may take to tell that it is closed. */
const CLOSE_MS = 100;

interface Pending {
  readonly resolve: (subscribed: Subscribed) => void;
  readonly reject: (error: Error) => void;
}

export class Connection {
  readonly world: World;
  readonly stats = new Stats(() => performance.now());
  /** What the server said of itself; `undefined` before it did. */
  hello: Hello | undefined;
  subscribed: Subscribed | undefined;
  /** Whether the simulation lives, as far as the server knows. */
  writerAlive = false;
  /** Why the state is not `live`. */
  reason = "";
  /**
   * The HTTP status with which the server refused the last attempt: 401, a token is missing or wrong; 403, pages of this
   * origin may not connect; 503, it is full. `undefined`: it did not refuse, or nobody answered.
   */
  refused: 401 | 403 | 503 | undefined;
  /** While `waiting`: when the next attempt is due, on `performance.now()`'s clock. */
  nextTryAt = 0;
  readonly #url: string;
  readonly #options: ConnectOptions;
  readonly #assembler: Assembler;
  readonly #onFrame = new Set<(event: FrameEvent) => void>();
  readonly #onState = new Set<(state: ConnectionState) => void>();
  #asked: SubscribeOptions;
  #state: ConnectionState = "connecting";
  #socket: WebSocket | undefined;
  #attempts = 0;
  #connections = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #watch: ReturnType<typeof setInterval> | undefined;
  #heardAt = 0;
  #pingAt = 0;
  #session = "";
  #view = "";
  #pending: Pending | undefined;
  #sequence = 0;
  #acknowledged = 0;
  /** Inputs up to this one went to connections that are over: they are contained, or were lost. */
  #over = 0;

  constructor(url: string, options: ConnectOptions) {
    if (!options.socket && typeof globalThis.WebSocket !== "function") throw new NoWebSocketError();
    this.#url = withToken(url, options.token);
    this.#options = options;
    this.#asked = options;
    const bytesMax = options.memoryBytesMax ?? 2 ** 30;
    this.world = new World(bytesMax);
    this.#assembler = new Assembler(bytesMax);
    this.#open();
  }

  get state(): ConnectionState {
    return this.#state;
  }

  get #fetch(): (url: string, options: RequestInit) => Promise<Response> {
    return this.#options.fetch ?? ((url, options) => globalThis.fetch(url, options));
  }

  get asked(): SubscribeOptions {
    return this.#asked;
  }

  /** The newest input that the state contains. */
  get acknowledgedInput(): number {
    return this.#acknowledged;
  }

  /** Calls back after each applied update. Returns how to stop it. */
  onFrame(callback: (event: FrameEvent) => void): () => void {
    this.#onFrame.add(callback);
    return () => this.#onFrame.delete(callback);
  }

  /** Calls back with each new state. Returns how to stop it. */
  onState(callback: (state: ConnectionState) => void): () => void {
    this.#onState.add(callback);
    return () => this.#onState.delete(callback);
  }

  /** Asks for something else from now on. Resolves when the server agreed, rejects when it refused. */
  subscribe(asked: SubscribeOptions): Promise<Subscribed> {
    const before = this.#asked;
    this.#asked = asked;
    this.#pending?.reject(new ViewError("another subscription took its place"));
    return new Promise((resolve, reject) => {
      this.#pending = {
        resolve,
        reject: error => {
          if (this.#asked === asked) this.#asked = before;
          reject(error);
        },
      };
      if (this.#socket && this.hello) this.#send(encodeSubscribe(this.#known(this.hello)));
    });
  }

  /**
   * Sends an input. Returns its sequence number; `acknowledgedInput` and each frame's `input` tell which the state
   * contains. Inputs are not sent again: what a lost connection swallowed, prediction takes back.
   */
  send(name: string, payload: Uint8Array): number {
    if (this.hello && !this.hello.inputs.some(input => name === input || name.startsWith(`${input}.`))) throw new ViewError(`the server takes no input \`${name}\``);
    if (new TextEncoder().encode(name).length > 65_535) throw new ViewError("the input's name is too long");
    const bytes = encodeInput(this.#sequence + 1, name, payload);
    if (this.hello && bytes.length > this.hello.clientBytesMax) throw new ViewError(`the input has ${bytes.length} bytes, the server takes ${this.hello.clientBytesMax}`);
    this.#sequence++;
    this.#send(bytes);
    return this.#sequence;
  }

  /** How the run is steered, by whomever. Rejects with a `SteeringError` where the server cannot tell. */
  steering(): Promise<RunState> {
    return askRun(this.#fetch, this.#url);
  }

  /**
   * Steers the run: pauses it, lets it go on, lets it run some frames, sets its pace. Resolves with how it is steered then;
   * rejects with a `SteeringError` where the server does not let its clients steer, or no run listens. It is no input: it
   * changes no bytes of any state.
   */
  steer(action: SteeringAction): Promise<RunState> {
    return askRun(this.#fetch, this.#url, action);
  }

  /** Lets go of the connection and keeps the world as it is. */
  pause(): void {
    if (this.#state === "closed" || this.#state === "paused") return;
    this.#drop();
    this.#set("paused", "paused");
  }

  /** Goes on after `pause`, or tries at once while `waiting`. */
  resume(): void {
    if (this.#state !== "paused" && this.#state !== "waiting") return;
    clearTimeout(this.#timer);
    this.#attempts = 0;
    this.#open();
  }

  /** Ends it. The world keeps what it has. */
  close(): void {
    if (this.#state === "closed") return;
    this.#drop();
    this.#pending?.reject(new ViewError("the connection was closed"));
    this.#pending = undefined;
    this.#set("closed", "closed");
  }

  /** Resolves when the world holds a state. */
  async ready(): Promise<void> {
    while (this.#state !== "live") {
      if (this.#state === "closed") throw new ViewError(this.reason);
      await new Promise<void>(done => {
        const stop = this.onState(() => {
          stop();
          done();
        });
      });
    }
  }

  #set(state: ConnectionState, reason: string): void {
    this.reason = reason;
    if (state === this.#state && state !== "waiting") return;
    this.#state = state;
    for (const callback of [...this.#onState]) guarded(() => callback(state));
  }

  #open(): void {
    this.#drop();
    this.#set("connecting", this.#connections === 0 ? "connecting" : "connecting again");
    let socket: WebSocket;
    try {
      socket = (this.#options.socket ?? ((url, protocol) => new WebSocket(url, protocol)))(this.#url, SUBPROTOCOL);
    } catch (error) {
      this.#fail(messageOf(error));
      return;
    }
    this.#socket = socket;
    this.#heardAt = performance.now();
    socket.binaryType = "arraybuffer";
    socket.onmessage = event => {
      if (socket === this.#socket) this.#message(event.data);
    };
    let fault = "";
    const ended = (code: number, reason: string): void => {
      if (socket !== this.#socket) return;
      const lost = fault === "" ? "no connection to the server" : `no connection to the server (${fault})`, wasRefused = !this.hello && code === 1006;
      this.#fail(reason || (code === 1006 ? lost : `closed by the server (${code})`));
      if (wasRefused) void this.#askWhy();
    };
    // in node a socket without this ends the process; and node 20's own tells of a refusal by nothing else
    socket.onerror = event => {
      fault = (event as Partial<ErrorEvent>).message ?? "";
      setTimeout(() => ended(1006, ""), CLOSE_MS);
    };
    socket.onclose = event => ended(event.code, event.reason);
    this.#watch = setInterval(() => this.#look(), 500);
  }

  /** Forgets the socket, and what it still says. */
  #drop(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    this.hello = undefined;
    this.subscribed = undefined;
    this.#assembler.clear();
    clearTimeout(this.#timer);
    clearInterval(this.#watch);
    this.#timer = this.#watch = undefined;
    if (!socket) return;
    socket.onmessage = socket.onclose = socket.onerror = null;
    // a socket that is still being made reports its end as an error
    socket.addEventListener("error", () => undefined);
    try {
      socket.close();
    } catch {
      // it was closed before it was open
    }
  }

  /** Asks why a socket was refused: what no new attempt can mend ends it, a full server says when to come again. */
  async #askWhy(): Promise<void> {
    const ask = this.#fetch, attempt = this.#attempts;
    let status: number, text: string, after: number;
    try {
      const response = await ask(this.#url.replace(/^ws/, "http"), { cache: "no-store", signal: AbortSignal.timeout(WHY_MS_MAX) });
      status = response.status;
      after = Number(response.headers.get("retry-after") ?? NaN) * 1000;
      text = textOf(await response.text(), status);
    } catch {
      return;
    }
    // meanwhile it may have been closed, paused, or let in
    if (attempt !== this.#attempts || this.hello || this.#state !== "waiting" && this.#state !== "connecting") return;
    if (status === 401 || status === 403) {
      this.refused = status;
      this.#refuse(text);
    } else if (status === 503) {
      this.refused = status;
      this.#wait(text, after >= 0 ? Math.min(after, PAUSE_MS_MAX) * (1 + Math.random() * 0.25) : this.nextTryAt - performance.now());
    }
  }

  /** Ends it for a reason that no new attempt can mend. */
  #refuse(reason: string): void {
    this.#drop();
    this.#pending?.reject(new ViewError(reason));
    this.#pending = undefined;
    this.#set("closed", reason);
  }

  #fail(reason: string): void {
    this.refused = undefined;
    const { retryMsMin = 250, retryMsMax = 10_000 } = this.#options;
    const pause = Math.min(retryMsMax, retryMsMin * 2 ** Math.min(this.#attempts, 20)) * (0.75 + Math.random() * 0.5);
    this.#attempts++;
    this.#wait(reason, pause);
  }

  #wait(reason: string, pause: number): void {
    this.#drop();
    this.nextTryAt = performance.now() + pause;
    this.#timer = setTimeout(() => this.#open(), pause);
    this.#set("waiting", reason);
  }

  /** Looks for silence, and pings now and then. */
  #look(): void {
    const now = performance.now(), silence = this.#options.silenceMsMax ?? 10_000;
    if (now - this.#heardAt > silence) {
      this.#fail(`nothing heard for ${Math.round(silence / 1000)} s`);
    } else if (this.hello && now - this.#pingAt > Math.min(2000, silence / 2)) {
      this.#pingAt = now;
      this.#send(encodePing(BigInt(Math.round(now * 1000))));
    }
  }

  #send(bytes: Uint8Array<ArrayBuffer>): void {
    if (this.#socket?.readyState === 1) this.#socket.send(bytes);
  }

  #message(data: unknown): void {
    this.#heardAt = performance.now();
    try {
      if (!(data instanceof ArrayBuffer)) throw new ProtocolError("a message that is not binary");
      this.stats.received(data.byteLength);
      const bytesMax = this.hello?.messageBytesMax ?? 16 * 2 ** 20;
      if (data.byteLength > bytesMax) throw new ProtocolError(`a message of ${data.byteLength} bytes; at most ${bytesMax} were agreed on`);
      this.#handle(decode(new Uint8Array(data)));
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      // what is held may have come from the same hand: begin anew, and not at once
      this.#view = "";
      this.#attempts = Math.max(this.#attempts, 3);
      this.#fail(`protocol error: ${error.message}`);
    }
  }

  #handle(message: Message): void {
    if (!this.hello && message.kind !== "hello" && message.kind !== "bye" && message.kind !== "error") {
      throw new ProtocolError("the first message is no HELLO");
    }
    switch (message.kind) {
      case "hello": return this.#hello(message.hello);
      case "subscribed": return this.#subscribed(message.subscribed);
      case "update": return this.#update(message.part);
      case "pong":
        this.stats.roundTripMs = performance.now() - Number(message.token) / 1000;
        return;
      case "status":
        this.writerAlive = message.writerAlive;
        return;
      case "error":
        if (message.code === 8 && this.#pending) {
          const pending = this.#pending;
          this.#pending = undefined;
          pending.reject(new RefusedError(message.text));
          if (!this.subscribed && this.hello) this.#send(encodeSubscribe(this.#known(this.hello)));
        } else if (message.code === 8 && !this.subscribed) {
          this.#chooseAgain(message.text);
        }
        return;
      case "bye":
        if (message.code === 3 || message.code === 4) this.#view = "";
        if (message.code === 7) {
          this.#refuse(message.text);
        } else {
          this.#fail(message.text || `the server ended it (${message.code})`);
        }
        return;
    }
  }

  #hello(hello: Hello): void {
    if (this.hello) throw new ProtocolError("a second HELLO");
    this.hello = hello;
    this.refused = undefined;
    this.#over = this.#sequence;
    this.writerAlive = hello.writerAlive;
    if (this.#connections++ > 0) this.stats.reconnects++;
    const resume: Resume | undefined = this.#view !== "" && this.#session === hello.session && this.world.generation > 0
      ? { session: this.#session, view: this.#view, generation: this.world.generation }
      : undefined;
    if (!resume) {
      this.world.clear();
      this.world.announce(hello);
    }
    this.#session = hello.session;
    if (this.#options.choose && !this.#pending) this.#asked = this.#options.choose(hello);
    this.#send(encodeSubscribe(this.#known(hello), resume));
  }

  /** Asks for something else than what was refused, where that is wanted. */
  #chooseAgain(reason: string): void {
    const { hello } = this, asked = hello && this.#options.choose?.(hello, reason);
    if (!asked || JSON.stringify(asked) === JSON.stringify(this.#asked)) return this.#refuse(reason);
    this.#asked = asked;
    this.#send(encodeSubscribe(this.#known(hello)));
  }

  /** What was asked for, as far as the server has it. */
  #known(hello: Hello): SubscribeOptions {
    const { columns, resources, rateHz, window, box, quantise } = this.#asked;
    return {
      ...(columns ? { columns } : {}),
      ...(resources !== undefined ? { resources } : {}),
      ...(rateHz !== undefined ? { rateHz: Math.min(rateHz, hello.rateMax) } : {}),
      ...(window !== undefined ? { window: Math.min(window, hello.windowMax) } : {}),
      ...(box ? { box } : {}),
      ...(quantise ? { quantise } : {}),
    };
  }

  #subscribed(subscribed: Subscribed): void {
    this.subscribed = subscribed;
    this.#view = subscribed.view;
    this.#assembler.clear();
    if (subscribed.resumed) {
      this.stats.resumes++;
      this.#live();
    }
    const pending = this.#pending;
    this.#pending = undefined;
    pending?.resolve(subscribed);
  }

  #update(part: UpdatePart): void {
    if (!this.subscribed) throw new ProtocolError("an update before a subscription");
    if (part.subscription !== this.subscribed.subscription) throw new ProtocolError(`an update of subscription ${part.subscription}`);
    const begun = performance.now();
    const parts = this.#assembler.take(part);
    if (!parts) return;
    const applied = this.world.apply(parts);
    const applyMs = performance.now() - begun;
    this.#acknowledged = Math.max(applied.input, this.#over);
    this.stats.applied(applied.rows, applied.full, applyMs);
    this.#send(encodeAck(part.subscription, applied.generation));
    this.#live();
    for (const callback of [...this.#onFrame]) guarded(() => callback({ ...applied, input: this.#acknowledged, applyMs }));
  }

  #live(): void {
    this.#attempts = 0;
    this.#set("live", "");
  }
}

/** An error in a caller's callback is the caller's: it is reported, and the connection goes on. */
function guarded(call: () => void): void {
  try {
    call();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

/** What a server says of a refusal, in JSON or as it is. */
function textOf(body: string, status: number): string {
  try {
    const { error } = JSON.parse(body) as { error?: unknown };
    if (typeof error === "string" && error !== "") return error.slice(0, 300);
  } catch {
    // another server's page
  }
  return `the server refuses the connection (HTTP ${status})`;
}

function withToken(url: string, token: string | undefined): string {
  if (token === undefined) return url;
  const full = new URL(url);
  full.searchParams.set("token", token);
  return full.href;
}
