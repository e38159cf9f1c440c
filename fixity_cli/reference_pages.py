"""Pages of the reference that are made from the code: catalog, words and checks, tables, the platform.

Each function returns a page in Markdown. The command's own page is in `reference`, which writes all of them.
What a page says of a key, a word or a column stands where that is defined, not here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from inspect import cleandoc
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from fixity_cli.explain import all_definitions, words

if TYPE_CHECKING:
    import dagster as dg
    import pyarrow as pa
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

MADE = "<!-- Made by `python -m fixity_cli.reference`. -->"
_BY_NAME = {
    "Store": "a store",
    "Bucket": "a bucket",
    "Pair": "a pair",
    "Policy": "a policy",
    "Queue": "a queue",
}
_TIMES = (("d", timedelta(days=1)), ("m", timedelta(minutes=1)), ("s", timedelta(seconds=1)))
_UNITS = (("TiB", 1024**4), ("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024))


def catalog() -> str:
    """All keys of `fixity.yaml`."""
    from fixity.catalog import Catalog

    lines = _beginning(
        "The catalog",
        "What you write in `fixity.yaml`, or in the file that `--catalog` or `FIXITY_CATALOG` names. A wrong "
        "catalog is refused when it is loaded, with the file, the key and the right form. One place has one "
        "name: a bucket inside another one (prefixes and directories count), or a lake inside a bucket, is "
        "refused. Credentials never stand here: see [permissions](../how-to/permissions.md).",
        "Sizes are written `20GiB`, `5MB` or as a number of bytes, and lengths of time `15m`, `2h 30m` or "
        "`90d`. [Other stores](../how-to/other-stores.md) says what may be named as a bucket.",
    )
    for title, part in _parts("the file", Catalog, set()):
        lines += ["", f"## Keys of {title}", ""]
        lines += [] if part is Catalog else [cleandoc(part.__doc__ or ""), ""]
        lines += _table(("key", "meaning", "default"), _keys(part))
    return _page(lines)


def _parts(title: str, part: type[BaseModel], seen: set[type]) -> Iterator[tuple[str, type[BaseModel]]]:
    """A part of the catalog and all parts that its keys hold, each with its title."""
    from fixity.catalog.errors import fields_by_key, meanings, part_in

    seen.add(part)
    yield title, part
    fields = fields_by_key(part)
    for name in meanings(part):
        within = part_in(fields[name].annotation)
        if within and within not in seen:
            yield from _parts(_title(name, within), within, seen)


def _title(key: str, part: type[BaseModel]) -> str:
    return _BY_NAME.get(part.__name__, f"`{key}`")


def _keys(part: type[BaseModel]) -> Iterator[tuple[str, str, str]]:
    from fixity.catalog.errors import fields_by_key, meanings, part_in

    fields = fields_by_key(part)
    for name, meaning in meanings(part).items():
        field = fields[name]
        within, choices = part_in(field.annotation), _choices(field.annotation)
        if choices:
            meaning += f" One of {', '.join(f'`{each}`' for each in choices)}."
        if within:
            title = _title(name, within)
            meaning += f" See [keys of {title}](#keys-of-{title.strip('`').replace(' ', '-')})."
        yield f"`{name}`", meaning, "**required**" if field.is_required() else _default(field)


def _choices(annotation: object) -> list[str]:
    """The words that a value may be; none where a mapping holds them."""
    if get_origin(annotation) is Literal:
        return [str(each) for each in get_args(annotation)]
    if get_origin(annotation) is dict:
        return []
    return [choice for each in get_args(annotation) for choice in _choices(each)]


def _default(field: FieldInfo) -> str:
    """The default as it would be written in the file; nothing where the meaning says it."""
    match field.default:
        case bool(value):
            return f"`{str(value).lower()}`"
        case int(value):
            size = next(
                (f"{value // size}{unit}" for unit, size in _UNITS if value and not value % size), value
            )
            return f"`{size}`"
        case timedelta() as value:
            unit = next(each for each, size in _TIMES if not value % size)
            return f"`{value // dict(_TIMES)[unit]}{unit}`"
        case str(value) if value:
            return f"`{value}`"
    return ""


def words_and_checks() -> str:
    """All words that the platform says, with what to do."""
    lines = _beginning(
        "Words and checks",
        "What the platform says, what it means, and what to do. `fixity explain WORD` prints the same. A "
        "store's own error codes are not listed: the text beside such a code is the store's.",
    )
    kinds: dict[str, list[tuple[str, str, str]]] = {}
    for each in words():
        kinds.setdefault(each.kind, []).append((f"`{each.word}`", f"{each.means}.", each.to_do))
    for kind, rows in kinds.items():
        lines += ["", f"## {kind[0].upper()}{kind[1:]}", "", *_table(("word", "meaning", "what to do"), rows)]
    return _page(lines)


def tables() -> str:
    """The columns of the lake's tables."""
    from fixity import tables as known
    from fixity.reports.columns import COLUMNS, COPIES_COLUMNS, OF_A_COPY, OF_THE_SOURCE

    schemas: list[tuple[str, str, pa.Schema]] = [
        ("Inventory", "`inventory/<bucket>/<run id>.parquet`: one row an object as listed.", known.INVENTORY),
        ("The ledger", "`checksums/<bucket>/<run id>.parquet`: one row a check, by key.", known.CHECKSUMS),
        ("Baselines", "`baselines/`: one row a record of a checksum that ingest found.", known.BASELINES),
        ("Ingest report", "`…_ingest-report.csv`: one row an object, by its newest check.", known.INGEST),
        ("Tags", "`tags/`: one row an object whose checksum was to be written into its tags.", known.TAGS),
        ("Restores", "`restored/`: one row an archived object.", known.RESTORED),
        ("Incidents", "`incidents/<id>/`: one row an event of an incident.", known.INCIDENT_EVENTS),
        ("Drills", "`drills/<bucket>/<id>/`: one row an object that was damaged on purpose.", known.DRILLS),
    ]
    lines = _beginning(
        "Tables",
        "The columns of the lake's tables. [Paths of the lake](lake.md) says where they are, and "
        "[words](words.md) what a status or a verdict means. Times are UTC, checksums lower-case hex. In a "
        "lake of an earlier version, missing columns are NULL.",
    )
    titles = ("column", "type", "meaning")
    lines += ["", "## A pair's report", ""]
    lines += ["`<pair>_checksum-report.csv`: one row an object, sorted by key. The first seven columns and"]
    lines += ["the first six status words are those of DuraCloud's checksum report.", ""]
    lines += _table(titles, ((f"`{name}`", *each) for name, each in COLUMNS.items()))
    lines += ["", "## The report of all copies", ""]
    lines += ["`<pair>_copies-report.csv`, of a pair with `replicas`: one row an object, sorted by key."]
    lines += ["Below, `S` is the name of the source bucket, and `R` that of each replica, in the catalog's"]
    lines += ["order: the column of the checksum of `wasabi` is `wasabi:checksum`.", ""]
    of_all = [*COPIES_COLUMNS.items(), *((f"S:{name}", text) for name, text in OF_THE_SOURCE.items())]
    of_all += [(f"R:{name}", text) for name, (_, text) in OF_A_COPY.items()]
    lines += _table(("column", "meaning"), ((f"`{name}`", text) for name, text in of_all))
    for title, what, schema in schemas:
        columns = ((f"`{field.name}`", str(field.type), _described(field)) for field in schema)
        lines += ["", f"## {title}", "", what, "", *_table(titles, columns)]
    return _page(lines)


def _described(field: pa.Field) -> str:
    return str((field.metadata or {})[b"description"], "utf-8")


def platform() -> str:
    """The assets, jobs, schedules and sensors, as the UI names and describes them."""
    import dagster as dg

    found = all_definitions()
    lines = _beginning(
        "Assets, jobs, schedules and sensors",
        "What the Dagster UI shows. What your catalog has no use for is not there. [Words](words.md) says "
        "what each check means, and what to do where it is red.",
    )
    lines += ["", "## Assets"]
    for asset in found.assets or ():
        assert isinstance(asset, dg.AssetsDefinition)
        lines += _asset(asset)
    kinds: list[tuple[str, Iterable[Any]]] = [
        ("Jobs", found.jobs or ()),
        ("Schedules", found.schedules or ()),
        ("Sensors", found.sensors or ()),
    ]
    for title, definitions in kinds:
        rows = ((f"`{each.name}`", " ".join((each.description or "").split())) for each in definitions)
        lines += ["", f"## {title}", "", *_table(("name", "what it does"), sorted(rows))]
    return _page(lines)


def _asset(asset: dg.AssetsDefinition) -> Iterator[str]:
    import dagster as dg

    yield from ("", f"### {asset.key.to_user_string()}", "")
    yield (asset.descriptions_by_key[asset.key] or "").strip()
    match asset.partitions_def:
        case dg.StaticPartitionsDefinition() as static:
            partition = "a pair" if static.get_partition_keys() == ["a"] else "a bucket"
        case None:
            partition = "none"
        case _:
            partition = "a map"
    checks = ", ".join(f"`{check.name}`" for check in asset.check_specs)
    yield from ("", f"Partition: {partition}. Checks: {checks or 'none'}.")


def _table(titles: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(titles)} |"
    yield f"|{'---|' * len(titles)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"


def _beginning(title: str, *paragraphs: str) -> list[str]:
    return [f"# {title}", "", MADE, *(line for each in paragraphs for line in ("", each))]


def _page(lines: Iterable[str]) -> str:
    return "\n".join(lines) + "\n"
