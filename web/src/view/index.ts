//! A running simulation's state in the browser: connect, and read typed arrays.

export { connect, Connection, type ConnectOptions, type ConnectionState, type FrameEvent } from "./connect.ts";
export { ChangedChunks, type ChangedColumn } from "./changes.ts";
export { ColumnView, type Part } from "./column.ts";
export { NoWebSocketError, ProtocolError, RefusedError, SteeringError, ViewError } from "./errors.ts";
export { Predictor, type Kernel, type KernelJob, type PredictOptions } from "./predict.ts";
export {
  decode, type ComponentInfo, type FieldInfo, type Hello, type Message, type ResourceInfo, type Subscribed, type UpdatePart, type SubscribeOptions,
} from "./protocol.ts";
export { Stats } from "./stats.ts";
export type { RunState, SteeringAction } from "./steering.ts";
export { Bits, CHUNK_ROWS, Column, Table, type ColumnSpec } from "./table.ts";
export type { BigArray, ColumnArray, NumberArray, Scalar, ScalarType } from "./types.ts";
export { numberOf, smallNumbers } from "./types.ts";
export { Assembler, Entities, World, type Applied, type Place } from "./world.ts";
