//! A picture of the view as a PNG: the points, the axes, the trail, and a line that says what it is.

/** Puts canvases over one another, with a caption below. */
export async function png(canvases: readonly HTMLCanvasElement[], ground: string, ink: string, caption: string): Promise<Blob> {
  const [first] = canvases, ratio = devicePixelRatio || 1, foot = Math.round(24 * ratio);
  const sheet = document.createElement("canvas"), width = sheet.width = first?.width ?? 1, height = first?.height ?? 1;
  sheet.height = height + foot;
  const g = sheet.getContext("2d");
  if (!g) throw new Error("this browser makes no pictures");
  g.fillStyle = ground;
  g.fillRect(0, 0, width, height + foot);
  for (const canvas of canvases) if (canvas.width > 0 && canvas.height > 0) g.drawImage(canvas, 0, 0, width, height);
  g.fillStyle = ink;
  g.font = `${Math.round(12 * ratio)}px system-ui,"Segoe UI",Roboto,"DejaVu Sans",sans-serif`;
  g.textBaseline = "middle";
  g.fillText(caption, Math.round(10 * ratio), height + foot / 2, width - Math.round(20 * ratio));
  return new Promise((done, failed) => sheet.toBlob(blob => blob ? done(blob) : failed(new Error("this browser makes no PNG")), "image/png"));
}

/** Hands a file to the browser's downloads. */
export function download(blob: Blob, name: string): void {
  const link = document.createElement("a"), url = URL.createObjectURL(blob);
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
