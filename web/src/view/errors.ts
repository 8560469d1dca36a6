//! What can go wrong, as types.

/** The server sent bytes that are not what the protocol allows, or more than this client agreed to hold. */
export class ProtocolError extends Error {
  override readonly name = "ProtocolError";
}

/** The view-world was asked for something that it does not have. */
export class ViewError extends Error {
  override readonly name = "ViewError";
}

/** The error's message, whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
