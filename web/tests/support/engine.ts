//! The real thing: `hypostyle run` and `hypostyle gateway` as processes, and a proxy between them and a client that
//! loses, delays and cuts connections.

import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { existsSync } from "node:fs";
import { connect as dial, createServer, type AddressInfo, type Socket } from "node:net";
import type { Random } from "./random.ts";

/** The program, as `cargo xtask test --only web` names it. */
export const PROGRAM = process.env["HYPOSTYLE_PROGRAM"];
export const noProgram = PROGRAM && existsSync(PROGRAM) ? false : "HYPOSTYLE_PROGRAM names no program";

export interface Process {
  readonly child: ChildProcess;
  /** Resolves with the exit code. */
  readonly ended: Promise<number | null>;
  output(): string;
  stop(): Promise<void>;
}

/** Starts the program. It ends with the test, however that ends. */
export function start(...args: string[]): Process {
  const child = spawn(PROGRAM!, args, { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  child.stdout.on("data", (data: Buffer) => (output += data.toString()));
  child.stderr.on("data", (data: Buffer) => (output += data.toString()));
  const ended = new Promise<number | null>(done => child.on("exit", code => done(code)));
  const kill = (): void => void child.kill("SIGKILL");
  process.on("exit", kill);
  void ended.then(() => process.off("exit", kill));
  return {
    child, ended, output: () => output,
    async stop() {
      child.kill("SIGINT");
      const timer = setTimeout(kill, 10_000);
      await ended;
      clearTimeout(timer);
    },
  };
}

/** Runs the program to its end; its JSON. */
export function ask(...args: string[]): unknown {
  return JSON.parse(execFileSync(PROGRAM!, [...args, "--json"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }));
}

export async function until<T>(what: string, look: () => T | Promise<T>, ms = 30_000): Promise<NonNullable<T>> {
  const end = Date.now() + ms;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > end) throw new Error(`${what}: not within ${ms / 1000} s`);
    await new Promise(done => setTimeout(done, 25));
  }
}

export function freePort(): Promise<number> {
  return new Promise((done, fail) => {
    const server = createServer();
    server.on("error", fail);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => done(port));
    });
  });
}

/** A simulation of particles in a region of its own, and a gateway to it. */
export interface Engine {
  readonly region: string;
  readonly port: number;
  readonly run: Process;
  readonly gateway: Process;
  close(): Promise<void>;
}

export async function engine(name: string, run: string[], gateway: string[] = []): Promise<Engine> {
  const region = `web-${name}-${process.pid}`, simulation = start("run", "particles", "--region", region, "--keep", ...run);
  await until("a first generation", () => {
    try {
      return (ask("inspect", region) as { snapshot: unknown }).snapshot !== null;
    } catch (error) {
      if (simulation.child.exitCode !== null) throw new Error(`the simulation ended: ${simulation.output()}`, { cause: error });
      return false;
    }
  });
  const port = await freePort(), server = start("gateway", region, "--listen", `127.0.0.1:${port}`, ...gateway);
  await until("the gateway", async () => {
    if (server.child.exitCode !== null) throw new Error(`the gateway ended: ${server.output()}`);
    return fetch(`http://127.0.0.1:${port}/healthz`).then(answer => answer.status > 0, () => false);
  });
  return {
    region, port, run: simulation, gateway: server,
    async close() {
      await server.stop();
      await simulation.stop();
      try {
        execFileSync(PROGRAM!, ["clean", region], { stdio: "ignore" });
      } catch {
        // it may have gone with its writer
      }
    },
  };
}

export interface Proxy {
  readonly port: number;
  readonly faults: { cut: number; stalled: number };
  /** From now on it only carries. */
  calm(): void;
  close(): void;
}

/** Carries bytes to `target`, and again and again cuts a connection in the middle or lets it stand still. */
export async function faultyProxy(target: number, random: Random, everyMs: number): Promise<Proxy> {
  const pairs = new Set<[Socket, Socket]>(), faults = { cut: 0, stalled: 0 };
  const server = createServer(client => {
    const upstream = dial(target, "127.0.0.1"), pair: [Socket, Socket] = [client, upstream];
    pairs.add(pair);
    const end = (): void => {
      pairs.delete(pair);
      client.destroy();
      upstream.destroy();
    };
    for (const [from, to] of [pair, [upstream, client]] as const) {
      from.on("data", data => {
        if (!to.write(data)) from.pause();
      });
      to.on("drain", () => from.resume());
      from.on("close", end);
      from.on("error", end);
    }
  });
  await new Promise<void>(done => server.listen(0, "127.0.0.1", done));
  const timer = setInterval(() => {
    for (const [client, upstream] of pairs) {
      if (random.chance(0.35)) {
        faults.cut++;
        client.destroy();
        upstream.destroy();
      } else if (random.chance(0.5)) {
        faults.stalled++;
        upstream.pause();
        client.pause();
        setTimeout(() => {
          upstream.resume();
          client.resume();
        }, random.below(everyMs * 3));
      }
    }
  }, everyMs);
  return {
    port: (server.address() as AddressInfo).port, faults,
    calm: () => clearInterval(timer),
    close() {
      clearInterval(timer);
      for (const [client, upstream] of pairs) {
        client.destroy();
        upstream.destroy();
      }
      server.close();
    },
  };
}
