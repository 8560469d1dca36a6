/* hypostyle: read a live simulation's columns in place.
 *
 *     hypostyle_reader *region;
 *     hypostyle_snapshot *snapshot;
 *     hypostyle_column x;
 *     if (hypostyle_open("demo", &region) != HYPOSTYLE_STATUS_OK) { fputs(hypostyle_last_error(), stderr); return 1; }
 *     if (hypostyle_pin(region, &snapshot) == HYPOSTYLE_STATUS_OK) {
 *         if (hypostyle_get_column(snapshot, 0, "position.x", &x) == HYPOSTYLE_STATUS_OK) { ...x.data, x.rows... }
 *         hypostyle_release(snapshot);
 *     }
 *     hypostyle_close(region);
 *
 * Rules that hold for every function:
 * - A function that can fail returns a hypostyle_status, and leaves a sentence about it in hypostyle_last_error().
 *   If it fails, its outputs are unchanged.
 * - A null pointer, a string that is not UTF-8, a handle that was closed or never opened, and a table that does not
 *   exist are errors.
 * - Strings are zero-terminated UTF-8. Those that the library returns belong to it.
 * - Every function may be called from any thread at any time, also with the same handle.
 * - A program that opens a region trusts its writer to keep to the protocol, as every writer with this library does.
 *
 * Written by cbindgen from capi/src; do not edit. */

#ifndef HYPOSTYLE_H
#define HYPOSTYLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * The result of a function.
 */
typedef enum hypostyle_status {
    /**
     * Success.
     */
    HYPOSTYLE_STATUS_OK = 0,
    /**
     * An argument is null, not UTF-8, a handle that is closed, or a number out of range.
     */
    HYPOSTYLE_STATUS_BAD_ARGUMENT = 1,
    /**
     * There is no such region, or it was removed.
     */
    HYPOSTYLE_STATUS_NOT_FOUND = 2,
    /**
     * The region has no generation yet: wait for one.
     */
    HYPOSTYLE_STATUS_NOTHING_PUBLISHED = 3,
    /**
     * The timeout ended, and no newer generation was published.
     */
    HYPOSTYLE_STATUS_TIMEOUT = 4,
    /**
     * The writer has exited, and no newer generation was published. The last one can still be pinned and read.
     */
    HYPOSTYLE_STATUS_WRITER_GONE = 5,
    /**
     * The layout has no component, field or resource of this name.
     */
    HYPOSTYLE_STATUS_UNKNOWN_NAME = 6,
    /**
     * The table lacks the component, the resource has no value, or the entity is dead.
     */
    HYPOSTYLE_STATUS_ABSENT = 7,
    /**
     * All leases of the region are taken by readers.
     */
    HYPOSTYLE_STATUS_NO_LEASE = 8,
    /**
     * The region is damaged, of another version, or not this user's.
     */
    HYPOSTYLE_STATUS_BAD_REGION = 9,
    /**
     * An error of the operating system.
     */
    HYPOSTYLE_STATUS_SYSTEM = 10,
    /**
     * A fault of this library. The caller's handles and memory are still valid.
     */
    HYPOSTYLE_STATUS_INTERNAL = 11,
    /**
     * Another thread closed the region while this one waited.
     */
    HYPOSTYLE_STATUS_CLOSED = 12,
    /**
     * `hypostyle_interrupt` was called while this thread waited.
     */
    HYPOSTYLE_STATUS_INTERRUPTED = 13,
} hypostyle_status;

/**
 * Which rows of a table have a component.
 */
typedef enum hypostyle_presence_kind {
    /**
     * No row has it.
     */
    HYPOSTYLE_PRESENCE_KIND_NONE = 0,
    /**
     * All rows have it.
     */
    HYPOSTYLE_PRESENCE_KIND_ALL = 1,
    /**
     * Rows whose bit is set have it.
     */
    HYPOSTYLE_PRESENCE_KIND_BITS = 2,
} hypostyle_presence_kind;

/**
 * The type of a column's values: little-endian, bools one byte of 0 or 1, entities 64-bit handles (slot low,
 * generation high; all ones: none).
 */
typedef enum hypostyle_type {
    HYPOSTYLE_TYPE_F32 = 1,
    HYPOSTYLE_TYPE_F64 = 2,
    HYPOSTYLE_TYPE_I8 = 3,
    HYPOSTYLE_TYPE_I16 = 4,
    HYPOSTYLE_TYPE_I32 = 5,
    HYPOSTYLE_TYPE_I64 = 6,
    HYPOSTYLE_TYPE_U8 = 7,
    HYPOSTYLE_TYPE_U16 = 8,
    HYPOSTYLE_TYPE_U32 = 9,
    HYPOSTYLE_TYPE_U64 = 10,
    HYPOSTYLE_TYPE_BOOL = 11,
    HYPOSTYLE_TYPE_ENTITY = 12,
    /**
     * IEEE 754 binary16.
     */
    HYPOSTYLE_TYPE_F16 = 13,
    /**
     * The upper half of an `F32`.
     */
    HYPOSTYLE_TYPE_BF16 = 14,
    /**
     * A u8: its 255th part, 0 to 1.
     */
    HYPOSTYLE_TYPE_UNORM8 = 15,
    /**
     * A u16: its 65535th part, 0 to 1.
     */
    HYPOSTYLE_TYPE_UNORM16 = 16,
    /**
     * An i8: its 127th part, at least -1.
     */
    HYPOSTYLE_TYPE_SNORM8 = 17,
    /**
     * An i16: its 32767th part, at least -1.
     */
    HYPOSTYLE_TYPE_SNORM16 = 18,
} hypostyle_type;

/**
 * A reader of an open region: a simulation's shared memory, read-only.
 */
typedef struct hypostyle_reader hypostyle_reader;

/**
 * A pinned generation: a consistent state that does not change until it is released.
 */
typedef struct hypostyle_snapshot hypostyle_snapshot;

/**
 * A column of one table, in place. Valid until its snapshot is released.
 */
typedef struct hypostyle_column {
    /**
     * The first row's value. A table's column begins at a multiple of 64 bytes.
     */
    const void *data;
    /**
     * Number of rows.
     */
    uint64_t rows;
    /**
     * Bytes from one row to the next.
     */
    uint64_t stride_bytes;
    /**
     * The type of its values: one of hypostyle_type.
     */
    uint32_t type;
    /**
     * Number of values in each row; 0: a single value (the field is not an array).
     */
    uint32_t array_len;
} hypostyle_column;

/**
 * Which rows of a table have a component. Valid until the snapshot is released.
 */
typedef struct hypostyle_presence {
    /**
     * None, all, or by bits.
     */
    enum hypostyle_presence_kind kind;
    /**
     * By bits: row `r` has it if bit `r % 64` of word `r / 64` is set. Otherwise null.
     */
    const uint64_t *words;
    /**
     * Number of words.
     */
    uint64_t word_count;
} hypostyle_presence;

/**
 * A field of the lists of a table's rows, in place. The list of row `r` is the elements from `starts[r]` on, `lengths[r]` of
 * them; it never leaves `elements`, which are those of all tables' rows, and some that no row has any more.
 * Valid until the snapshot is released.
 */
typedef struct hypostyle_list {
    /**
     * The place of each row's first element.
     */
    const uint32_t *starts;
    /**
     * How many elements each row has.
     */
    const uint32_t *lengths;
    /**
     * Number of rows.
     */
    uint64_t rows;
    /**
     * The field's values, one for each element.
     */
    struct hypostyle_column elements;
} hypostyle_list;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The error message of this thread's last call that failed; empty if none did. Valid until the thread's next call that
 * fails, or until the thread ends.
 */
const char *hypostyle_last_error(void);

/**
 * The version of this library, as `major.minor.patch`.
 */
const char *hypostyle_version(void);

/**
 * Opens a region: a name, or a directory's path (anything with a `/` or a leading `.`). Its writer may be live or
 * not. Close it with `hypostyle_close`.
 *
 * # Safety
 * `target` is null or zero-terminated, `region` null or writable. The region's writer keeps to the protocol: regions
 * belong to one user (mode 0600), and nobody else writes to their files.
 */
enum hypostyle_status hypostyle_open(const char *target, struct hypostyle_reader **region);

/**
 * Closes a reader. Its snapshots stay pinned and valid until they are released. Waits of other threads on it end within
 * a fraction of a second, with HYPOSTYLE_STATUS_CLOSED.
 */
enum hypostyle_status hypostyle_close(struct hypostyle_reader *region);

/**
 * The newest published generation; 0: none yet (or a region that is not open).
 */
uint64_t hypostyle_newest(const struct hypostyle_reader *region);

/**
 * Whether the region has a live writer.
 *
 * # Safety
 * `alive` is null or writable.
 */
enum hypostyle_status hypostyle_is_alive(const struct hypostyle_reader *region, bool *alive);

/**
 * Waits until a generation newer than `after` is published, and writes the newest one to `generation` (which may be
 * null). It ends with HYPOSTYLE_STATUS_TIMEOUT after `timeout_seconds` (INFINITY: never), and with
 * HYPOSTYLE_STATUS_WRITER_GONE as soon as the region has no writer. Another thread ends the wait with `hypostyle_close`
 * (HYPOSTYLE_STATUS_CLOSED), another thread or a signal handler with `hypostyle_interrupt`
 * (HYPOSTYLE_STATUS_INTERRUPTED).
 *
 * # Safety
 * `generation` is null or writable.
 */
enum hypostyle_status hypostyle_wait(const struct hypostyle_reader *region,
                                     uint64_t after,
                                     double timeout_seconds,
                                     uint64_t *generation);

/**
 * Ends every `hypostyle_wait` that is in progress in this process, within a fraction of a second. One that begins later
 * is not ended: a program that is told to end by a signal sets a flag of its own too, and looks at it before it waits
 * again. May be called from a signal handler.
 */
void hypostyle_interrupt(void);

/**
 * The region's layout as a layout file declares it (TOML): components, fields, types, resources. Null if the region
 * is not open. Valid until the region is closed.
 */
const char *hypostyle_layout_toml(const struct hypostyle_reader *region);

/**
 * Number of columns that the layout declares; 0 if the region is not open.
 */
uint32_t hypostyle_column_count(const struct hypostyle_reader *region);

/**
 * The name of a declared column (`position.x`); null beyond the last. Valid until the region is closed.
 */
const char *hypostyle_column_name(const struct hypostyle_reader *region, uint32_t index);

/**
 * Pins the newest generation, while the simulation continues. It is held until `hypostyle_release`: its memory is not
 * reused before. The pins of a process that dies are released.
 *
 * # Safety
 * `snapshot` is null or writable.
 */
enum hypostyle_status hypostyle_pin(const struct hypostyle_reader *region, struct hypostyle_snapshot **snapshot);

/**
 * Pins the generation of a frame, as `hypostyle_pin` pins the newest: `HYPOSTYLE_STATUS_NOT_FOUND` if it is neither the
 * newest nor one of those that the writer keeps beside it.
 *
 * # Safety
 * `snapshot` is null or writable.
 */
enum hypostyle_status hypostyle_pin_frame(const struct hypostyle_reader *region,
                                          uint64_t frame,
                                          struct hypostyle_snapshot **snapshot);

/**
 * Releases a snapshot. Every pointer that came from it is invalid from now on.
 *
 * # Safety
 * Those pointers are not used any more.
 */
enum hypostyle_status hypostyle_release(struct hypostyle_snapshot *snapshot);

/**
 * The generation, from 1 on; 0 if the snapshot is not pinned.
 */
uint64_t hypostyle_generation(const struct hypostyle_snapshot *snapshot);

/**
 * The frame after which the generation was published; 0 also if the snapshot is not pinned.
 */
uint64_t hypostyle_frame(const struct hypostyle_snapshot *snapshot);

/**
 * Simulated time after that frame, in the simulation's unit; NaN if the snapshot is not pinned.
 */
double hypostyle_time(const struct hypostyle_snapshot *snapshot);

/**
 * Number of live entities in all tables.
 */
uint64_t hypostyle_entity_count(const struct hypostyle_snapshot *snapshot);

/**
 * Number of tables. A table holds all entities with the same components.
 */
uint32_t hypostyle_table_count(const struct hypostyle_snapshot *snapshot);

/**
 * Number of rows of a table; 0 also if there is no such table.
 */
uint64_t hypostyle_table_rows(const struct hypostyle_snapshot *snapshot, uint32_t index);

/**
 * A column of a table by name (`position.x`), in place. HYPOSTYLE_STATUS_ABSENT if the table lacks the component.
 * Rows that lack a toggle component hold arbitrary values in its columns: ask `hypostyle_get_presence`.
 *
 * # Safety
 * `name` is null or zero-terminated, `column` null or writable.
 */
enum hypostyle_status hypostyle_get_column(const struct hypostyle_snapshot *snapshot,
                                           uint32_t index,
                                           const char *name,
                                           struct hypostyle_column *column);

/**
 * Which chunks of 1024 rows of a column changed after a generation: were written, or got rows of another table, as
 * happens when a component is added or removed by query. For each chunk `changed` gets 1 if it changed, else 0;
 * `chunk_count` gets the number of chunks (rows / 1024, rounded up), `changed_count` the number of changed ones.
 * `name` is a field (`position.x`); or a component, to ask who has it; or `(entity)`, to ask which entities the rows are.
 * HYPOSTYLE_STATUS_ABSENT if the table lacks the component. Removed rows are seen from the row count.
 *
 * With `changed` null and `changed_room` 0 it only counts. If `changed_room` is less than the number of chunks, the
 * result is HYPOSTYLE_STATUS_BAD_ARGUMENT and nothing is written.
 *
 * # Safety
 * `name` is null or zero-terminated; `changed` is null, or there are `changed_room` writable bytes at it; `chunk_count` and
 * `changed_count` are null or writable.
 */
enum hypostyle_status hypostyle_changed_since(const struct hypostyle_snapshot *snapshot,
                                              uint32_t index,
                                              const char *name,
                                              uint64_t generation,
                                              uint8_t *changed,
                                              uint64_t changed_room,
                                              uint64_t *chunk_count,
                                              uint64_t *changed_count);

/**
 * Which rows of a table have a component.
 *
 * # Safety
 * `component` is null or zero-terminated, `presence` null or writable.
 */
enum hypostyle_status hypostyle_get_presence(const struct hypostyle_snapshot *snapshot,
                                             uint32_t index,
                                             const char *component,
                                             struct hypostyle_presence *presence);

/**
 * The handles of a table's rows, in place: as many as the table has rows. Valid until the snapshot is released.
 *
 * # Safety
 * `handles` and `rows` are null or writable; `rows` may be null.
 */
enum hypostyle_status hypostyle_get_entities(const struct hypostyle_snapshot *snapshot,
                                             uint32_t index,
                                             const uint64_t **handles,
                                             uint64_t *rows);

/**
 * The table and row of an entity. HYPOSTYLE_STATUS_ABSENT if it is dead.
 *
 * # Safety
 * `index` and `row` are null or writable.
 */
enum hypostyle_status hypostyle_locate(const struct hypostyle_snapshot *snapshot,
                                       uint64_t handle,
                                       uint32_t *index,
                                       uint64_t *row);

/**
 * A field of a resource by name (`gravity.y`), as a column of one row. Its data is not aligned: copy it with memcpy.
 * HYPOSTYLE_STATUS_ABSENT if the resource has no value.
 *
 * # Safety
 * `name` is null or zero-terminated, `column` null or writable.
 */
enum hypostyle_status hypostyle_get_resource(const struct hypostyle_snapshot *snapshot,
                                             const char *name,
                                             struct hypostyle_column *column);

/**
 * The lists of a table's rows: a field of a list component by name (`contact.spring`). HYPOSTYLE_STATUS_ABSENT if the table
 * lacks the component, and for a component that is scratch: no generation has it. All fields of a component have the same
 * starts and lengths.
 *
 * # Safety
 * `name` is null or zero-terminated, `list` null or writable.
 */
enum hypostyle_status hypostyle_get_list(const struct hypostyle_snapshot *snapshot,
                                         uint32_t index,
                                         const char *name,
                                         struct hypostyle_list *list);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* HYPOSTYLE_H */
