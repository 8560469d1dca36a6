//! The page: one connection, one picture, one loop that draws when something changed.

import { connect, type Connection } from "../view/connect.ts";
import { messageOf } from "../view/errors.ts";
import type { SubscribeOptions } from "../view/protocol.ts";
import type { Table } from "../view/table.ts";
import { Address, cameraText, placeCamera, said } from "./address.ts";
import { pauseWhileHidden } from "./away.ts";
import { Boxer } from "./boxer.ts";
import { PRESETS, type Bounds, type Camera } from "./camera.ts";
import { Theme } from "./canvas.ts";
import { Chart } from "./charts.ts";
import { kinds, table as colours } from "./colour.ts";
import { Workshop } from "./computed.ts";
import { set, setText } from "./dom.ts";
import { bytes, count, digits, entityOf, milliseconds, nameEntities, short } from "./format.ts";
import { Gantt } from "./gantt.ts";
import { Group } from "./group.ts";
import { listen } from "./input.ts";
import { Legend } from "./legend.ts";
import { Linker, arrowStep } from "./lines.ts";
import { Panel, type What } from "./panel.ts";
import { download, png } from "./picture.ts";
import { Plots } from "./plots.ts";
import { Points, type Batch } from "./points.ts";
import { Pacer, kernelFor } from "./prediction.ts";
import { RunBar } from "./run.ts";
import { drawScales } from "./scales.ts";
import { Selection } from "./selection.ts";
import { arrowLength, batches, boundsOf, missing, pick, sampleOf, spacing, tableColour, type Chosen, type Shown } from "./sources.ts";
import { showState } from "./status.ts";
import { remember, remembered } from "./storage.ts";
import { Tables } from "./tables.ts";
import { TimeBar } from "./timebar.ts";
import { placeIn, showTip, tipLines } from "./tip.ts";
import { Tabs } from "./tabs.ts";
import { Camcorder } from "./camcorder.ts";
import { unitOf } from "./units.ts";
import { COUNTS, Views, boundsBy, seen, type Count } from "./views.ts";
import type { Seen } from "./wishes.ts";

const $ = <T extends HTMLElement = HTMLElement>(id: string): T => document.getElementById(id) as T;
const SAMPLE_MS = 200;

/** The page's connection, to be closed where the page cannot run. */
let opened: Connection | undefined;

class Page {
  readonly connection: Connection;
  readonly views = new Views();
  /** Script time of each drawn frame with the updates before it, milliseconds: the newest 600. */
  readonly scriptMs: number[] = [];
  readonly applyMs: number[] = [];
  readonly selection: Selection;
  readonly group: Group;
  readonly timebar: TimeBar;
  readonly run: RunBar;
  readonly plots: Plots;
  readonly legend: Legend;
  readonly #theme = new Theme();
  readonly points: Points;
  readonly #linker = new Linker();
  readonly #boxer: Boxer;
  readonly #camcorder: Camcorder;
  readonly #panel: Panel;
  readonly #gantt: Gantt;
  readonly #tables: Tables;
  readonly #tabs = new Tabs();
  readonly #address = new Address();
  readonly #workshop = new Workshop();
  readonly #charts: Record<"script" | "rows" | "bytes" | "error", Chart>;
  readonly #view = $<HTMLCanvasElement>("view");
  readonly #token = new URLSearchParams(location.search).get("token");
  #batches: Batch[] = [];
  #pacer: Pacer | undefined;
  #dirty = true;
  #drawn = { camera: -1, scale: -1 };
  /** What is shown; known on when nothing more is received. */
  #region = "hypostyle";
  #fitted = false;
  /** The arrows' length is to be found. */
  #measured = true;
  #bounds: Bounds | undefined;
  /** The components that the state at hand was sent with. */
  #received: ReadonlySet<string> = new Set();
  #pointer: { x: number; y: number } | undefined;
  #hover: { table: Table; row: number; handle: bigint } | undefined;
  #updateMs = 0;
  #sampledAt = 0;
  #sample = { sum: 0, frames: 0 };
  #steppedAt = 0;
  #slowAt = 0;
  #lookedAt = 0;
  #moved = false;
  /** The plots know what there is. */
  #plotted = false;

  constructor() {
    this.points = new Points(this.#view);
    this.#charts = {
      script: new Chart("script", "c1", milliseconds, 5), rows: new Chart("rows", "c2", value => short(value)),
      bytes: new Chart("bytes", "c3", value => `${bytes(value)}/s`), error: new Chart("error", "c4", digits),
    };
    this.#gantt = new Gantt(this.#theme);
    const url = this.#url("live");
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    url.search = "";
    this.connection = opened = connect(url, {
      ...(this.#token !== null ? { token: this.#token } : {}),
      choose: (hello, refused) => {
        this.#region = hello.region;
        nameEntities(hello.identity === "global_id");
        $("slot-name").textContent = hello.identity === "global_id" ? "id" : "slot";
        return this.#announced(refused);
      },
    });
    this.run = new RunBar(this.connection, text => this.#say(text));
    this.timebar = new TimeBar(this.connection.world, () => this.#redraw());
    this.selection = new Selection(this.views, this.#theme, () => {
      this.#dirty = true;
      this.#entity();
    });
    this.group = new Group(() => {
      this.#dirty = true;
      this.#sampledAt = 0;
    }, () => this.world, () => this.#fileName());
    this.#boxer = new Boxer(this.views, (view, corners, add) => this.group.choose(view ? seen(view.order, this.#batches) : this.#batches, (view ?? this.views.active).camera, corners, add));
    this.#camcorder = new Camcorder(this.#layers, () => this.#theme.colour("field"), () => this.#fileName(), text => this.#say(text));
    this.legend = new Legend(this.#theme, () => {
      this.#slowAt = 0;
      this.#dirty = true;
    });
    this.#panel = new Panel(this.connection, what => this.#chosen(what), () => this.#inView());
    this.#tables = new Tables(this.#panel);
    this.plots = new Plots(this.#workshop, this.#theme, () => this.#panel.need(this.plots.components));
    this.connection.onFrame(event => this.#updated(event.full, event.applyMs));
    this.connection.onState(() => {
      this.#state();
      if (this.#missing().length > 0) this.#redraw();
    });
    this.#buttons();
    pauseWhileHidden(this.connection);
    this.#setTheme(remembered("hypostyle-theme") ?? (matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark"));
    new ResizeObserver(() => this.#resize()).observe(this.#view);
    this.#resize();
    this.#state();
    this.#listen();
    setInterval(() => this.#tick(), SAMPLE_MS);
    void this.#timeline();
    const loop = (): void => {
      this.#frame();
      requestAnimationFrame(loop);
    };
    requestAnimationFrame(loop);
  }

  /** The main view's camera. */
  get camera(): Camera {
    return this.views.main;
  }

  /** What is shown: the newest state, or one that was kept. */
  get world(): Shown {
    return this.timebar.state ? this.timebar.past : this.connection.world;
  }

  /** A path of the gateway's, with the token. */
  #url(path: string): URL {
    const url = new URL(path, location.href);
    url.search = this.#token !== null ? `?token=${encodeURIComponent(this.#token)}` : "";
    url.hash = "";
    return url;
  }

  /** What to ask for, once the server has said what it has; where it refuses that, again. */
  #announced(refused: string | undefined): SubscribeOptions {
    const state = said();
    if (refused !== undefined) this.#panel.receive.refused(refused, this.connection.asked);
    if (this.#panel.announce(state)) {
      this.#plotted = false;
      this.#workshop.clear();
      this.#layoutChanged(state);
      // a box that goes with the view does so from the first state on
      this.#fitted = placeCamera(this.camera, state.get("camera"));
    }
    return this.#panel.wanted();
  }

  /** An update was applied. */
  #updated(full: boolean, applyMs: number): void {
    this.#updateMs += applyMs;
    this.applyMs.push(applyMs);
    if (this.applyMs.length > 600) this.applyMs.shift();
    const { world } = this.connection;
    if (full) this.#received = new Set(this.connection.asked.columns);
    if (!this.#plotted && world.generation > 0) {
      this.#plotted = true;
      const texts = said().get("plots");
      this.plots.announce(world, texts === null ? undefined : texts.split(";").filter(text => text !== ""));
    }
    const begun = performance.now();
    this.timebar.record(begun);
    if (this.plots.components.every(name => this.#received.has(name))) this.plots.sample(world);
    this.#updateMs += performance.now() - begun;
    if (!this.timebar.state) this.#dirty = true;
  }

  #listen(): void {
    listen(this.#view, place => {
      if (place) this.views.activate(this.views.at(place.x, place.y));
      return this.views.active;
    }, {
      box: this.#boxer,
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
      click: (x, y) => {
        // a finger does not hover before
        this.#pointer = { x, y };
        this.#look();
        this.selection.select(this.#hover?.handle);
      },
      key: key => this.#key(key),
    });
  }

  /** Draws what changed, and notes what it cost. */
  #frame(): void {
    const begun = performance.now(), { connection, views } = this;
    const elapsed = Math.min(begun - this.#steppedAt, 250);
    this.#steppedAt = begun;
    this.timebar.tick(begun);
    if (this.#pacer && connection.state === "live" && !this.timebar.state) {
      this.#pacer.step(elapsed);
      this.#dirty = true;
    }
    if (!this.#dirty && views.changes === this.#drawn.camera) return;
    this.#dirty = false;
    this.#draw(begun, this.world);
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

  #draw(now: number, world: Shown): void {
    const { views } = this, { shape, chosen } = this.#panel, orbit = views.all.some(({ camera }) => camera.orbit);
    this.#batches = this.#gather();
    if (!this.#fitted && world.generation > 0) this.#fit();
    if (!this.#measured && this.#batches.some(({ arrow }) => arrow)) {
      this.#measured = true;
      this.#panel.setArrowLength(arrowLength(this.#batches));
    }
    if (now - this.#slowAt > 500) {
      this.#slowAt = now;
      this.legend.data(sampleOf(this.#batches));
      if (orbit) this.#bounds = boundsOf(this.#batches) ?? this.#bounds;
      this.#drawn.scale = orbit ? -1 : this.#drawn.scale;
    }
    this.selection.update(world, this.#batches);
    this.#paint(world);
    this.selection.draw($("trace"), shape === "spheres");
    if (this.#drawn.scale !== views.changes) {
      const missing = this.#missing(), named = (name: string): string => missing.includes(name) ? `${name} (${this.#whyMissing()})` : name;
      drawScales($("scale"), document.querySelector<HTMLElement>(".corner")!, this.views, this.#theme, [named(chosen.x), named(chosen.y), named(chosen.z || "0")], this.#bounds);
      this.#view.setAttribute("aria-label", `The entities as ${shape}, by ${axesOf(chosen).map(named).join(", ")}`);
      this.#drawn.scale = views.changes;
    }
    this.#drawn.camera = views.changes;
    this.#camcorder.frame();
  }

  /** Draws the points of all views. */
  #paint(world: Shown): void {
    const { chosen, shape, mode, outside, size, haze, arrowLength: length } = this.#panel, ratio = devicePixelRatio || 1, all = this.#batches;
    if (!this.points.begin()) return;
    const look = { shape, mode, outside, size: size * ratio, perspective: true, ...this.legend.scaled, version: world.version, haze: haze ? this.#theme.colour("field") : undefined };
    const arrows = chosen.arrows.length > 0 ? { length } : undefined;
    const group = this.group.size > 0 ? { of: (table: Table) => this.group.marks(table), colour: this.#theme.colour("mark") } : undefined;
    const links = chosen.links !== "" ? this.#linker.links(all, chosen.links, world.version, this.#theme.colour("soft")) : undefined;
    for (const view of this.views.all) {
      this.points.draw(seen(view.order, all), view.camera, { ...look, alpha: view.camera.orbit ? 1 : 0.85 }, { arrows, links: links && { ...links, order: view.order }, chosen: group }, view);
    }
    this.points.end();
  }

  /** Five times a second: numbers, charts, tables, the address. */
  #tick(): void {
    const { stats, writerAlive, state } = this.connection, now = performance.now(), { world } = this;
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
    if (this.#tabs.shown === "stream") for (const chart of Object.values(this.#charts)) chart.draw(this.#theme);
    if (this.#tabs.shown === "plots") this.plots.draw();
    this.#sample = { sum: 0, frames: 0 };
    if (now - this.#sampledAt > 900) {
      this.#sampledAt = now;
      this.#tables.show(this.world, this.#batches);
      this.#panel.receive.tell(world);
      this.#legend();
      this.group.list(world);
      const every = arrowStep(this.#batches);
      set("lines-text", [every > 1 ? `every ${every}th entity has an arrow` : "", this.#panel.chosen.links !== "" ? `${count(this.#linker.count)} lines` : ""].filter(text => text !== "").join("; "));
      set("predict-text", this.#pacer
        ? `off by ${digits(this.#pacer.predictor.errorRms)} (root mean square), at most ${digits(this.#pacer.predictor.errorMax)}; pace ${digits(this.#pacer.pace)} s/s`
        : kernelFor(this.connection.world, axesOf(this.#panel.chosen)) ? "moves points by their velocity while no state comes" : "no axis has a namesake in a component `velocity`");
    }
    this.#panel.receive.follow();
    this.#entity();
    this.timebar.show();
    if (this.#fitted) this.#address.write(this.#addressState(), now);
    if (state === "live" && !writerAlive) this.#state();
  }

  #state(): void {
    showState(this.connection, this.run.state);
  }

  #buttons(): void {
    for (const [id, key] of [["pause", "p"], ["theme", "t"], ["mode", "o"], ["fit", "0"], ["help-open", "?"], ["shot", "s"], ["video", "v"], ["box", "b"]] as const) $(id).onclick = () => this.#key(key);
    $("share").onclick = () => void this.#share();
    $("retry").onclick = () => this.connection.resume();
    $("help-close").onclick = () => $<HTMLDialogElement>("help").close();
    for (const button of document.querySelectorAll<HTMLElement>("[data-preset]")) button.onclick = () => this.camera.preset(button.dataset["preset"] as keyof typeof PRESETS);
    for (const [id, factor] of [["closer", 0.75], ["farther", 1 / 0.75]] as const) $(id).onclick = () => this.views.active.camera.zoom(factor);
    $("views").onchange = () => this.#show(Number($<HTMLSelectElement>("views").value) as Count);
    $("group-all").onclick = () => this.group.choose(this.#batches, this.camera, undefined, false);
    $("predict").onchange = $("reconcile").onchange = () => this.#predict();
    const slot = $<HTMLInputElement>("slot");
    slot.oninput = () => {
      const asked = entityOf(slot.value), place = asked !== undefined ? this.world.entities.find(asked) : undefined;
      this.selection.select(place ? place.table.handles.data[place.row] as bigint : undefined);
      slot.setCustomValidity(slot.value.trim() === "" || place ? "" : "no such entity");
    };
    $("keep").onchange = () => {
      if ($<HTMLInputElement>("keep").checked) return;
      this.timebar.go(undefined);
      this.timebar.states.clear();
      this.timebar.show();
    };
    $<HTMLFormElement>("token-form").onsubmit = event => {
      event.preventDefault();
      const url = new URL(location.href);
      url.searchParams.set("token", $<HTMLInputElement>("token").value);
      location.replace(url);
    };
    addEventListener("hashchange", () => {
      if (!this.#address.isForeign) return;
      this.#address.accept();
      const state = said();
      this.#panel.restored(state);
      this.#restore(state);
    });
  }

  #key(key: string): boolean {
    const { connection, camera } = this, presets = Object.keys(PRESETS) as (keyof typeof PRESETS)[];
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
        this.#fitAll();
        return true;
      case "0":
        this.#fitAll();
        return true;
      case "1": case "2": case "3": case "4":
        if (camera.orbit) camera.preset(presets[Number(key) - 1]!);
        return true;
      case "f":
        this.selection.follow(!this.selection.follows);
        return true;
      case "s":
        void this.#shoot();
        return true;
      case "v":
        void this.#camcorder.toggle();
        this.#dirty = true;
        return true;
      case "b":
        this.#boxer.toggle();
        return true;
      case "w":
        this.#show(COUNTS[(COUNTS.indexOf(this.views.count) + 1) % COUNTS.length]!);
        return true;
      case "[": case "]":
        this.timebar.step(key === "[" ? -1 : 1);
        return true;
      case " ":
        this.timebar.play();
        return true;
      case "n":
        this.timebar.go(undefined);
        return true;
      case "?":
        $<HTMLDialogElement>("help").showModal();
        return true;
      case "escape":
        this.selection.select(undefined);
        this.group.clear();
        return true;
      default: return this.run.key(key);
    }
  }

  #modes(): void {
    const mode = $<HTMLButtonElement>("mode"), flat = this.#panel.chosen.z === "";
    mode.setAttribute("aria-pressed", String(this.camera.orbit));
    mode.disabled = $<HTMLSelectElement>("views").disabled = flat;
    if (flat) this.views.show(1);
    $<HTMLSelectElement>("views").value = this.#view.parentElement!.dataset["views"] = String(this.views.count);
    $("presets").hidden = !this.camera.orbit;
  }

  /** Shows one, two or four views. */
  #show(count: Count): void {
    if (this.#panel.chosen.z === "") return;
    this.views.show(count);
    if (count === 4) this.camera.orbit = true;
    this.#modes();
    this.#fitAll();
    this.#redraw();
  }

  #layoutChanged(state: URLSearchParams): void {
    this.#fitted = false;
    this.#hover = undefined;
    this.legend.forget();
    this.selection.select(undefined);
    this.group.clear();
    this.timebar.go(undefined);
    queueMicrotask(() => {
      this.#predict();
      this.#chosen("axes");
      this.#chosen("arrows");
      this.#chosen("look");
      this.#restore(state);
    });
  }

  /** Takes over what the address says of the camera, the range and the selection. */
  #restore(state: URLSearchParams): void {
    const views = COUNTS.find(count => String(count) === state.get("views")) ?? 1;
    if (this.#panel.chosen.z !== "") this.views.show(views);
    const placed = placeCamera(this.camera, state.get("camera")), all = this.views.count === 1 || this.views.place(state.get("cameras"));
    if (placed) this.#fitted = true;
    // what the address says of the main one stays, the others see everything
    if (!all) this.#fitBeside();
    this.#modes();
    const end = (name: string): number | undefined => state.get(name) !== null && Number.isFinite(Number(state.get(name))) ? Number(state.get(name)) : undefined;
    this.legend.setEnds({ low: end("low"), high: end("high") });
    const handle = /^(\d+)\.(\d+)$/.exec(state.get("entity") ?? "");
    if (handle) this.selection.select(BigInt(handle[1]!) | BigInt(handle[2]!) << 32n);
    if (state.get("follow") === "1") this.selection.follow(true);
    this.#redraw();
  }

  /** What the address is to say. */
  #addressState(): Record<string, string> {
    const { low, high } = this.legend.ends, { handle, follows } = this.selection, state: Record<string, string> = this.#panel.state();
    state["camera"] = cameraText(this.camera);
    if (this.views.count > 1) Object.assign(state, { views: String(this.views.count), cameras: this.views.text });
    if (low !== undefined) state["low"] = String(low);
    if (high !== undefined) state["high"] = String(high);
    if (handle !== undefined) state["entity"] = `${handle & 0xffff_ffffn}.${handle >> 32n}`;
    if (follows) state["follow"] = "1";
    if (this.#plotted) state["plots"] = this.plots.texts.join(";");
    return state;
  }

  async #share(): Promise<void> {
    const link = Address.link(this.#addressState());
    try {
      await navigator.clipboard.writeText(link);
      this.#say("The link to this view is in the clipboard; it holds no token");
    } catch {
      // no clipboard without https or permission: the link is there to be copied by hand
      prompt("The link to this view", link);
    }
  }

  async #shoot(): Promise<void> {
    const { world } = this, { chosen } = this.#panel;
    this.#draw(performance.now(), world);
    const colour = chosen.colour === "" ? "" : `, colour ${chosen.colour}${this.legend.range ? ` ${this.legend.range.map(digits).join(" to ")}` : ""}`;
    const caption = `${this.#region} · frame ${count(world.frame)} · time ${digits(world.time)} · ${axesOf(chosen).join(", ")}${colour}${chosen.filter ? ` · ${chosen.filter.text}` : ""}`;
    try {
      const blob = await png(this.#layers, this.#theme.colour("field"), this.#theme.colour("ink"), caption);
      download(blob, `${this.#fileName()}.png`);
      this.#say("The picture is among the downloads");
    } catch (error) {
      this.#say(messageOf(error));
    }
  }

  /** The canvases that make the picture, from below. */
  get #layers(): HTMLCanvasElement[] {
    return [this.#view, $<HTMLCanvasElement>("scale"), $<HTMLCanvasElement>("trace")];
  }

  /** What files are called, without their end. */
  #fileName(): string {
    return `${this.#region.replace(/[^\w.-]+/g, "-")}-${this.world.frame}`;
  }

  /** Says something in passing. */
  #say(text: string): void {
    set("said", text);
    setTimeout(() => {
      if ($("said").textContent === text) set("said", "");
    }, 4000);
  }

  #chosen(what: What): void {
    this.#redraw();
    this.#slowAt = 0;
    this.points.palette(this.#panel.mode === "kinds" ? kinds() : colours(this.#panel.map, this.#theme.dark));
    // a range of other values says nothing of these
    if (what === "colour") this.legend.forget();
    if (what === "axes") {
      if (this.#panel.chosen.z === "") this.camera.orbit = false;
      this.#fitted = false;
      this.#modes();
      this.#predict();
      this.selection.forget();
    }
    if (what === "arrows") this.#measured = false;
    if (what === "shown") this.#tables.show(this.world, this.#batches);
    this.#legend();
  }

  #predict(): void {
    this.#pacer?.close();
    this.#pacer = undefined;
    const kernel = kernelFor(this.connection.world, axesOf(this.#panel.chosen)), box = $<HTMLInputElement>("predict");
    box.disabled = !kernel;
    if (kernel && box.checked) this.#pacer = new Pacer(this.connection, kernel, $<HTMLSelectElement>("reconcile").value === "snap" ? "snap" : "smooth");
    this.#sampledAt = 0;
    this.#dirty = true;
  }

  #fit(): void {
    this.#batches = this.#gather();
    this.#bounds = boundsOf(this.#batches);
    if (!this.#bounds) return;
    if (!this.#fitted) {
      this.#panel.setRadius(spacing(this.#batches) * 0.3);
      this.#panel.setCount(this.world.entities.count);
    }
    this.#fitted = true;
    this.views.fit(this.#bounds);
    this.#slowAt = 0;
    this.#dirty = true;
  }

  /** Shows everything: what the box of the view keeps out is received before. */
  #fitAll(): void {
    if (!this.#panel.receive.open(() => this.#fit())) this.#fit();
  }

  /** What the picture shows, where it is one flat view. */
  #inView(): Seen | undefined {
    const { target: [x, y], scale, orbit, width, height } = this.camera;
    return this.#fitted && !orbit && this.views.count === 1 ? { x, y, width: width * scale, height: height * scale } : undefined;
  }

  /** Lets the flat views beside the main one show everything. */
  #fitBeside(): void {
    const bounds = this.#bounds = boundsOf(this.#gather());
    if (bounds) for (const { camera, order } of this.views.all.slice(0, -1)) camera.fit(boundsBy(order, bounds));
    else this.#fitted = false;
  }

  /** What is drawn: the chosen view of what is held. */
  #gather(): Batch[] {
    return batches(this.world, this.#panel.chosen, this.timebar.state ? undefined : this.#pacer?.predictor, this.#received, this.#workshop);
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

  #legend(): void {
    const { chosen, map, mode } = this.#panel, { world } = this, of = world.tables.filter(table => table.columns.has(chosen.x.replace(/\[\d+\]$/, "")));
    this.legend.show({
      colour: chosen.colour, unit: unitOf(world, chosen.colour), map, mode, missing: this.#missing().includes(chosen.colour) ? this.#whyMissing() : "",
      tables: of.map(table => [tableColour(world, table), String(table.id)]),
    });
  }

  /** Reads the entity under the pointer. */
  #look(): void {
    const { x, y } = this.#pointer!, { chosen, shape } = this.#panel, view = this.views.at(x, y), mine = seen(view.order, this.#batches);
    const found = pick(mine, view.camera, shape === "spheres", x - view.left, y - view.top, 12);
    this.#hover = found && { ...found, handle: found.table.handles.data[found.row] as bigint };
    this.#view.style.cursor = this.#hover ? "pointer" : "";
    const { formula } = chosen, known = formula?.components.every(name => this.#received.has(name)) ? formula : undefined;
    const lines = this.#hover ? tipLines(this.#hover, chosen, known && this.#workshop.values(this.#hover.table, known, this.world.version)) : undefined;
    showTip($("tip"), lines, this.#hover && placeIn(view, mine, this.#hover) || [x, y], this.#view);
  }

  #entity(): void {
    this.selection.list(this.world, this.#hover?.handle);
  }

  async #timeline(): Promise<void> {
    for (;;) {
      const wait = document.hidden || this.connection.state !== "live" || this.#tabs.shown !== "lanes" ? 500 : await this.#gantt.refresh(this.#url("timeline"));
      await new Promise(done => setTimeout(done, wait));
    }
  }

  #setTheme(name: string): void {
    document.documentElement.dataset["theme"] = name === "light" ? "light" : "dark";
    remember("hypostyle-theme", name);
    this.#theme.refresh();
    setText($("theme"), this.#theme.dark ? "Light" : "Dark");
    this.#chosen("look");
    this.#gantt.draw();
    this.plots.repaint();
    for (const chart of Object.values(this.#charts)) chart.draw(this.#theme);
  }

  #resize(): void {
    const { clientWidth, clientHeight } = this.#view, ratio = devicePixelRatio || 1;
    this.#view.width = Math.max(1, Math.round(clientWidth * ratio));
    this.#view.height = Math.max(1, Math.round(clientHeight * ratio));
    this.views.resize(clientWidth, clientHeight);
    this.#dirty = true;
  }
}

/** The axes that are chosen. */
function axesOf({ x, y, z }: Chosen): string[] {
  return [x, y, z].filter(name => name !== "");
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
  $("retry").hidden = $("token-form").hidden = true;
}
