"""MurmurHash3_x86_32 written from its description, so that no library vouches for itself."""

MASK = 0xFFFFFFFF


def _rotated(word: int, bits: int) -> int:
    return ((word << bits) | (word >> (32 - bits))) & MASK


def _scrambled(block: int) -> int:
    return _rotated(block * 0xCC9E2D51 & MASK, 15) * 0x1B873593 & MASK


def murmur3_x86_32(data: bytes, seed: int = 0) -> int:
    state = seed
    whole = len(data) - len(data) % 4
    for at in range(0, whole, 4):
        state ^= _scrambled(int.from_bytes(data[at : at + 4], "little"))
        state = (_rotated(state, 13) * 5 + 0xE6546B64) & MASK
    if whole < len(data):
        state ^= _scrambled(int.from_bytes(data[whole:], "little"))
    state ^= len(data)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        state = (state ^ (state >> shift)) * factor & MASK
    return state ^ (state >> 16)
