"""Records: which there are, in which order they count, and what is said of those that cannot be used."""

from __future__ import annotations

import base64
import hashlib
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from devstack.moto_server import MotoServer
from devstack.seaweedfs import REGION
from fixity.buckets import ListedObject, ObjectSkipped
from fixity.buckets.s3.attributes import Attributes
from fixity.catalog import Algorithm, Store
from fixity.catalog.clients import s3_client
from fixity.digests.algorithms import algorithm_named, as_hex
from fixity.ingest.records import GivenWrong, keep_given, read_given
from fixity.ingest.records.attributes import attribute_records, from_head, from_tags
from fixity.ingest.records.by_hand import given_records
from fixity.ingest.records.record import SOURCES, Record, rank
from fixity.lake import LocalLake
from fixity.ledger.judge import strength
from tests.fixity.buckets.scripted import ScriptedServer, answer
from tests.fixity.ingest.test_restore import head
from tests.fixity.support import NOON, listed, s3_store

MD5, SHA256 = hashlib.md5(b"abc").hexdigest(), hashlib.sha256(b"abc").hexdigest()
ITEM = ListedObject("a", "v1", True, 3, MD5, NOON, "STANDARD")


def said(records: Any) -> list[tuple[str, str | None, str | None]]:
    return [(record.source, record.algorithm, record.checksum) for record in records]


@pytest.mark.parametrize(
    ("of", "records"),
    [
        ({"md5": MD5}, [("object-etag", "MD5", MD5)]),
        ({"etag": f"{MD5}-2"}, []),
        ({"metadata": {"md5": MD5.upper()}}, [("object-metadata", "MD5", MD5)]),
        (
            {"metadata": {"sha256": base64.b64encode(bytes.fromhex(SHA256)).decode()}},
            [("object-metadata", "SHA256", SHA256)],
        ),
        ({"metadata": {"md5": "none"}}, [("object-metadata", "MD5", None)]),
        (
            {"checksums": {"SHA256": base64.b64encode(bytes.fromhex(SHA256)).decode()}},
            [("s3-checksum", "SHA256", SHA256)],
        ),
    ],
)
def test_what_a_head_records(of: dict[str, Any], records: list[tuple[str, str, str]]) -> None:
    assert said(from_head(ITEM, head(**of))) == records


SHA256_64 = base64.b64encode(bytes.fromhex(SHA256)).decode()
IN_PARTS, KMS = f'ETag: "{MD5}-2"', "x-amz-server-side-encryption: aws:kms"
OWN_KEY = "x-amz-server-side-encryption-customer-algorithm: AES256"
WHOLE, COMPOSITE = "x-amz-checksum-type: FULL_OBJECT", "x-amz-checksum-type: COMPOSITE"


@pytest.mark.parametrize(
    ("headers", "etag_is_md5", "md5", "checksums"),
    [
        ([f'ETag: "{MD5}"'], True, MD5, []),
        ([f'ETag: W/"{MD5.upper()}"'], True, MD5, []),
        ([f'ETag: "{MD5}"', "x-amz-server-side-encryption: AES256"], True, MD5, []),
        ([f'ETag: "{MD5}"'], False, None, []),
        ([f'ETag: "{MD5}"', KMS], True, None, []),
        ([f'ETag: "{MD5}"', f"{KMS}:dsse"], True, None, []),
        ([f'ETag: "{MD5}"', OWN_KEY], True, None, []),
        ([f'ETag: "{MD5}"', "x-amz-mp-parts-count: 2"], True, None, []),
        ([IN_PARTS], True, None, []),
        # A checksum without its type is one of the whole object only of an upload in one part.
        ([f'ETag: "{MD5}"', "sha256"], True, MD5, ["SHA256"]),
        ([f'ETag: "{MD5}"', KMS, "sha256"], True, None, ["SHA256"]),
        ([f'ETag: "{MD5}"', "sha256"], False, None, []),
        ([f'ETag: "{MD5}"', "sha256", WHOLE], False, None, ["SHA256"]),
        ([f'ETag: "{MD5}"', "crc32", "x-amz-mp-parts-count: 2"], True, None, []),
        (['ETag: "of-another-form"', "crc32"], True, None, []),
        ([IN_PARTS, "sha256"], True, None, []),
        ([IN_PARTS, "crc32"], True, None, []),
        ([IN_PARTS, "crc32", WHOLE], True, None, ["CRC32"]),
        ([IN_PARTS, "crc32", COMPOSITE], True, None, []),
        ([IN_PARTS, "sha256", WHOLE], True, None, []),
        ([f'ETag: "{MD5}"', f"x-amz-checksum-sha256: {SHA256_64}-2", WHOLE], True, MD5, []),
        ([f'ETag: "{MD5}"', "sha256", COMPOSITE], True, MD5, []),
        # Google's, of one object and of a composite one.
        ([f'ETag: "{MD5}"', "x-goog-hash: crc32c=AAAAAA==,md5=x"], True, MD5, ["CRC32C"]),
        (['ETag: "-CJf+"', "x-goog-hash: crc32c=AAAAAA=="], True, None, ["CRC32C"]),
    ],
)
def test_only_what_is_known_to_be_of_the_whole_object_is_a_record(
    headers: list[str], etag_is_md5: bool, md5: str | None, checksums: list[str]
) -> None:
    stored = {"sha256": f"x-amz-checksum-sha256: {SHA256_64}", "crc32": "x-amz-checksum-crc32: AAAAAA=="}
    said_ = answer(b"", *(stored.get(each, each) for each in headers))
    with ScriptedServer([said_]) as server:
        store = Store(name="s", endpoint_url=f"http://127.0.0.1:{server.port}", region=REGION)
        found = Attributes(s3_client(store), "b", etag_is_md5=etag_is_md5).head("k")
    assert (found.md5, list(found.checksums)) == (md5, checksums)


def test_a_head_without_a_length_is_a_head() -> None:
    with ScriptedServer([answer(b"", f'ETag: "{MD5}"', length=False)]) as server:
        store = Store(name="s", endpoint_url=f"http://127.0.0.1:{server.port}", region=REGION)
        assert Attributes(s3_client(store), "b").head("k").size is None


def test_what_tags_record() -> None:
    tags = {"computed-md5": MD5, "computed-sha256": SHA256, "computed-md5-last-modified": "1", "md5": "x"}
    assert said(from_tags(ITEM, tags)) == [
        ("object-tagging", "MD5", MD5),
        ("object-tagging", "SHA256", SHA256),
    ]


def test_no_crc_stands_before_a_cryptographic_record_then_kinds_and_the_buckets_own_algorithm_count() -> None:
    assert SOURCES == (
        "api", "manifest", "object-tagging", "object-metadata", "s3-checksum", "object-etag"
    )  # fmt: skip
    algorithms: list[Algorithm | None] = ["MD5", "SHA256", "SHA512", "CRC32", None]
    ordered = sorted(
        ((source, each) for source in reversed(SOURCES) for each in algorithms),
        key=lambda record: rank(record[0], record[1], "MD5"),
    )
    assert ordered == [
        *((source, each) for source in SOURCES for each in ("MD5", "SHA512", "SHA256")),
        *((source, each) for source in SOURCES for each in ("CRC32", None)),
    ]
    # The same order as where a check is judged, and where the ledger is folded.
    by_strength = sorted(ordered, key=lambda record: strength(record[0], record[1] or ""), reverse=True)
    assert by_strength == ordered


def test_stored_checksums_tags_and_metadata_are_read_over_the_wire(moto_server: MotoServer) -> None:
    bucket = f"baselines-{uuid4()}"
    s3 = s3_client(Store(name="moto", endpoint_url=moto_server.endpoint_url, region=REGION))
    s3.create_bucket(Bucket=bucket)
    s3.put_object(
        Bucket=bucket,
        Key="p/a",
        Body=b"abc",
        ChecksumAlgorithm="SHA256",
        Metadata={"SHA1": "x"},
        Tagging=f"computed-md5={MD5}",
    )
    (item,) = listed(s3_store(moto_server.endpoint_url, bucket, prefix="p/"))
    attributes = Attributes(s3, bucket, "p/")
    records = attribute_records(attributes, item)
    assert said(records) == [
        ("object-metadata", "SHA1", None),
        ("s3-checksum", "SHA256", SHA256),
        ("object-etag", "MD5", MD5),
        ("object-tagging", "MD5", MD5),
    ]
    assert records[0].problem == "'x' is no SHA1 in hex or base64"
    s3.put_object(Bucket=bucket, Key="p/a", Body=b"another")
    with pytest.raises(ObjectSkipped, match="overwritten"):
        attribute_records(attributes, item)


def test_what_could_not_be_looked_at_is_a_problem_and_not_the_absence_of_a_record() -> None:
    nobody = s3_client(Store(name="nobody", endpoint_url="http://127.0.0.1:1", region=REGION))
    item = ListedObject("a/../b", None, True, 3, MD5, NOON, None)
    records = attribute_records(Attributes(nobody, "b"), item)
    assert [(record.source, record.checksum) for record in records] == [
        ("object-metadata", None),
        ("object-etag", MD5),  # of the listing
        ("object-tagging", None),
    ]
    assert all("KeyNotAddressable" in (record.problem or "") for record in (records[0], records[2]))


def test_algorithms_and_checksums_are_known_in_their_usual_spellings() -> None:
    assert [algorithm_named(name) for name in ("sha-256", "SHA256", "sha_512", "md5", "blake2b-512")] == [
        "SHA256", "SHA256", "SHA512", "MD5", None
    ]  # fmt: skip
    assert as_hex(f" {MD5.upper()} ", "MD5") == MD5
    assert [as_hex(value, "MD5") for value in ("", "abc", MD5[:-1], SHA256, "====")] == [None] * 5


def test_given_records_are_kept_and_read_back(tmp_path: Path) -> None:
    lake = LocalLake(tmp_path)
    text = f'\ufeffkey,checksum,algorithm,version_id\na,{MD5},,\n"b,c",{SHA256},sha-256,v1\nd,MD5:{MD5},,\n'
    records = read_given(text, "list.csv")
    assert [record[:4] for record in records] == [
        ("a", None, "MD5", MD5),
        ("b,c", "v1", "SHA256", SHA256),
        ("d", None, "MD5", MD5),
    ]
    first = keep_given(lake, "b", records, lambda: NOON - timedelta(days=1))
    assert keep_given(lake, "b", records, lambda: NOON) != first  # what was given is never replaced
    assert list(given_records(lake, "b", tmp_path)) == [
        record._replace(recorded_at=NOON) for record in records
    ]


def test_every_wrong_line_of_what_was_given_is_told() -> None:
    with pytest.raises(GivenWrong) as error:
        read_given(f"key,checksum\n,{MD5}\na,abc\nb,SHA256:{MD5}\n", "list.csv")
    lines = str(error.value).splitlines()
    assert lines[0] == "list.csv, line 2: no key"
    assert "line 3: 'abc' does not say which algorithm it is" in lines[1]
    assert "line 4:" in lines[2]
    assert "is no SHA256 in hex or base64" in lines[2]


COREUTILS = f"""{MD5}  film.mkv
{SHA256} *./letters/1828.tif
\\{MD5}  a\\nb\\\\c

{MD5}   begins with a blank
# a comment
"""
BSD = f"""SHA256 (film.mkv) = {SHA256}
\\MD5 (a\\nb) = {MD5}
SHA2-256(of openssl (3))= {SHA256}
CRC32C (a) = 364b3fb7
"""
HASHDEEP = f"""%%%% HASHDEEP-1.0
%%%% size,md5,sha256,tiger,filename
## Invoked from: /
3,{MD5},{SHA256},0123,./a,b.txt
"""


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        (COREUTILS, ["film.mkv", "letters/1828.tif", "a\nb\\c", " begins with a blank"]),
        (
            COREUTILS.replace("\n", "\r\n"),
            ["film.mkv", "letters/1828.tif", "a\nb\\c", " begins with a blank"],
        ),
        (f"\ufeff{MD5}  Icon\r\n{MD5}  b\n", ["Icon\r", "b"]),
        (BSD, ["film.mkv", "a\nb", "of openssl (3)", "a"]),
        (HASHDEEP, ["a,b.txt", "a,b.txt"]),
    ],
)
def test_checksum_files_of_other_tools_are_understood(text: str, keys: list[str]) -> None:
    records = read_given(text, "sums")
    assert [record.key for record in records] == keys
    digests = {"MD5": MD5, "SHA256": SHA256, "CRC32C": "364b3fb7"}
    assert [record.checksum for record in records] == [digests[record.algorithm or ""] for record in records]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{MD5}  a\n{MD5[:-1]}  b\n", f"sums, line 2: '{MD5[:-1]}' does not say which algorithm it is"),
        (f"rotten\n{MD5}  a\n", "sums, line 1: not a checksum and a name"),
        (f"SHA256 (a) = {MD5}\n", f"sums, line 1: '{MD5}' is no SHA256"),
        (f"%%%% size,md5,filename\n1,{MD5}\n1,{MD5},a\n", "sums, line 2: not a checksum and a name"),
        (
            "name;sum\n",
            "sums, line 1: it must name the columns key and checksum, or be a checksum and a name",
        ),
    ],
)
def test_a_wrong_line_of_a_checksum_file_is_named(text: str, said: str) -> None:
    with pytest.raises(GivenWrong) as error:
        read_given(text, "sums")
    assert said in str(error.value)


ODD_KEYS = ["Icon\r", "a\r\nb", 'say "cheese"', '"', " a ", "a,b", "=1+1", "#", "\ufeff"]


def test_records_of_keys_with_any_character_are_kept_and_read_back(tmp_path: Path) -> None:
    records = [Record(key, None, "MD5", MD5, "api", f"of {key}") for key in ODD_KEYS]
    keep_given(LocalLake(tmp_path), "b", records, lambda: NOON)
    assert list(given_records(LocalLake(tmp_path), "b", tmp_path)) == [
        record._replace(recorded_at=NOON) for record in records
    ]


def test_a_record_with_a_cr_that_an_earlier_version_kept_is_read(tmp_path: Path) -> None:
    line = f"Icon\r,,MD5,{MD5},given on the command line,{NOON.isoformat()}\n"
    LocalLake(tmp_path).put_text("expected/b/1.csv", f"{FIRST_LINE}{line}")
    assert list(given_records(LocalLake(tmp_path), "b", tmp_path)) == [
        Record("Icon\r", None, "MD5", MD5, "api", "given on the command line", recorded_at=NOON)
    ]


FIRST_LINE = "key,version_id,algorithm,checksum,recorded_in,given_at\n"


@pytest.mark.parametrize(
    ("kept", "key", "where"),
    [
        (f"{FIRST_LINE}a,,MD5,xyz,list,\n", "a", 2),
        (f"{FIRST_LINE}a,,MD5,{MD5},list,yesterday\n", "a", 2),
        (f"{FIRST_LINE}a,,MD5,{MD5}\n", None, 2),
        (f'{FIRST_LINE}b,,MD5,{MD5},list,\n"a,,MD5,{MD5},list,\n', None, 3),
        (f"\0{FIRST_LINE}a,,MD5,{MD5},list,\n", None, 2),
        (b"\xff\xfe", None, 1),
    ],
)
def test_a_kept_record_that_cannot_be_read_is_named_with_its_line_and_blocks_no_other(
    tmp_path: Path, kept: str | bytes, key: str | None, where: int
) -> None:
    lake = LocalLake(tmp_path)
    file = tmp_path / "expected/b/0.csv"
    file.parent.mkdir(parents=True)
    file.write_bytes(kept if isinstance(kept, bytes) else kept.encode())  # of an earlier version: no proof
    keep_given(lake, "b", [Record("c", None, "MD5", MD5, "api", "list")])
    records = list(given_records(lake, "b", tmp_path))
    assert records[-1].checksum == MD5
    (problem,) = [record for record in records if record.problem]
    place = f"expected/b/0.csv, line {where}"
    assert (problem.key, problem.checksum, problem.recorded_in) == (key or place, None, place)


def test_a_kept_file_that_has_changed_since_is_one_record_with_a_problem_and_blocks_no_other(
    tmp_path: Path,
) -> None:
    lake = LocalLake(tmp_path)
    changed = tmp_path / keep_given(lake, "b", [Record("a", None, "MD5", MD5, "api", "list")])
    keep_given(lake, "b", [Record("c", None, "MD5", MD5, "api", "list")])
    changed.write_bytes(changed.read_bytes().replace(b"a,,", b"b,,"))
    records = {record.key: record.problem for record in given_records(lake, "b", tmp_path)}
    problem = records.pop(changed.relative_to(tmp_path).as_posix())
    assert problem is not None and "their SHA-256 is another one" in problem
    assert records == {"c": None}
