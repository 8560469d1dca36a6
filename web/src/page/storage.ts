//! What the page remembers from visit to visit. A browser may refuse that (cookies blocked, a sandboxed frame): then it
//! remembers nothing, and works all the same.

export function remembered(name: string): string | null {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

export function remember(name: string, text: string): void {
  try {
    localStorage.setItem(name, text);
  } catch {
    // it is asked again next time
  }
}
