//! The page: one connection, one picture, one loop that draws when something changed.

import { connect, type Connection } from "../view/connect.ts";
import type { Table } from "../view/table.ts";
import { Camera, type Bounds } from "./camera.ts";
import { Theme, fit, FONT } from "./canvas.ts";
import { Chart } from "./charts.ts";
import { table as colours } from "./colour.ts";
import { bytes, count, digits, handle as handleText, milliseconds, short, value } from "./format.ts";
import { Gantt } from "./gantt.ts";
import { listen } from "./input.ts";
import { Panel } from "./panel.ts";
import { Points, type Batch } from "./points.ts";
import { Pacer, kernelFor } from "./prediction.ts";
import { drawScale } from "./scale.ts";
import { FROM_DATA, conflict, rangeOfEnds, typed, type Ends } from "./range.ts";
import { batches, boundsOf, missing, pick, placeOf, rangeOf, tableColour } from "./sources.ts";
import { remember, remembered } from "./storage.ts";

const $ = <T extends HTMLElement = HTMLElement>(id: string): T => document.getElementById(id) as T;
const SAMPLE_MS = 200;
/** A tab that is hidden for so long receives nothing more until it is seen again. */
const HIDDEN_MS = 2000;

/** The page's connection, to be closed where the page cannot run. */
let opened: Connection | undefined;

class Page {
  readonly connection: Connection;
  readonly camera = new Camera();
  /** Script time of each drawn frame with the updates before it, milliseconds: the newest 600. */
  readonly scriptMs: number[] = [];
  readonly applyMs: number[] = [];
  readonly #theme = new Theme();
  readonly #points: Points;
  readonly #panel: Panel;
  readonly #gantt: Gantt;
  readonly #charts: Record<"script" | "rows" | "bytes" | "error", Chart>;
  readonly #view = $<HTMLCanvasElement>("view");
  readonly #matrix = new Float32Array(16);
  #batches: Batch[] = [];
  #pacer: Pacer | undefined;
  #dirty = true;
  #drawn = { version: -1, camera: -1, scale: -1 };
  #fitted = false;
  #bounds: Bounds | undefined;
  /** The colours' range; none before the data say it. */
  #range: [number, number] | undefined;
  #ends: Ends = FROM_DATA;
  /** The components that the state at hand was sent with. */
  #received: ReadonlySet<string> = new Set();
  #hiding: ReturnType<typeof setTimeout> | undefined;
  /** Paused because nobody saw the tab. */
  #away = false;
  #pointer: { x: number; y: number } | undefined;
  #pinned: bigint | undefined;
  #hover: { table: Table; row: number; handle: bigint } | undefined;
  #updateMs = 0;
  #sampledAt = 0;
  #sample = { sum: 0, frames: 0 };
  #steppedAt = 0;
  #slowAt = 0;
  #lookedAt = 0;
  #moved = false;

  constructor() {
    this.#points = new Points(this.#view);
    this.#charts = {
      script: new Chart("script", "c1", milliseconds, 5), rows: new Chart("rows", "c2", value => short(value)),
      bytes: new Chart("bytes", "c3", value => `${bytes(value)}/s`), error: new Chart("error", "c4", digits),
    };
    this.#gantt = new Gantt(this.#theme);
    const url = new URL("live", location.href), token = new URLSearchParams(location.search).get("token");
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    url.search = url.hash = "";
    this.connection = opened = connect(url, {
      ...(token !== null ? { token } : {}),
      choose: () => {
        if (this.#panel.announce()) this.#layoutChanged();
        return this.#panel.wanted();
      },
    });
    this.#panel = new Panel(this.connection, what => this.#chosen(what));
    this.connection.onFrame(event => {
      this.#updateMs += event.applyMs;
      this.applyMs.push(event.applyMs);
      if (this.applyMs.length > 600) this.applyMs.shift();
      if (event.full) this.#received = new Set(this.connection.asked.columns);
      this.#dirty = true;
    });
    this.connection.onState(() => {
      this.#state();
      if (this.#missing().length > 0) this.#redraw();
    });
    this.#buttons();
    document.addEventListener("visibilitychange", () => this.#seen());
    this.#seen();
    this.#setTheme(remembered("hypostyle-theme") ?? (matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark"));
    new ResizeObserver(() => this.#resize()).observe(this.#view);
    this.#resize();
    this.#state();
    listen(this.#view, this.camera, {
      changed: () => (this.#dirty = true),
      hover: (x, y) => {
        this.#pointer = { x, y };
        this.#moved = this.#dirty = true;
      },
      leave: () => {
        this.#pointer = this.#hover = undefined;
        this.#dirty = true;
        $("tip").hidden = true;
      },
      click: () => {
        this.#pinned = this.#hover?.handle;
        $<HTMLInputElement>("slot").value = this.#pinned === undefined ? "" : String(this.#pinned & 0xffff_ffffn);
        this.#entity();
      },
      key: key => this.#key(key),
    });
    setInterval(() => this.#tick(), SAMPLE_MS);
    void this.#timeline(token);
    const loop = (): void => {
      this.#frame();
      requestAnimationFrame(loop);
    };
    requestAnimationFrame(loop);
  }

  /** Draws what changed, and notes what it cost. */
  #frame(): void {
    const begun = performance.now(), { connection, camera } = this, { world } = connection;
    const elapsed = Math.min(begun - this.#steppedAt, 250);
    this.#steppedAt = begun;
    if (this.#pacer && connection.state === "live") {
      this.#pacer.step(elapsed);
      this.#dirty = true;
    }
    if (!this.#dirty && camera.changes === this.#drawn.camera) return;
    this.#dirty = false;
    this.#batches = this.#gather();
    if (!this.#fitted && world.generation > 0) this.#fit();
    if (begun - this.#slowAt > 500) {
      this.#slowAt = begun;
      this.#autoRange();
      if (camera.orbit) this.#bounds = boundsOf(this.#batches) ?? this.#bounds;
      this.#drawn.scale = camera.orbit ? -1 : this.#drawn.scale;
    }
    const ratio = devicePixelRatio || 1, size = this.#panel.size * ratio;
    camera.matrix(this.#matrix);
    this.#points.draw(this.#batches, this.#matrix, {
      size, reach: camera.orbit ? camera.distance : 0, low: this.#range?.[0] ?? 0, high: this.#range?.[1] ?? 1, version: world.version, alpha: camera.orbit ? 1 : 0.85,
    });
    if (this.#drawn.scale !== camera.changes) {
      const { x, y, z } = this.#panel.chosen;
      const named = (name: string): string => this.#missing().includes(name) ? `${name} (${this.#whyMissing()})` : name;
      drawScale($("scale"), camera, this.#theme, [named(x), named(y), named(z || "0")], this.#bounds);
      this.#view.setAttribute("aria-label", `The entities as points, by ${this.#axes().map(named).join(", ")}`);
      this.#drawn.scale = camera.changes;
    }
    this.#drawn.camera = camera.changes;
    this.#drawn.version = world.version;
    // looking through all points costs: at once where the pointer moved, else now and then
    if (this.#pointer && !this.#view.classList.contains("dragging") && (this.#moved || begun - this.#lookedAt > 120)) {
      this.#lookedAt = begun;
      this.#moved = false;
      this.#look();
    }
    const cost = performance.now() - begun + this.#updateMs + (this.#pacer?.reconcileMs ?? 0);
    this.#updateMs = 0;
    if (this.#pacer) this.#pacer.reconcileMs = 0;
    this.scriptMs.push(cost);
    if (this.scriptMs.length > 600) this.scriptMs.shift();
    this.#sample.sum += cost;
    this.#sample.frames++;
  }

  /** Five times a second: numbers, charts, tables. */
  #tick(): void {
    const { stats, world, writerAlive, state } = this.connection, now = performance.now();
    set("fact-generation", world.generation > 0 ? count(world.generation) : "–");
    set("fact-frame", world.generation > 0 ? count(world.frame) : "–");
    set("fact-time", world.generation > 0 ? `${world.time.toFixed(2)} s` : "–");
    set("fact-entities", count(world.entities.count));
    set("fact-age", milliseconds(stats.ageMs));
    this.#state();
    if (document.hidden) return;
    const { sum, frames } = this.#sample, error = this.#pacer?.predictor.errorRms ?? NaN;
    this.#charts.script.add(frames > 0 ? sum / frames : NaN);
    this.#charts.rows.add(stats.rowsPerSecond);
    this.#charts.bytes.add(stats.bytesPerSecond);
    this.#charts.error.add(error);
    for (const chart of Object.values(this.#charts)) chart.draw(this.#theme);
    this.#sample = { sum: 0, frames: 0 };
    if (now - this.#sampledAt > 900) {
      this.#sampledAt = now;
      this.#tables();
      this.#legend();
      set("predict-text", this.#pacer
        ? `off by ${digits(this.#pacer.predictor.errorRms)} (root mean square), at most ${digits(this.#pacer.predictor.errorMax)}; pace ${digits(this.#pacer.pace)} s/s`
        : kernelFor(world, this.#axes()) ? "moves points by their velocity while no state comes" : "no axis has a namesake in a component `velocity`");
    }
    this.#entity();
    if (state === "live" && !writerAlive) this.#state();
  }

  #state(): void {
    const { connection } = this, { state, stats } = connection;
    let shown: string = state, text: string = state;
    if (state === "live") {
      if (!connection.writerAlive) [shown, text] = ["ended", "the simulation has ended"];
      else text = stats.ageMs > 3000 ? `live, nothing new for ${Math.round(stats.ageMs / 1000)} s` : "live";
    } else if (state === "waiting") {
      text = "disconnected";
    }
    $("state").dataset["state"] = shown;
    set("state-text", text);
    set("region", connection.hello ? `· ${connection.hello.region}` : $("region").textContent ?? "");
    document.title = `${connection.hello?.region ?? "hypostyle"}${state === "live" ? "" : ` (${text})`}`;
    const lost = state === "waiting" || state === "closed" || state === "connecting" && stats.updates > 0;
    const banner = $("banner"), stage = banner.parentElement!;
    banner.hidden = !lost;
    stage.dataset["stale"] = String(lost);
    if (lost) {
      const left = Math.max(0, Math.ceil((connection.nextTryAt - performance.now()) / 1000));
      setText(banner.querySelector("b")!, state === "closed" ? "Closed" : "Not connected");
      setText(banner.querySelector("span")!, state === "waiting" ? `${connection.reason}; next try in ${left} s` : connection.reason);
      $("retry").hidden = state !== "waiting";
    }
    $("pause").setAttribute("aria-pressed", String(state === "paused"));
    setText($("pause"), state === "paused" ? "Go on" : "Pause");
  }

  #buttons(): void {
    $("pause").onclick = () => this.#key("p");
    $("theme").onclick = () => this.#key("t");
    $("mode").onclick = () => this.#key("o");
    $("fit").onclick = () => this.#key("0");
    $("retry").onclick = () => this.connection.resume();
    for (const [id, factor] of [["closer", 0.75], ["farther", 1 / 0.75]] as const) $(id).onclick = () => this.camera.zoom(factor);
    $("predict").onchange = $("reconcile").onchange = () => this.#predict();
    const slot = $<HTMLInputElement>("slot");
    slot.oninput = () => {
      const number = slot.value.trim() === "" ? NaN : Number(slot.value), place = Number.isInteger(number) && number >= 0 ? this.connection.world.entities.find(number) : undefined;
      this.#pinned = place ? place.table.handles.data[place.row] as bigint : undefined;
      slot.setCustomValidity(slot.value.trim() === "" || place ? "" : "no such entity");
      this.#entity();
    };
    for (const id of ["low", "high"] as const) {
      $<HTMLInputElement>(id).onchange = () => this.#typedRange(id);
    }
    $("auto").onchange = () => {
      const [low, high] = this.#range ?? [undefined, undefined];
      this.#setEnds($<HTMLInputElement>("auto").checked ? FROM_DATA : { low, high });
    };
  }

  #key(key: string): boolean {
    const { connection, camera } = this;
    switch (key) {
      case "p":
        if (connection.state === "paused") connection.resume();
        else connection.pause();
        return true;
      case "t":
        this.#setTheme(this.#theme.dark ? "light" : "dark");
        return true;
      case "o":
        if (!camera.orbit && this.#panel.chosen.z === "") return true;
        camera.orbit = !camera.orbit;
        this.#modes();
        this.#fit();
        return true;
      case "0":
        this.#fit();
        return true;
      case "escape":
        this.#pinned = undefined;
        $<HTMLInputElement>("slot").value = "";
        this.#entity();
        return true;
      default: return false;
    }
  }

  #modes(): void {
    const mode = $<HTMLButtonElement>("mode"), flat = this.#panel.chosen.z === "";
    mode.setAttribute("aria-pressed", String(this.camera.orbit));
    mode.disabled = flat;
  }

  #axes(): string[] {
    return [this.#panel.chosen.x, this.#panel.chosen.y, this.#panel.chosen.z].filter(name => name !== "");
  }

  #layoutChanged(): void {
    this.#fitted = false;
    this.#pinned = this.#hover = this.#range = undefined;
    this.#setEnds(FROM_DATA);
    queueMicrotask(() => {
      this.#predict();
      this.#chosen("axes");
    });
  }

  #chosen(what: "axes" | "look" | "colour"): void {
    this.#redraw();
    this.#slowAt = 0;
    if (what === "look") this.#points.palette(colours(this.#panel.map, this.#theme.dark));
    if (what === "colour") {
      // a range of other values says nothing of these
      this.#range = undefined;
      this.#setEnds(FROM_DATA);
    }
    if (what === "axes") {
      if (this.#panel.chosen.z === "") this.camera.orbit = false;
      this.#fitted = false;
      this.#modes();
      this.#predict();
    }
    this.#legend();
  }

  #predict(): void {
    this.#pacer?.close();
    this.#pacer = undefined;
    const kernel = kernelFor(this.connection.world, this.#axes()), box = $<HTMLInputElement>("predict");
    box.disabled = !kernel;
    if (kernel && box.checked) this.#pacer = new Pacer(this.connection, kernel, $<HTMLSelectElement>("reconcile").value === "snap" ? "snap" : "smooth");
    this.#sampledAt = 0;
    this.#dirty = true;
  }

  #fit(): void {
    this.#batches = this.#gather();
    this.#bounds = boundsOf(this.#batches);
    if (!this.#bounds) return;
    this.#fitted = true;
    this.camera.fit(this.#bounds);
    this.#slowAt = 0;
    this.#dirty = true;
  }

  /** What is drawn: the chosen view of what is held. */
  #gather(): Batch[] {
    return batches(this.connection.world, this.#panel.chosen, this.#pacer?.predictor, this.#received);
  }

  /** The chosen names of which nothing is received yet. */
  #missing(): string[] {
    return this.connection.world.generation > 0 ? missing(this.#panel.chosen, this.#received) : [];
  }

  #whyMissing(): string {
    return this.connection.state === "paused" ? "not received while paused" : "not received yet";
  }

  #redraw(): void {
    this.#dirty = true;
    this.#drawn.scale = -1;
    this.#legend();
  }

  /** A tab that nobody sees receives nothing; seen again, it goes on from what it holds. */
  #seen(): void {
    clearTimeout(this.#hiding);
    if (document.hidden) {
      this.#hiding = setTimeout(() => {
        if (!document.hidden || this.connection.state === "paused" || this.connection.state === "closed") return;
        this.#away = true;
        this.connection.pause();
      }, HIDDEN_MS);
    } else if (this.#away) {
      this.#away = false;
      this.connection.resume();
    }
  }

  #autoRange(): void {
    const { low, high } = this.#ends, isAuto = low === undefined && high === undefined;
    const range = rangeOfEnds(rangeOf(this.#batches), this.#ends, this.#panel.map === "balance");
    if (!range) return;
    // a range that hardly changes stays: the legend is to be read
    const [a, b] = this.#range ?? [0, 0], width = b - a;
    if (isAuto && Math.abs(range[0] - a) < width * 0.04 && Math.abs(range[1] - b) < width * 0.04 && width > 0) return;
    this.#range = range;
    this.#legend();
  }

  /** Takes what was typed at an end: a number fixes it, nothing gives it back to the data; the rest is told and left. */
  #typedRange(id: "low" | "high"): void {
    const input = $<HTMLInputElement>(id), { value, fault } = typed(input.value), ends = { ...this.#ends, [id]: value };
    const why = fault || conflict(ends);
    input.setCustomValidity(why);
    if (why === "") this.#setEnds(ends);
    else input.reportValidity();
  }

  #setEnds(ends: Ends): void {
    this.#ends = ends;
    $<HTMLInputElement>("auto").checked = ends.low === undefined && ends.high === undefined;
    for (const id of ["low", "high"] as const) {
      const input = $<HTMLInputElement>(id), end = ends[id];
      input.setCustomValidity("");
      if (end === undefined) input.value = "";
      else if (typed(input.value).value !== end) input.value = String(end);
    }
    this.#slowAt = 0;
    this.#dirty = true;
  }

  #legend(): void {
    const { colour } = this.#panel.chosen, theme = this.#theme, { g, width } = fit($("legend")), { world } = this.connection;
    g.font = FONT;
    g.textBaseline = "middle";
    $("legend").parentElement!.querySelector<HTMLElement>(".range")!.style.visibility = colour === "" ? "hidden" : "";
    if (colour === "") {
      world.tables.filter(table => table.columns.has(this.#panel.chosen.x)).slice(0, 8).forEach((table, i) => {
        g.fillStyle = tableColour(world, table);
        g.fillRect(i * 30, 2, 24, 12);
        g.fillStyle = theme.colour("soft");
        g.fillText(String(table.id), i * 30 + 8, 24);
      });
      return;
    }
    const map = colours(this.#panel.map, theme.dark), gradient = g.createLinearGradient(0, 0, width, 0);
    for (let i = 0; i < 256; i += 15) gradient.addColorStop(i / 255, `rgb(${map[i * 4]} ${map[i * 4 + 1]} ${map[i * 4 + 2]})`);
    g.fillStyle = gradient;
    g.fillRect(0, 2, width, 13);
    g.fillStyle = theme.colour("soft");
    const range = this.#missing().includes(colour) ? undefined : this.#range;
    $("legend").setAttribute("aria-label", `Colour scale: ${colour}, ${range ? `${digits(range[0])} to ${digits(range[1])}` : this.#missing().includes(colour) ? this.#whyMissing() : "no values yet"}`);
    for (const [id, end] of [["low", range?.[0]], ["high", range?.[1]]] as const) $<HTMLInputElement>(id).placeholder = end === undefined ? "" : digits(end);
    if (!range) {
      g.textAlign = "left";
      if (this.#missing().includes(colour)) g.fillText(this.#whyMissing(), 0, 27);
      return;
    }
    const [low, high] = range;
    for (let i = 0; i <= 4; i++) {
      const x = Math.round(i / 4 * (width - 1));
      g.fillRect(x, 15, 1, 4);
      g.textAlign = i === 0 ? "left" : i === 4 ? "right" : "center";
      g.fillText(digits(low + (high - low) * i / 4), x, 27);
    }
  }

  #tables(): void {
    const { world } = this.connection;
    rows($<HTMLTableElement>("tables"), world.tables.map(table => [table.components.join(" · ") || "no components", count(table.rows)]));
  }

  /** Reads the point under the pointer. */
  #look(): void {
    const { camera } = this, pointer = this.#pointer!, tip = $("tip");
    const found = pick(this.#batches, this.#matrix, camera.width, camera.height, pointer.x, pointer.y, 12);
    this.#hover = found && { ...found, handle: found.table.handles.data[found.row] as bigint };
    tip.hidden = !this.#hover;
    this.#view.style.cursor = this.#hover ? "pointer" : "";
    if (!this.#hover) return;
    const { table, row, handle } = this.#hover, values = table.row(row), lines = [`entity ${handleText(handle)}`];
    const { colour } = this.#panel.chosen;
    for (const name of new Set([...this.#axes(), ...(colour ? [colour] : [])])) {
      const [base, lane] = name.split("["), found = values.get(base!);
      const shown = Array.isArray(found) ? found[parseInt(lane ?? "0", 10)] : found;
      if (found !== undefined) lines.push(`${name}  ${value(shown, table.columns.get(base!)?.type)}`);
    }
    const [head, ...rest] = lines, b = document.createElement("b");
    b.textContent = head!;
    tip.replaceChildren(b, `\n${rest.join("\n")}`);
    const batch = this.#batches.find(batch => batch.table === table), at = batch && camera.project(...placeOf(batch, row), this.#matrix) || [pointer.x, pointer.y];
    const x = at[0] + 14 + tip.offsetWidth > camera.width ? at[0] - 14 - tip.offsetWidth : at[0] + 14;
    tip.style.transform = `translate(${Math.round(x)}px, ${Math.round(Math.min(Math.max(at[1] - 10, 4), camera.height - tip.offsetHeight - 4))}px)`;
  }

  #entity(): void {
    const { world } = this.connection, table = $<HTMLTableElement>("entity");
    // rows move: an entity is its handle
    const handle = this.#pinned ?? this.#hover?.handle, place = handle !== undefined ? world.entities.find(handle) : undefined;
    if (handle === undefined || !place) {
      rows(table, handle !== undefined ? [[`entity ${handleText(handle)}`, "is gone"]] : []);
      return;
    }
    rows(table, [
      ["slot · generation", `${handle & 0xffff_ffffn} · ${handle >> 32n}`], ["table, row", `${place.table.id}, ${count(place.row)}`],
      ...[...place.table.row(place.row)].map(([name, of]) => [name, value(of, place.table.columns.get(name)?.type)] as [string, string]),
    ]);
  }

  async #timeline(token: string | null): Promise<void> {
    const url = new URL("timeline", location.href);
    url.search = token !== null ? `?token=${encodeURIComponent(token)}` : "";
    for (;;) {
      const wait = document.hidden || this.connection.state !== "live" ? 1000 : await this.#gantt.refresh(url);
      await new Promise(done => setTimeout(done, wait));
    }
  }

  #setTheme(name: string): void {
    document.documentElement.dataset["theme"] = name === "light" ? "light" : "dark";
    remember("hypostyle-theme", name);
    this.#theme.refresh();
    setText($("theme"), this.#theme.dark ? "Light" : "Dark");
    this.#points.palette(colours(this.#panel.map, this.#theme.dark));
    this.#drawn.scale = -1;
    this.#dirty = true;
    this.#legend();
    this.#gantt.draw();
    for (const chart of Object.values(this.#charts)) chart.draw(this.#theme);
  }

  #resize(): void {
    const { clientWidth, clientHeight } = this.#view, ratio = devicePixelRatio || 1;
    this.#view.width = Math.max(1, Math.round(clientWidth * ratio));
    this.#view.height = Math.max(1, Math.round(clientHeight * ratio));
    this.camera.resize(clientWidth, clientHeight);
    this.#dirty = true;
  }
}

function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

function set(id: string, text: string): void {
  setText($(id), text);
}

/** Fills a table's body; cells that hold their text already are left alone. */
function rows(table: HTMLTableElement, all: readonly (readonly [string, string] | string[])[]): void {
  const body = table.tBodies[0]!;
  while (body.rows.length > all.length) body.deleteRow(-1);
  all.forEach(([head, text], i) => {
    let row = body.rows[i];
    if (!row) {
      row = body.insertRow();
      const cell = document.createElement("th");
      cell.scope = "row";
      row.append(cell, document.createElement("td"));
    }
    setText(row.cells[0]!, head ?? "");
    setText(row.cells[1]!, text ?? "");
  });
}

declare global {
  /** The page's own parts, for whoever looks at it from the browser's console, and for tests. */
  var hypostyle: Page;
}

try {
  globalThis.hypostyle = new Page();
} catch (error) {
  // no state of the connection may take the reason away again
  opened?.close();
  const banner = $("banner");
  banner.hidden = false;
  setText(banner.querySelector("b")!, "This page cannot run here");
  setText(banner.querySelector("span")!, error instanceof Error ? error.message : String(error));
  $("retry").hidden = true;
}
