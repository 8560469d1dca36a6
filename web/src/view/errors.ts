//! What can go wrong, as types.

/** The server sent bytes that are not what the protocol allows, or more than this client agreed to hold. */
export class ProtocolError extends Error {
  override readonly name = "ProtocolError";
}

/** The view-world was asked for something that it does not have. */
export class ViewError extends Error {
  override readonly name = "ViewError";
}

/** The server refuses a subscription: the message is its reason. The one before stays in force. */
export class RefusedError extends Error {
  override readonly name = "RefusedError";
}

/**
 * A server that does not steer. `status` is HTTP's: 401, a token is missing or wrong; 403, it lets nobody steer, or not
 * this origin; 409, no run listens; 400, what was asked for cannot be; 404, it knows nothing of steering.
 */
export class SteeringError extends Error {
  override readonly name = "SteeringError";
  readonly status: number;

  constructor(message: string, status: number) {
    super(message);
    this.status = status;
  }
}

/** The platform has no `WebSocket`, and the options bring none. No new attempt can mend that. */
export class NoWebSocketError extends Error {
  override readonly name = "NoWebSocketError";

  constructor() {
    super(
      "there is no WebSocket here: use node 22 or newer, or start node 20 with --experimental-websocket, or install the package `ws` and "
      + "pass `socket: (url, protocol) => new WebSocket(url, protocol)` with its class",
    );
  }
}

/** The error's message, whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
