"""The contents of a package for machines, as RO-Crate 1.1. What they are does not belong here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from fixity.evidence.order import Order

_CONTEXT = "https://w3id.org/ro/crate/1.1"
_FILE = "ro-crate-metadata.json"


def write_crate(data: Path, order: Order, parts: Mapping[str, str], software: str, now: datetime) -> None:
    """Write the metadata of the package `data`.

    Arguments: `parts`, what each file or folder is, by its name; those that are not there are left out.
    """
    there = {name: text for name, text in parts.items() if (data / name).exists()}
    program = {"@id": "#software", "@type": "SoftwareApplication", "name": software}
    made = {
        "@id": "#made",
        "@type": "CreateAction",
        "instrument": {"@id": "#software"},
        "result": {"@id": "./"},
        "endTime": now.isoformat(),
    }
    root = {
        "@id": "./",
        "@type": "Dataset",
        "name": "Evidence of fixity",
        "description": f"Checks of {', '.join(order.buckets)}, their figures, and the log of them",
        "datePublished": now.isoformat(),
        "temporalCoverage": f"{order.since.isoformat()}/{order.until.isoformat()}",
        "license": "For those to whom the archive gives it",
        "hasPart": [{"@id": name} for name in there],
        "mentions": {"@id": "#made"},
    }
    descriptor = {
        "@id": _FILE,
        "@type": "CreativeWork",
        "about": {"@id": "./"},
        "conformsTo": {"@id": _CONTEXT},
    }
    graph: list[dict[str, Any]] = [descriptor, root, made, program]
    graph += [
        {"@id": name, "@type": "Dataset" if name.endswith("/") else "File", "description": text}
        for name, text in there.items()
    ]
    text = json.dumps({"@context": f"{_CONTEXT}/context", "@graph": graph}, indent=1, ensure_ascii=False)
    (data / _FILE).write_text(text + "\n", encoding="utf-8")
