"""Write docs/schema/rollout-guard.schema.json, which editors read; a test holds it fresh."""

from __future__ import annotations

import json
from pathlib import Path

from rollout_server.domain.files import schema

TARGET = Path(__file__).resolve().parents[1] / "docs" / "schema" / "rollout-guard.schema.json"

TARGET.parent.mkdir(parents=True, exist_ok=True)
TARGET.write_text(json.dumps(schema(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
print(f"wrote {TARGET}")
