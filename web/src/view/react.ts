//! A view in React components: a connection that lives as long as a component, and values of its world.
//!
//! Invariants: a component renders anew only where what it selects changed; a connection ends with its component.

import { useCallback, useEffect, useRef, useState, useSyncExternalStore } from "react";
import { connect, type Connection, type ConnectOptions, type ConnectionState } from "./connect.ts";
import type { World } from "./world.ts";

/** A connection as a component sees it. */
export interface View {
  /** `undefined` before the component is on the page, and without an address. */
  readonly connection: Connection | undefined;
  readonly state: ConnectionState;
  /** Why it is in that state. */
  readonly reason: string;
}

const NONE: View = { connection: undefined, state: "closed", reason: "no address" };

/**
 * Opens a view of a live region while the component is there; another address opens another. Options are those of the
 * render that brings the address: what is received later on is `connection.subscribe`'s. Throws a `NoWebSocketError` as
 * `connect` does, to the next error boundary.
 */
export function useView(url: string | URL | undefined, options: ConnectOptions = {}): View {
  const [view, setView] = useState(NONE);
  const newest = useRef(options), address = url === undefined ? undefined : String(url);
  useEffect(() => {
    newest.current = options;
  });
  useEffect(() => {
    if (address === undefined) {
      setView(NONE);
      return undefined;
    }
    const connection = connect(address, newest.current);
    const tell = (): void => setView({ connection, state: connection.state, reason: connection.reason });
    const stop = connection.onState(tell);
    tell();
    return () => {
      stop();
      connection.close();
    };
  }, [address]);
  return view;
}

/**
 * What `select` takes from the world of a view, anew with every update: the number of entities, a value of one of them,
 * a resource. The component renders where it is another by `isEqual`. Typed arrays of the world change in place: take
 * values out of them, or draw from `connection.onFrame`, without rendering.
 */
export function useWorld<T>(connection: Connection | undefined, select: (world: World) => T, isEqual: (a: T, b: T) => boolean = Object.is): T | undefined {
  const held = useRef<{ connection: Connection; select: (world: World) => T; version: number; value: T } | undefined>(undefined);
  const subscribe = useCallback((changed: () => void) => connection?.onFrame(changed) ?? (() => undefined), [connection]);
  const read = (): T | undefined => {
    if (!connection) return undefined;
    const { version } = connection.world, before = held.current?.connection === connection ? held.current : undefined;
    if (before?.version === version && before.select === select) return before.value;
    const found = select(connection.world), value = before && isEqual(before.value, found) ? before.value : found;
    held.current = { connection, select, version, value };
    return value;
  };
  return useSyncExternalStore(subscribe, read, () => undefined);
}
