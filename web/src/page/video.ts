//! What is seen as a video: WebM by the browser's own recorder; frames as PNG files in an archive where it has none.

/** Frames per second of a video. */
const RATE = 30;
/** Frames of an archive: at most so many, and so many a second. */
const FRAMES_MAX = 600, FRAMES_RATE = 10;
const TYPES = ["video/webm;codecs=vp9", "video/webm;codecs=vp8", "video/webm"];

/** Bits per second: enough for points, which compress badly. */
const BITS = 12_000_000;

/** A recording that runs: call `frame` after each picture, and `stop` for the file. */
export interface Recording {
  readonly kind: "webm" | "tar";
  frame(): void;
  stop(): Promise<Blob>;
}

/** Draws canvases over one another, onto a ground. */
export function compose(sheet: HTMLCanvasElement, canvases: readonly HTMLCanvasElement[], ground: string): void {
  const g = sheet.getContext("2d")!;
  g.fillStyle = ground;
  g.fillRect(0, 0, sheet.width, sheet.height);
  for (const canvas of canvases) if (canvas.width > 0 && canvas.height > 0) g.drawImage(canvas, 0, 0, sheet.width, sheet.height);
}

/** Begins to record; `failed`: it ended by itself. */
export function record(canvases: readonly HTMLCanvasElement[], ground: () => string, failed: (why: string) => void): Recording {
  const sheet = document.createElement("canvas"), [first] = canvases;
  // encoders want even sides
  sheet.width = Math.max(2, (first?.width ?? 2) & ~1);
  sheet.height = Math.max(2, (first?.height ?? 2) & ~1);
  compose(sheet, canvases, ground());
  const type = typeof MediaRecorder === "function" && "captureStream" in sheet ? TYPES.find(type => MediaRecorder.isTypeSupported(type)) : undefined;
  return type === undefined ? frames(sheet, canvases, ground) : webm(sheet, canvases, ground, type, failed);
}

function webm(sheet: HTMLCanvasElement, canvases: readonly HTMLCanvasElement[], ground: () => string, type: string, failed: (why: string) => void): Recording {
  const recorder = new MediaRecorder(sheet.captureStream(RATE), { mimeType: type, videoBitsPerSecond: BITS }), parts: Blob[] = [];
  let wanted = true;
  const ended = new Promise<void>(done => {
    recorder.onstop = () => {
      if (wanted) failed("the browser ended the recording");
      done();
    };
  });
  recorder.onerror = () => failed("the browser cannot record this");
  recorder.ondataavailable = ({ data }) => void parts.push(data);
  recorder.start(1000);
  return {
    kind: "webm",
    frame: () => compose(sheet, canvases, ground()),
    stop: async () => {
      wanted = false;
      if (recorder.state !== "inactive") recorder.stop();
      await ended;
      return new Blob(parts, { type: "video/webm" });
    },
  };
}

function frames(sheet: HTMLCanvasElement, canvases: readonly HTMLCanvasElement[], ground: () => string): Recording {
  const files: Promise<Uint8Array<ArrayBuffer>>[] = [];
  let last = -Infinity;
  return {
    kind: "tar",
    frame: () => {
      const now = performance.now();
      if (files.length >= FRAMES_MAX || now - last < 1000 / FRAMES_RATE) return;
      last = now;
      compose(sheet, canvases, ground());
      files.push(new Promise((done, failed) => sheet.toBlob(blob => blob ? void blob.arrayBuffer().then(bytes => done(new Uint8Array(bytes)), failed) : failed(new Error("this browser makes no PNG")), "image/png")));
    },
    stop: async () => tar((await Promise.all(files)).map((bytes, i) => [`frame-${String(i + 1).padStart(4, "0")}.png`, bytes])),
  };
}

/** An archive of files as POSIX has it (ustar). */
export function tar(files: readonly (readonly [name: string, bytes: Uint8Array<ArrayBuffer>])[]): Blob {
  const parts: Uint8Array<ArrayBuffer>[] = [], ascii = new TextEncoder();
  for (const [name, bytes] of files) {
    const head = new Uint8Array(512), put = (at: number, text: string): void => head.set(ascii.encode(text), at);
    put(0, name);
    put(100, "0000644\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, `${bytes.length.toString(8).padStart(11, "0")}\0`);
    put(136, "00000000000\0");
    // the sum is made with spaces in its own place
    put(148, "        0");
    put(257, "ustar\x0000");
    put(148, `${head.reduce((sum, byte) => sum + byte, 0).toString(8).padStart(6, "0")}\0 `);
    parts.push(head, bytes, new Uint8Array(-bytes.length & 511));
  }
  return new Blob([...parts, new Uint8Array(1024)], { type: "application/x-tar" });
}
