"""Reads regions, checkpoints and journals from their bytes alone: docs/format.md, the standard library, numpy.

It shares no code with the engine, so what it agrees on with the engine's own commands is what the page says. Compressed
chunks need the package zstandard; without it they are an error that says so.
"""

import struct
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

CHUNK_ROWS = 1024
TYPES = {1: "<f4", 2: "<f8", 3: "<i1", 4: "<i2", 5: "<i4", 6: "<i8", 7: "<u1", 8: "<u2", 9: "<u4", 10: "<u8", 11: "<u1", 12: "<u8"}
HANDLE, FIELD, PRESENCE, CHANGED, LOCATION, GENERATION, RESOURCES = range(7)
NO_ENTITY = 0xFFFF_FFFF_FFFF_FFFF


class Damaged(Exception):
    """The bytes are not what the page says."""


def expect(condition, what):
    if not condition:
        raise Damaged(what)


# ---- XXH3, 64 bits, seed 0 and the default secret: xxhash's own specification ----------------------------------------

SECRET = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671fcb79e64eccc0e578825ad07dccff7221b8084674f743248ee035"
    "90e6813a264c3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04b"
    "cdb45931c89f7ec9d9787364eac5ac8334d3ebc3c581a0fffa1363eb170ddd51b7f0da49d316552629d4689e2b16be587d47a1fc8ff8b8d17ad0"
    "31ce45cb3a8f95160428afd7fbcabb4b407e"
)
M = (1 << 64) - 1
P32 = (0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D)
P64 = (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5)


def _u64(data, at):
    return int.from_bytes(data[at : at + 8], "little")


def _u32(data, at):
    return int.from_bytes(data[at : at + 4], "little")


def _fold(a, b):
    product = a * b
    return (product & M) ^ (product >> 64)


def _avalanche(h):
    h ^= h >> 37
    h = h * 0x165667919E3779F9 & M
    return h ^ h >> 32


def _avalanche64(h):
    h ^= h >> 33
    h = h * P64[1] & M
    h ^= h >> 29
    h = h * P64[2] & M
    return h ^ h >> 32


def _mix16(data, at, secret):
    return _fold(_u64(data, at) ^ _u64(SECRET, secret), _u64(data, at + 8) ^ _u64(SECRET, secret + 8))


def xxh3(data):
    """XXH3-64 of bytes."""
    n = len(data)
    if n == 0:
        return _avalanche64(_u64(SECRET, 56) ^ _u64(SECRET, 64))
    if n <= 3:
        word = data[0] << 16 | data[n >> 1] << 24 | data[n - 1] | n << 8
        return _avalanche64(word ^ (_u32(SECRET, 0) ^ _u32(SECRET, 4)))
    if n <= 8:
        word = _u32(data, n - 4) + (_u32(data, 0) << 32)
        h = word ^ (_u64(SECRET, 8) ^ _u64(SECRET, 16))
        h ^= ((h << 49 | h >> 15) ^ (h << 24 | h >> 40)) & M
        h = h * 0x9FB21C651E98DF25 & M
        h ^= (h >> 35) + n
        h = h * 0x9FB21C651E98DF25 & M
        return h ^ h >> 28
    if n <= 16:
        low = _u64(data, 0) ^ (_u64(SECRET, 24) ^ _u64(SECRET, 32))
        high = _u64(data, n - 8) ^ (_u64(SECRET, 40) ^ _u64(SECRET, 48))
        swapped = int.from_bytes(low.to_bytes(8, "little"), "big")
        return _avalanche((n + swapped + high + _fold(low, high)) & M)
    if n <= 128:
        h = n * P64[0] & M
        for i in reversed(range((n - 1) // 32 + 1)):
            h += _mix16(data, 16 * i, 32 * i) + _mix16(data, n - 16 * (i + 1), 32 * i + 16)
        return _avalanche(h & M)
    if n <= 240:
        h = n * P64[0] & M
        h += sum(_mix16(data, 16 * i, 16 * i) for i in range(8))
        h = _avalanche(h & M)
        h += sum(_mix16(data, 16 * i, 16 * (i - 8) + 3) for i in range(8, n // 16))
        return _avalanche((h + _mix16(data, n - 16, 136 - 17)) & M)
    return _xxh3_long(bytes(data))


def _xxh3_long(data):
    """More than 240 bytes: all stripes of a place in their blocks at once, which is what numpy is for."""
    n = len(data)
    per_block = (len(SECRET) - 64) // 8
    stripes = (n - 1) // 64
    blocks = (n - 1) // (64 * per_block)
    acc = np.array([P32[2], P64[0], P64[1], P64[2], P64[3], P32[1], P64[4], P32[0]], np.uint64)
    words = np.frombuffer(data[: stripes * 64], "<u8").reshape(stripes, 8)
    keys = np.array([[_u64(SECRET, 8 * s + 8 * lane) for lane in range(8)] for s in range(per_block)], np.uint64)
    swap = np.array([1, 0, 3, 2, 5, 4, 7, 6])
    low = np.uint64(0xFFFF_FFFF)

    def added(rows, secrets):
        keyed = rows ^ secrets
        return rows[:, swap] + (keyed & low) * (keyed >> np.uint64(32))

    scramble = np.array([_u64(SECRET, len(SECRET) - 64 + 8 * lane) for lane in range(8)], np.uint64)
    with np.errstate(over="ignore"):
        for block in range(blocks):
            rows = words[block * per_block : (block + 1) * per_block]
            acc += added(rows, keys).sum(axis=0, dtype=np.uint64)
            acc = (acc ^ acc >> np.uint64(47) ^ scramble) * np.uint64(P32[0])
        rows = words[blocks * per_block :]
        if len(rows):
            acc += added(rows, keys[: len(rows)]).sum(axis=0, dtype=np.uint64)
        last = np.frombuffer(data[n - 64 :], "<u8").reshape(1, 8)
        key = np.array([_u64(SECRET, len(SECRET) - 64 - 7 + 8 * lane) for lane in range(8)], np.uint64)
        acc += added(last, key[None])[0]
    lanes = [int(lane) for lane in acc]
    h = n * P64[0] & M
    for i in range(4):
        h += _fold(lanes[2 * i] ^ _u64(SECRET, 11 + 16 * i), lanes[2 * i + 1] ^ _u64(SECRET, 19 + 16 * i))
    return _avalanche(h & M)


# ---- the encoded layout ----------------------------------------------------------------------------------------------


@dataclass
class Field:
    name: str
    scalar: int
    length: int
    unit: str = ""
    description: str = ""

    @property
    def bytes(self):
        return np.dtype(TYPES[self.scalar]).itemsize * max(self.length, 1)


@dataclass
class Component:
    name: str
    toggle: bool
    tracked: bool
    scratch: bool
    fields: list


@dataclass
class Layout:
    name: str
    components: list
    resources: list


class Cursor:
    """Takes values from bytes, front to back."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        expect(self.at + n <= len(self.data), "it ends too early")
        self.at += n
        return self.data[self.at - n : self.at]

    def unpack(self, form):
        values = struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))
        return values if len(values) > 1 else values[0]

    def name(self):
        return bytes(self.take(self.unpack("B"))).decode("ascii")

    def text(self):
        return bytes(self.take(self.unpack("B"))).decode("utf-8")


def layout_of(data):
    """The layout that these bytes encode."""
    cursor = Cursor(data)
    magic, version, length, _bytes_max = cursor.unpack("4sIQQ")
    expect(magic == b"HYLA" and version == 1 and length == len(data), "not an encoded layout")
    components, resources, tables, _ = cursor.unpack("HHHH")

    def fields():
        out = []
        for _ in range(cursor.unpack("B")):
            name = cursor.name()
            scalar, flags, array_length = cursor.unpack("BBH")
            out.append(Field(name, scalar, array_length))
            if flags & 1:
                cursor.take(out[-1].bytes)
            if flags & 2:
                out[-1].unit, out[-1].description = cursor.text(), cursor.text()
        return out

    layout = Layout(cursor.name(), [], [])
    for _ in range(components):
        name, flags = cursor.name(), cursor.unpack("B")
        layout.components.append(Component(name, bool(flags & 1), bool(flags & 2), bool(flags & 4), fields()))
    for _ in range(resources):
        layout.resources.append((cursor.name(), fields()))
    for _ in range(tables):
        _rows, count = cursor.unpack("QH")
        cursor.take(2 * count)
    expect(cursor.at == len(data), "something follows the layout")
    return layout


# ---- a state: tables of columns --------------------------------------------------------------------------------------


@dataclass
class Column:
    kind: int
    field: int
    component: int
    row_bytes: int  # 0: one bit
    rows: bytes = b""
    stamps: bytes = b""


@dataclass
class Table:
    kind: int
    rows: int
    capacity: int
    components: list
    columns: list = field(default_factory=list)


def columns_of(layout, table):
    """The columns that a table has, in their order, empty."""
    if table.kind == 0:
        return [Column(LOCATION, 0, 0, 8), Column(GENERATION, 0, 0, 4)]
    if table.kind == 1:
        return [Column(RESOURCES, 0, 0, 1)]
    columns = [Column(HANDLE, 0, 0, 8)]
    for c in table.components:
        fields = [] if layout.components[c].scratch else layout.components[c].fields
        columns += [Column(FIELD, i, c, f.bytes) for i, f in enumerate(fields)]
    columns += [Column(PRESENCE, 0, c, 0) for c in table.components if layout.components[c].toggle]
    for c in table.components:
        if layout.components[c].tracked:
            columns += [Column(CHANGED, parity, c, 0) for parity in range(2)]
    return columns


def used_bytes(column, rows):
    return (rows + 63) // 64 * 8 if column.row_bytes == 0 else rows * column.row_bytes


@dataclass
class State:
    layout: Layout
    generation: int
    frame: int
    time: float
    tables: list

    @property
    def entities(self):
        return sum(table.rows for table in self.tables if table.kind == 2)

    def values(self, name):
        """All values of `component.field` of the entities that have it, table after table."""
        component, wanted = name.split(".")
        index = next(i for i, c in enumerate(self.layout.components) if c.name == component)
        declared = self.layout.components[index]
        place = next(i for i, f in enumerate(declared.fields) if f.name == wanted)
        out = []
        for table in self.tables:
            if table.kind != 2 or index not in table.components:
                continue
            column = next(c for c in table.columns if (c.kind, c.component, c.field) == (FIELD, index, place))
            rows = np.frombuffer(column.rows, TYPES[declared.fields[place].scalar])
            length = declared.fields[place].length
            rows = rows.reshape(table.rows, length) if length else rows
            if declared.toggle:
                bits = next(c for c in table.columns if (c.kind, c.component) == (PRESENCE, index))
                rows = rows[np.unpackbits(np.frombuffer(bits.rows, np.uint8), bitorder="little")[: table.rows] != 0]
            out.append(rows)
        return np.concatenate(out) if out else np.empty(0)

    def resource(self, name):
        """A resource's fields; None: it has no value."""
        data = self.tables[1].columns[0].rows
        at = (len(self.layout.resources) + 7) // 8 * 8
        for index, (resource, fields) in enumerate(self.layout.resources):
            if resource == name:
                if data[index] == 0:
                    return None
                values = {}
                for f in fields:
                    value = np.frombuffer(data[at : at + f.bytes], TYPES[f.scalar])
                    values[f.name] = value.tolist() if f.length else value[0].item()
                    at += f.bytes
                return values
            at = (at + sum(f.bytes for f in fields) + 7) // 8 * 8
        raise KeyError(name)

    def check(self):
        """What the page says that a reader checks once a state is there."""
        locations = np.frombuffer(self.tables[0].columns[0].rows, "<u8")
        generations = np.frombuffer(self.tables[0].columns[1].rows, "<u4")
        seen = 0
        for number, table in enumerate(self.tables[2:], 2):
            handles = np.frombuffer(table.columns[0].rows, "<u8")
            slots = (handles & 0xFFFF_FFFF).astype(np.int64)
            expect((slots < len(locations)).all(), "a handle names no slot")
            expect((generations[slots] == handles >> 32).all(), "a handle is of another generation than its slot")
            places = np.arange(table.rows, dtype=np.uint64) | np.uint64(number << 32)
            expect((locations[slots] == places).all(), "the entity map leads elsewhere")
            seen += table.rows
            for column in table.columns:
                stamps = np.frombuffer(column.stamps, "<u8")
                expect((stamps <= self.generation).all(), "a stamp is of a later generation")
                if column.row_bytes == 0 and table.rows:
                    bits = np.unpackbits(np.frombuffer(column.rows, np.uint8), bitorder="little")
                    expect(not bits[table.rows :].any(), "a bit beyond the rows is set")
        expect(int((locations != NO_ENTITY).sum()) == seen, "the entity map has other entities than the tables")


# ---- regions ---------------------------------------------------------------------------------------------------------


def region(path):
    """The newest published generation of a region that nobody writes now: copied, checked."""
    path = Path(path)
    descriptor = (path / "descriptor").read_bytes()
    expect(len(descriptor) >= 256, "the descriptor is too short")
    magic, order, version, _, _, incompatible = struct.unpack_from("<8sIIQQQ", descriptor)
    expect(magic == b"HYPOSTYL" and order == 0x0A0B0C0D and version == 1, "not a region")
    expect(incompatible == 0, "it has features that are not known here")
    layout_bytes, layout_hash = struct.unpack_from("<QQ", descriptor, 56)
    expect(len(descriptor) == 256 + layout_bytes, "the layout's length is wrong")
    expect(xxh3(descriptor[:248] + descriptor[256:]) == _u64(descriptor, 248), "the descriptor's checksum is wrong")
    layout = layout_of(descriptor[256:])
    control = (path / "control").read_bytes()
    expect(control[:8] == b"HYPOCTRL" and control[16:32] == descriptor[72:88], "the control page is another region's")
    word = _u64(control, 64)
    expect(word != 0, "nothing was published yet")
    generation, slot = word >> 16, word & 0xFFFF
    expect(slot < 512, "the directory slot is beyond the last")
    entry = struct.unpack_from("<QQQQ", control, 8192 + 32 * slot)
    expect(entry[0] == generation, "the directory slot is of another generation")
    data_bytes = _u64(control, 32)
    data = np.memmap(path / "data", np.uint8, "r", shape=(data_bytes,))
    expect(entry[1] + entry[2] <= data_bytes, "the directory lies outside the data")
    directory = data[entry[1] : entry[1] + entry[2]].tobytes()
    expect(xxh3(directory) == entry[3], "the directory's checksum is wrong")
    return _directory(layout, layout_hash, directory, data, generation)


def expect_own_components(tables):
    """Each set of components has one table; the entity map and the resources have no components."""
    expect(not any(table.components for table in tables[:2]), "one of the engine's own tables has components")
    sets = [tuple(table.components) for table in tables[2:]]
    expect(len(set(sets)) == len(sets), "two tables have the same components")


def _directory(layout, layout_hash, directory, data, generation):
    cursor = Cursor(directory)
    magic, version, count, number, frame, time, its_hash = cursor.unpack("8sIIQQdQ")
    expect(magic == b"HYGENDIR" and version == 1 and number == generation, "not this generation's directory")
    expect(its_hash == layout_hash, "the directory is of another layout")
    columns, ids, _ = cursor.unpack("IIQ")
    heads = [cursor.unpack("IIIIII") for _ in range(count)]
    entries = [cursor.unpack("BBHIQQQ") for _ in range(columns)]
    components = [cursor.unpack("H") for _ in range(ids)]
    expect(sum(head[2] for head in heads) == columns and sum(head[1] for head in heads) == ids, "the counts differ")
    tables, taken = [], []
    for kind, n_components, n_columns, rows, capacity, _ in heads:
        table = Table(kind, rows, capacity, components[:n_components])
        components = components[n_components:]
        table.columns = columns_of(layout, table)
        expect(len(table.columns) == n_columns and rows <= capacity, "a table has other columns than its layout")
        for column, entry in zip(table.columns, entries[:n_columns]):
            kind, place, component, row_bytes, offset, length, _moved = entry
            is_same = (kind, place, component, row_bytes) == (column.kind, column.field, column.component, column.row_bytes)
            expect(is_same, "a column is another one than its layout says")
            content = used_bytes(column, capacity)
            stamps_at = (content + 63) // 64 * 64
            chunks = (capacity + CHUNK_ROWS - 1) // CHUNK_ROWS
            expect(stamps_at + 8 * chunks <= length and 4096 <= offset and offset + length <= len(data), "an extent is wrong")
            taken.append((offset, offset + length))
            column.rows = data[offset : offset + used_bytes(column, rows)].tobytes()
            used_chunks = (rows + CHUNK_ROWS - 1) // CHUNK_ROWS
            column.stamps = data[offset + stamps_at : offset + stamps_at + 8 * used_chunks].tobytes()
        entries = entries[n_columns:]
        tables.append(table)
    taken.sort()
    expect(all(a[1] <= b[0] for a, b in zip(taken, taken[1:])), "two extents overlap")
    expect_own_components(tables)
    return State(layout, generation, frame, time, tables)


# ---- checkpoints -----------------------------------------------------------------------------------------------------


def decode(encoding, stored, length, item):
    """A chunk's or block's bytes."""
    encoding &= 0xFF
    if encoding == 0:
        out = bytes(stored)
    elif encoding in (1, 2):
        try:
            import zstandard
        except ImportError as error:
            raise RuntimeError("compressed bytes: install the Python package zstandard") from error
        out = zstandard.ZstdDecompressor().decompress(bytes(stored), max_output_size=length)
        if encoding == 2:
            whole = length // item * item
            planes = np.frombuffer(out[:whole], np.uint8).reshape(item, -1)
            out = planes.T.tobytes() + out[whole:]
    elif encoding == 3:
        words = length // 8
        flags = (words + 63) // 64
        bits = np.unpackbits(np.frombuffer(stored[: 8 * flags], np.uint8), bitorder="little")[:words]
        rest = flags * 8
        tail = b""
        has_tail = 0
        if length % 8:
            has_tail = _u64(stored, rest)
            rest += 8
        out = np.zeros(words * 8, np.uint8).reshape(words, 8)
        count = int(bits.sum())
        out[bits != 0] = np.frombuffer(stored[rest : rest + 8 * count], np.uint8).reshape(count, 8)
        rest += 8 * count
        if length % 8:
            tail = bytes(stored[rest : rest + length % 8]) if has_tail else bytes(length % 8)
            rest += length % 8 if has_tail else 0
        expect(rest == len(stored), "bytes are left over")
        out = out.tobytes() + tail
    else:
        raise Damaged(f"encoding {encoding} is unknown")
    expect(len(out) == length, "a chunk has another length than its table needs")
    return out


def _plane_bytes(layout, column, stamps):
    if stamps or column.kind in (HANDLE, LOCATION):
        return 8
    if column.kind == GENERATION:
        return 4
    if column.kind == FIELD:
        return np.dtype(TYPES[layout.components[column.component].fields[column.field].scalar]).itemsize
    return 8 if column.row_bytes == 0 else 1


def parts_of(state):
    """Every part of a state in order: its column, whether it is the stamps, and how many bytes it has."""
    for table in state.tables:
        for column in table.columns:
            chunks = (table.rows + CHUNK_ROWS - 1) // CHUNK_ROWS
            for stamps, length in ((False, used_bytes(column, table.rows)), (True, 8 * chunks)):
                yield table, column, stamps, length


def _tables(cursor, layout, end):
    tables = []
    while cursor.at < end:
        kind, rows, capacity, n = cursor.unpack("IIII")
        tables.append(Table(kind, rows, capacity, [cursor.unpack("H") for _ in range(n)]))
        expect(all(c < len(layout.components) for c in tables[-1].components), "a component is unknown")
        tables[-1].columns = columns_of(layout, tables[-1])
    expect_own_components(tables)
    return tables


def checkpoint(path):
    """A checkpoint's state, all of it checked."""
    data = Path(path).read_bytes()
    magic, order, version, _, incompatible, header, chunk_bytes = struct.unpack_from("<8sIIQQII", data)
    expect(magic == b"HYPOCKPT" and order == 0x0A0B0C0D and version == 1, "not a checkpoint")
    expect(incompatible == 0 and header == 256, "it has features that are not known here")
    layout_bytes, _hash, table_bytes, note_bytes, generation, frame = struct.unpack_from("<QQQQQQ", data, 40)
    time, _made, chunks, _plain = struct.unpack_from("<dQQQ", data, 88)
    end = 256 + layout_bytes + table_bytes + note_bytes
    checksum = _u64(data, 248)
    expect(xxh3(data[:248] + data[256:end]) == checksum, "the header's checksum is wrong")
    layout = layout_of(data[256 : 256 + layout_bytes])
    cursor = Cursor(data)
    cursor.at = 256 + layout_bytes
    state = State(layout, generation, frame, time, _tables(cursor, layout, 256 + layout_bytes + table_bytes))
    magic, whole, index_hash, its_checksum = struct.unpack_from("<8sQQQ", data, len(data) - 32)
    expect(magic == b"HYCKPEND" and whole == len(data) and its_checksum == checksum, "the trailer is wrong")
    index = data[len(data) - 32 - 16 * chunks : len(data) - 32]
    expect(xxh3(index) == index_hash, "the index's checksum is wrong")
    at, number = end, 0
    for _table, column, stamps, length in parts_of(state):
        out = []
        for start in range(0, length, chunk_bytes):
            stored, encoding, chunk_hash = struct.unpack_from("<IIQ", index, 16 * number)
            content = data[at : at + stored]
            expect(xxh3(content) == chunk_hash, f"the checksum of chunk {number} is wrong")
            plane = _plane_bytes(layout, column, stamps)
            out.append(decode(encoding, content, min(chunk_bytes, length - start), plane))
            at, number = at + stored, number + 1
        if stamps:
            column.stamps = b"".join(out)
        else:
            column.rows = b"".join(out)
    expect(number == chunks and at == len(data) - 32 - 16 * chunks, "there are other chunks than the tables need")
    state.check()
    return state


# ---- journals --------------------------------------------------------------------------------------------------------

BLOCK_BYTES = 1 << 20


def journal(path):
    """The states of a journal, one after the other: the checkpoint of the first segment, then each record.

    The chain is followed from segment to segment. Whether the recording was finished is what the generator returns.
    """
    segments = sorted(Path(path).glob("*.journal"))
    expect(segments, "there is no segment")
    recording, before, follows = None, (0, 0), None
    for segment in segments:
        data = segment.read_bytes()
        file = segment.with_suffix(".checkpoint")
        state = checkpoint(file)
        own, generation, frame, time, previous, chain, identity = struct.unpack_from("<QQQdQQQ", data, 48)
        expect(segment.name == f"{generation:015}.journal", "a segment has another name than its generation")
        expect(recording in (None, own), "a segment is of another recording")
        expect((previous, chain) == before, "segments or records before one are missing")
        expect(follows in (None, generation), "a segment is missing")
        expect(xxh3(file.read_bytes()[-32:]) == identity, "a checkpoint is not its segment's")
        expect((state.generation, state.frame, state.time) == (generation, frame, time), "a checkpoint is of another time")
        recording = own
        if before[0] != generation:
            yield state
        before, follows = yield from _records(data, state)
    expect(not follows, "the last segment is missing")
    return follows == 0


def _records(data, state):
    """The states that a segment's records lead to; returns its last generation with its chain, and what follows it."""
    magic, order, version, _, incompatible, header = struct.unpack_from("<8sIIQQI", data)
    expect(magic == b"HYPOJRNL" and order == 0x0A0B0C0D and version == 2 and header == 128, "not a segment")
    expect(incompatible == 0, "it has features that are not known here")
    expect(xxh3(data[:120]) == _u64(data, 120), "the segment's checksum is wrong")
    expect(_u64(data, 56) == state.generation, "the segment begins with another generation than its checkpoint")
    at, chain = 128, _u64(data, 120)
    while data[at : at + 8] == b"HYJRECRD":
        length, head_bytes, to, since, frame, time = struct.unpack_from("<QQQQQd", data, at + 8)
        table_bytes, runs, blocks, _, checksum = struct.unpack_from("<IIIIQ", data, at + 56)
        head = data[at : at + head_bytes]
        expect(xxh3(head[:72] + head[80:]) == checksum, "a record's checksum is wrong")
        expect(since == state.generation, "a record leads from another generation")
        chain = xxh3(struct.pack("<QQ", chain, checksum))
        if table_bytes:
            cursor = Cursor(head)
            cursor.at = 80
            _take_tables(state, _tables(cursor, state.layout, 80 + table_bytes))
        _apply(state, head[80 + table_bytes :], runs, blocks, data[at + head_bytes : at + length])
        state.generation, state.frame, state.time = to, frame, time
        state.check()
        yield state
        at += length
    if data[at : at + 8] != b"HYJINDEX":
        return (state.generation, chain), None
    records, follows, told = struct.unpack_from("<QQQ", data, at + 8)
    length, checksum, magic = struct.unpack("<QQ8s", data[-24:])
    expect(magic == b"HYJRNEND" and length == len(data) - at == 56 + 32 * records, "the index is wrong")
    expect(checksum == xxh3(data[at:-16]) and told == chain, "the index is of other records")
    return (state.generation, chain), follows


def _take_tables(state, tables):
    """Other tables: a part of the same table and column keeps its bytes, cut off or with zeros behind."""
    for number, table in enumerate(tables):
        old = state.tables[number].columns if number < len(state.tables) else []
        for column in table.columns:
            key = (column.kind, column.field, column.component)
            same = next((c for c in old if (c.kind, c.field, c.component) == key), None)
            column.rows = same.rows if same else b""
            column.stamps = same.stamps if same else b""
    state.tables = tables
    for table, column, stamps, length in parts_of(state):
        name = "stamps" if stamps else "rows"
        setattr(column, name, getattr(column, name)[:length].ljust(length, b"\0"))


def _apply(state, head, runs, blocks, content):
    parts = list(parts_of(state))
    run_list = [struct.unpack_from("<III", head, 12 * i) for i in range(runs)]
    block_list = [struct.unpack_from("<IIQ", head, 12 * runs + 16 * i) for i in range(blocks)]
    at, next_block = 0, 0
    while run_list:
        number = run_list[0][0]
        _table, column, stamps, length = parts[number]
        piece = 8192 if stamps else 128 if column.row_bytes == 0 else CHUNK_ROWS * column.row_bytes
        ranges = []
        while run_list and run_list[0][0] == number:
            _, first, count = run_list.pop(0)
            ranges.append((first * piece, min((first + count) * piece, length)))
        total = sum(end - start for start, end in ranges)
        bytes_, replaces = [], True
        for start in range(0, total, BLOCK_BYTES):
            stored, encoding, block_hash = block_list[next_block]
            block = content[at : at + stored]
            expect(xxh3(block) == block_hash, "a block's checksum is wrong")
            replaces = replaces and bool(encoding & 0x100)
            plane = _plane_bytes(state.layout, column, stamps)
            bytes_.append(decode(encoding, block, min(BLOCK_BYTES, total - start), plane))
            at, next_block = at + stored, next_block + 1
        new = np.frombuffer(b"".join(bytes_), np.uint8)
        name = "stamps" if stamps else "rows"
        part = np.frombuffer(getattr(column, name), np.uint8).copy()
        done = 0
        for start, end in ranges:
            piece_bytes = new[done : done + end - start]
            part[start:end] = piece_bytes if replaces else part[start:end] ^ piece_bytes
            done += end - start
        setattr(column, name, part.tobytes())
    expect(next_block == len(block_list) and at == len(content), "blocks are left over")


# ---- traces ----------------------------------------------------------------------------------------------------------


@dataclass
class Trace:
    systems: list
    stages: list
    batches: list
    rings: list  # of each ring: its events as (kind, flags, a, start, duration, subject, b, c)


def trace(path):
    """A trace's names and the events that its rings still have."""
    data = Path(path).read_bytes()
    magic, version, rings, events, name_bytes, name_hash = struct.unpack_from("<8sIIQQQ", data)
    expect(magic == b"HYPOTRCE" and version == 1 and events & (events - 1) == 0, "not a trace")
    names = data[4096 : 4096 + name_bytes]
    expect(xxh3(names) == name_hash, "the names' checksum is wrong")
    cursor = Cursor(names)
    systems, stages, batches = cursor.unpack("III")
    text = lambda: bytes(cursor.take(cursor.unpack("H"))).decode()
    found = Trace([text() for _ in range(systems)], [text() for _ in range(stages)], [], [])
    for _ in range(batches):
        stage, count = cursor.unpack("II")
        found.batches.append((stage, [cursor.unpack("I") for _ in range(count)]))
    pages = lambda n: (n + 4095) // 4096 * 4096
    at = 4096 + pages(name_bytes)
    for _ in range(rings):
        head = _u64(data, at)
        ring = []
        for number in range(max(0, head - events), head):
            event = data[at + 4096 + number % events * 32 :][:32]
            its_number, kind, flags, a, start = struct.unpack_from("<IBBHQ", event)
            if its_number == (number + 1) & 0xFFFF_FFFF:
                duration, subject = int.from_bytes(event[16:21], "little"), int.from_bytes(event[21:24], "little")
                ring.append((kind, flags, a, start, duration, subject, *struct.unpack_from("<II", event, 24)))
        found.rings.append(ring)
        at += pages(4096 + 32 * events)
    return found
