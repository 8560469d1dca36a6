//! Pages of other origins, and a real nginx in front of the gateway: as the book describes it.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { CHROMIUM, launch, open } from "../support/browser.ts";
import { engine, freePort, noProgram, until } from "../support/engine.ts";

const RUN = ["--entities", "300", "--frames", "1000000000", "--workers", "local", "--steer", "--pace", "30"];
const TOKEN = "a token of a test", BOOK = "../docs/book/gateway.md", HOST = "lab.example";
const noBrowser = noProgram || (CHROMIUM ? false : "there is no Chromium");

function has(...command: [string, ...string[]]): boolean {
  try {
    execFileSync(command[0], command.slice(1), { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

/** What a page gets for a request: the status and the text of an error; none where its browser tells nothing. */
type Got = { status: number; error: string | undefined } | undefined;

test("pages of a listed origin use all paths with a token in a header, others learn why not", { skip: noBrowser, timeout: 120_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), "hypostyle-origins-")), site = createServer((_, response) => response.setHeader("content-type", "text/html").end("<!doctype html><title>x</title>"));
  await new Promise<void>(done => site.listen(0, "127.0.0.1", done));
  const { port } = site.address() as AddressInfo, listed = `http://127.0.0.1:${port}`, other = `http://localhost:${port}`;
  writeFileSync(join(folder, "token"), `${TOKEN}\n`);
  const real = await engine("origins", RUN, ["--steer", "--token-file", join(folder, "token"), "--allow-origin", listed]), browser = await launch();
  try {
    const asks = async (site: string, path: string, token: string | undefined, body?: string): Promise<Got> => {
      const { page } = await open(browser, site);
      const got = await page.evaluate(async ([url, token, body]) => {
        try {
          const answer = await fetch(url!, {
            ...(token !== undefined ? { headers: { authorization: `Bearer ${token}`, "content-type": "application/json" } } : {}), ...(body !== undefined ? { method: "POST", body } : {}),
          });
          const text = await answer.text();
          return { status: answer.status, error: answer.ok ? undefined : (JSON.parse(text) as { error: string }).error };
        } catch {
          return undefined;
        }
      }, [`http://127.0.0.1:${real.port}${path}`, token, body] as const);
      await page.context().close();
      return got;
    };
    for (const path of ["/layout", "/snapshot.bin", "/snapshot", "/timeline", "/steering", "/metrics"]) {
      assert.deepEqual(await asks(listed, path, TOKEN), { status: 200, error: undefined }, path);
    }
    assert.deepEqual(await asks(listed, "/steering", TOKEN, '{"action": "pause"}'), { status: 200, error: undefined });
    const unknown = await asks(listed, "/layout", "another token");
    assert.ok(unknown?.status === 401 && /token/.test(unknown.error!), JSON.stringify(unknown));
    const missing = await asks(listed, "/layout", undefined);
    assert.ok(missing?.status === 401, JSON.stringify(missing));
    const foreign = await asks(other, "/layout", undefined);
    assert.ok(foreign?.status === 403 && /origin/.test(foreign.error!), JSON.stringify(foreign));
    // its browser may not even ask
    assert.equal(await asks(other, "/steering", TOKEN, '{"action": "resume"}'), undefined);
  } finally {
    await browser.close();
    await real.close();
    site.close();
    rmSync(folder, { recursive: true });
  }
});

const noNginx = noBrowser || (has("nginx", "-v") && has("openssl", "version") ? false : "there is no nginx, or no openssl");

test("the book's nginx carries the page under a prefix, with TLS", { skip: noNginx, timeout: 120_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), "hypostyle-nginx-")), port = await freePort();
  writeFileSync(join(folder, "token"), `${TOKEN}\n`);
  const real = await engine("nginx", RUN, ["--steer", "--token-file", join(folder, "token"), "--allow-origin", `https://${HOST}`]);
  const book = readFileSync(BOOK, "utf8"), recipe = /^```nginx\n(.*?)^```/ms.exec(book)![1]!, certificate = /^openssl req .*?[^\\]\n/ms.exec(book)![0];
  const here = (text: string): string => text.replaceAll("/etc/nginx/", `${folder}/`);
  execFileSync("sh", ["-c", here(certificate)], { stdio: "ignore" });
  const config = here(recipe).replace("listen 443 ssl", `listen 127.0.0.1:${port} ssl`).replace("127.0.0.1:8080/", `127.0.0.1:${real.port}/`);
  assert.ok(config.includes(String(real.port)) && config.includes(String(port)));
  writeFileSync(join(folder, "nginx.conf"), `daemon off; master_process off; pid ${folder}/pid; error_log ${folder}/error.log;
events {}
http { access_log off; client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy; fastcgi_temp_path ${folder}/f; uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
${config} }\n`);
  const nginx = spawn("nginx", ["-p", folder, "-c", join(folder, "nginx.conf"), "-e", join(folder, "error.log")], { stdio: "ignore" });
  const browser = await launch([`--host-resolver-rules=MAP ${HOST} 127.0.0.1`, "--ignore-certificate-errors"]);
  try {
    const at = `https://${HOST}:${port}/sim/?token=${encodeURIComponent(TOKEN)}`;
    const opened = await until("nginx", () => open(browser, at).catch(error => {
      if (nginx.exitCode !== null) throw new Error(`nginx ended: ${readFileSync(join(folder, "error.log"), "utf8")}`, { cause: error });
      return undefined;
    }));
    const { page, errors } = opened;
    await page.waitForFunction(() => hypostyle.connection.state === "live" && hypostyle.scriptMs.length > 3);
    assert.equal(await page.textContent("#region"), `· ${real.region}`);
    await page.locator("#tab-lanes").click();
    await page.waitForFunction(() => / newest/.test(document.getElementById("lanes-text")!.textContent!));
    await page.click("#run-pause");
    await page.waitForFunction(() => document.getElementById("run-text")!.textContent!.startsWith("paused at frame"));
    assert.deepEqual(errors, []);
    // without a token the page asks for one, and says nothing of origins
    const stranger = (await open(browser, `https://${HOST}:${port}/sim/`)).page;
    await stranger.locator("#token-form").waitFor({ state: "visible" });
    assert.match(await stranger.textContent("#banner") ?? "", /^A token is needed/);
  } finally {
    await browser.close();
    nginx.kill("SIGTERM");
    await real.close();
    rmSync(folder, { recursive: true });
  }
});
