"""XXH3-64 with seed 0, after its public description (xxHash, doc/xxhash_spec.md): the standard library has none."""

import struct

MASK = (1 << 64) - 1
P32 = (0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D)
P64 = (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5)
SECRET = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671fcb79e64eccc0e578825ad07dccff7221"
    "b8084674f743248ee03590e6813a264c3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8"
    "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364eac5ac8334d3ebc3c581a0fffa1363eb"
    "170ddd51b7f0da49d316552629d4689e2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e"
)


def u32(data, at):
    return struct.unpack_from("<I", data, at)[0]


def u64(data, at):
    return struct.unpack_from("<Q", data, at)[0]


def fold(a, b):
    product = a * b
    return (product & MASK) ^ (product >> 64)


def avalanche(h):
    h ^= h >> 37
    h = h * 0x165667919E3779F9 & MASK
    return h ^ h >> 32


def avalanche_old(h):
    h ^= h >> 33
    h = h * P64[1] & MASK
    h ^= h >> 29
    h = h * P64[2] & MASK
    return h ^ h >> 32


def rotate(value, bits):
    return (value << bits | value >> 64 - bits) & MASK


def mix16(data, at, secret_at):
    return fold(u64(data, at) ^ u64(SECRET, secret_at), u64(data, at + 8) ^ u64(SECRET, secret_at + 8))


def short(data):
    n = len(data)
    if n == 0:
        return avalanche_old(u64(SECRET, 56) ^ u64(SECRET, 64))
    if n <= 3:
        combined = data[0] << 16 | data[n >> 1] << 24 | data[n - 1] | n << 8
        return avalanche_old(combined ^ u32(SECRET, 0) ^ u32(SECRET, 4))
    if n <= 8:
        h = (u32(data, n - 4) + (u32(data, 0) << 32)) ^ u64(SECRET, 8) ^ u64(SECRET, 16)
        h ^= rotate(h, 49) ^ rotate(h, 24)
        h = h * 0x9FB21C651E98DF25 & MASK
        h ^= (h >> 35) + n
        h = h * 0x9FB21C651E98DF25 & MASK
        return h ^ h >> 28
    low = u64(data, 0) ^ u64(SECRET, 24) ^ u64(SECRET, 32)
    high = u64(data, n - 8) ^ u64(SECRET, 40) ^ u64(SECRET, 48)
    swapped = int.from_bytes(low.to_bytes(8, "little"), "big")
    return avalanche(n + swapped + high + fold(low, high) & MASK)


def middle(data):
    n = len(data)
    h = n * P64[0] & MASK
    if n <= 128:
        for pair in range((n - 1) // 32, -1, -1):
            h += mix16(data, 16 * pair, 32 * pair) + mix16(data, n - 16 * (pair + 1), 32 * pair + 16)
        return avalanche(h & MASK)
    for i in range(8):
        h += mix16(data, 16 * i, 16 * i)
    h = avalanche(h & MASK)
    for i in range(8, n // 16):
        h += mix16(data, 16 * i, 16 * (i - 8) + 3)
    return avalanche(h + mix16(data, n - 16, 119) & MASK)


def xxh3(data):
    """The hash of bytes."""
    data = bytes(data)
    n = len(data)
    if n <= 16:
        return short(data)
    if n <= 240:
        return middle(data)
    lanes = [P32[2], P64[0], P64[1], P64[2], P64[3], P32[1], P64[4], P32[0]]
    secret = {at: struct.unpack_from("<8Q", SECRET, at) for at in [*range(0, 129, 8), 121]}

    def stripe(at, keys):
        words = struct.unpack_from("<8Q", data, at)
        for i in range(8):
            keyed = words[i] ^ keys[i]
            lanes[i ^ 1] += words[i]
            lanes[i] = lanes[i] + (keyed & 0xFFFFFFFF) * (keyed >> 32) & MASK
        for i in range(8):
            lanes[i] &= MASK

    blocks = (n - 1) // 1024
    for block in range(blocks):
        for i in range(16):
            stripe(1024 * block + 64 * i, secret[8 * i])
        for i, key in enumerate(secret[128]):
            lane = lanes[i]
            lanes[i] = (lane ^ lane >> 47 ^ key) * P32[0] & MASK
    for i in range((n - 1 - 1024 * blocks) // 64):
        stripe(1024 * blocks + 64 * i, secret[8 * i])
    stripe(n - 64, secret[121])
    h = n * P64[0] & MASK
    for i in range(4):
        h += fold(lanes[2 * i] ^ u64(SECRET, 11 + 16 * i), lanes[2 * i + 1] ^ u64(SECRET, 19 + 16 * i))
    return avalanche(h & MASK)
