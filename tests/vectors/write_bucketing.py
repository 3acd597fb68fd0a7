"""Write bucketing.json from law 1 as DESIGN section 6 states it, with a MurmurHash3 of our own.

    python -m tests.vectors.write_bucketing

The law is frozen: a run that changes the file has found a fault in this script, not in the file.
"""

import base64
import hashlib
import json
from pathlib import Path

from tests.murmur3 import murmur3_x86_32

VECTORS = Path(__file__).with_name("bucketing.json")
SHARES_PPM = [0, 1, 250_000, 999_999, 1_000_000]
RESOURCES = ["checkout-v2", "new-cart", "a", "0", "a.b_c-d", "x" * 128, *(f"flag-{number}" for number in range(10))]
KEYS = [
    "a",
    "u-1",
    "user-42",
    ".",
    " ",
    "UPPER and lower",
    '"quoted"\\',
    "\x00\x7f",
    "x" * 63,
    "x" * 64,
    "x" * 65,
    "x" * 1000,
    "mia@example.com",
    "6f1c8a52-3c54-4a7b-9d0e-0a4d7f3f6b11",
    "é",
    "é" * 32,
    "é" * 64,
    "사용자-1",
    "👩‍🚀",
    "\u202e abc",
    "e\u0301",  # e and a combining accent: another key than the one above
    *(f"unit-{number}" for number in range(40)),
]


def salt16(resource: str) -> str:
    return base64.b32encode(hashlib.sha256(resource.encode()).digest()).decode().lower()[:16]


def unit64(key: str) -> str:
    if len(key) <= 64 and all(ord(character) < 128 for character in key):
        return "." * (64 - len(key)) + key
    return hashlib.sha256(key.encode()).hexdigest()


def placed(salt: str, key: str) -> dict[str, object]:
    hashed = murmur3_x86_32(b"xP" + salt.encode() + unit64(key).encode())
    bucket = (hashed * 1_000_000) >> 32
    inside = [bucket < share for share in SHARES_PPM]
    return {"salt": salt, "key": key, "hash": hashed, "bucket": bucket, "inside": inside}


def vectors() -> dict[str, object]:
    salts = [*(salt16(resource) for resource in RESOURCES[:6]), "0123456789abcdef", "----------------"]
    return {
        "law": 1,
        "shares_ppm": SHARES_PPM,
        "salts": [{"resource": resource, "salt": salt16(resource)} for resource in RESOURCES],
        "units": [{"key": key, "unit64": unit64(key)} for key in ["", *KEYS]],
        "buckets": [placed(salt, key) for salt in salts for key in KEYS],
    }


def text() -> str:
    """One vector a line: a difference shows which."""
    parts = []
    for name, value in vectors().items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            lines = ",\n    ".join(json.dumps(each, ensure_ascii=True) for each in value)
            parts.append(f'  "{name}": [\n    {lines}\n  ]')
        else:
            parts.append(f'  "{name}": {json.dumps(value)}')
    return "{\n" + ",\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    VECTORS.write_text(text(), encoding="utf-8")
