"""Pages whose entries are written alike: read by Arrow as the XML parser reads them, or left to it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from fixity.buckets.s3 import listing
from fixity.buckets.s3.alike import texts_of_alike
from fixity.buckets.s3.columns import FIELDS, ListingError
from fixity.buckets.s3.listing import Page, parse_page
from tests.fixity.buckets.test_s3_listing import NS

PROLOG = '<?xml version="1.0" encoding="UTF-8"?>\n'
ETAG = "d41d8cd98f00b204e9800998ecf8427"
OF_STORES = {
    "AWS": "<Key>a/{n}</Key><LastModified>2026-11-29T00:29:2{n}.000Z</LastModified>"
    "<ETag>&quot;{etag}{n}&quot;</ETag><ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm>"
    "<ChecksumType>FULL_OBJECT</ChecksumType><Size>1{n}</Size><StorageClass>STANDARD</StorageClass>",
    "SeaweedFS": "<Key>a/{n}</Key><ETag>&#34;{etag}{n}&#34;</ETag><Size>1</Size>"
    "<StorageClass>STANDARD</StorageClass><LastModified>2026-11-29T00:29:27Z</LastModified>",
    "Ceph": "<Key>a/{n}</Key><LastModified>2026-11-29T00:29:27.123Z</LastModified>"
    "<ETag>&quot;{etag}{n}&quot;</ETag><Size>1</Size><StorageClass>STANDARD</StorageClass>"
    "<Owner><ID>o</ID><DisplayName>An Owner</DisplayName></Owner><Type>Normal</Type>",
    "MinIO": "<Key>a%2F{n}</Key><LastModified>2026-11-29T00:29:27.123Z</LastModified>"
    "<ETag>&#34;{etag}{n}&#34;</ETag><Size>1</Size><Owner><ID></ID><DisplayName></DisplayName></Owner>"
    "<StorageClass>STANDARD</StorageClass>",
    "bare": "<Key>a+{n}</Key><Size>{n}</Size><ETag>{etag}{n}</ETag>"
    "<LastModified>2026-11-29T00:29:27Z</LastModified>",
}
"""Entries as stores write them."""


def page_of(entries: list[str], head: str = "", tail: str = "", entry: str = "Contents") -> bytes:
    root = "ListVersionsResult" if entry == "Version" else "ListBucketResult"
    inner = "".join(f"<{entry}>{each}</{entry}>" for each in entries)
    return f"{PROLOG}<{root} {NS}><IsTruncated>false</IsTruncated>{head}{inner}{tail}</{root}>".encode()


def read(body: bytes, versions: bool, alike: bool) -> Page | str:
    """The page, or why it is refused. Arguments: `alike`, whether Arrow may read it."""
    with pytest.MonkeyPatch.context() as patch:
        if not alike:
            patch.setattr(listing, "texts_of_alike", lambda *_: None)
        try:
            return parse_page(body, versions)
        except ListingError as error:
            return str(error)


def is_read_by_arrow(body: bytes, entry: str = "Contents") -> bool:
    return texts_of_alike(body, entry, FIELDS, etree.XMLParser()) is not None


@pytest.mark.parametrize("store", OF_STORES)
@pytest.mark.parametrize("entry", ["Contents", "Version"])
def test_pages_of_usual_stores_are_read_by_arrow_as_by_the_xml_parser(store: str, entry: str) -> None:
    of_versions = "<IsLatest>true</IsLatest><VersionId>v{n}</VersionId>" if entry == "Version" else ""
    body = page_of([(OF_STORES[store] + of_versions).format(n=n, etag=ETAG) for n in range(9)], entry=entry)
    assert is_read_by_arrow(body, entry)
    page = read(body, entry == "Version", alike=True)
    assert page == read(body, entry == "Version", alike=False)
    assert isinstance(page, Page)
    assert page.batch.column("etag").to_pylist() == [f"{ETAG}{n}" for n in range(9)]
    assert page.batch.num_rows == 9


def elements(name: str, texts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return texts.map(lambda text: f"<{name}>{text}</{name}>")


plain = st.text("ab1/ ", max_size=3)
odd = st.sampled_from([
    "", "&amp;", "&lt;", ">", "]]>", "é", "\t", "\n", "\r", " ", "%20", "+", "%2B", '"', "'", "&quot;",
    "&#34;", "W/", "&#x41;", "&none;", "<b/>", "<b>1</b>", "<!-- c -->", "<![CDATA[x]]>", "<?p i?>",
    "<Key>k</Key>", "<Size>1</Size>", "-->", "<!--", "]]", "\0", "\x7f", "</Key><Key>",
    "</Contents><Contents>", "<", "&",
])  # fmt: skip
around = st.just("") | st.just("") | odd | st.sampled_from([
    "<EncodingType>url</EncodingType>", "<KeyCount>3</KeyCount>", "<Size>1</Size>", "<Contents/>",
    "<DeleteMarker><Key>d</Key></DeleteMarker>", "<Contents><Key>a</Key><Size>1</Size></Contents>",
])  # fmt: skip
texts = st.lists(plain | plain | odd, max_size=3).map("".join)
numbers = st.integers(0, 99).map(str)
etags = st.builds(
    lambda quote, text: f"{quote}{text}{quote}", st.sampled_from(["", '"', "&quot;", "&#34;"]), texts
)
fields = {
    "Key": texts, "VersionId": texts, "IsLatest": st.sampled_from(["true", "false"]), "Size": numbers | texts,
    "ETag": etags, "LastModified": st.just("2026-11-29T00:29:27Z") | texts, "StorageClass": texts,
    "ChecksumAlgorithm": texts, "Owner": elements("ID", texts), "Owner Key": elements("Key", texts),
}  # fmt: skip


@st.composite
def pages(draw: st.DrawFn, entry: str) -> bytes:
    """Pages of entries of one layout, in most of which few texts are odd; and what stands around them."""
    names = ["Key", "Size", *draw(st.lists(st.sampled_from(sorted(fields)), max_size=4, unique=True))]
    is_odd = draw(st.sets(st.sampled_from(names), max_size=1))
    entries = []
    for _ in range(draw(st.integers(1, 4))):
        layout = names if draw(st.integers(0, 9)) else draw(st.permutations(names))
        of = {name: fields[name] if name in is_odd else numbers for name in layout}
        entries.append("".join(draw(elements(name.split()[0], of[name])) for name in layout))
    return page_of(entries, draw(around), draw(around), entry)


@pytest.mark.parametrize("entry", ["Contents", "Version"])
@given(st.data())
def test_any_page_is_read_or_refused_as_by_the_xml_parser_alone(entry: str, data: st.DataObject) -> None:
    body = data.draw(pages(entry))
    assert read(body, entry == "Version", alike=True) == read(body, entry == "Version", alike=False)


_SIZES = ["<Key>a</Key><Size>1</Size>", "<Key>b</Key><Size>2</Size>"]


@pytest.mark.parametrize(
    "body",
    [
        page_of(_SIZES, "<!--", "-->"),
        page_of(_SIZES, "<![CDATA[", "]]>"),
        page_of([f"<!-- >{each}< -->" for each in _SIZES]),
        page_of([f"<x>{each}</x><?x >{each}< ?>" for each in _SIZES]),
        page_of([f"<![CDATA[>{each}<]]>{each}" for each in _SIZES]),
        page_of([*_SIZES, "<Key>c</Key><Contents><Size>1</Size></Contents>"]),
        page_of(_SIZES).replace(b"UTF-8", b"UTF-7"),
        page_of(_SIZES).replace(b"<ListB", b'<!DOCTYPE x [<!ENTITY quot "x">]><ListB', 1),
        page_of(_SIZES, "<Size>3</Size>"),
        page_of([each + each for each in _SIZES]),
        page_of([each.replace("Size", "x:Size") for each in _SIZES]),
        page_of([each.replace("<Size>", '<Size xmlns="u">') for each in _SIZES]),
        page_of([each.replace("Key>", "Key >") for each in _SIZES]),
        page_of(_SIZES, "", "<DeleteMarker><Key>d</Key></DeleteMarker>"),
        page_of(["<Key>a</Key><Size>1</Size><ETag>&quot;W/1&quot;</ETag>",
                 "<Key>b</Key><Size>1</Size><ETag>&quot;W/2&quot;</ETag>"]),
    ],
)  # fmt: skip
def test_where_bytes_may_mean_something_else_the_xml_parser_reads_them(body: bytes) -> None:
    assert not is_read_by_arrow(body)
    assert read(body, False, alike=True) == read(body, False, alike=False)


def test_such_a_page_without_these_is_read_by_arrow() -> None:
    assert is_read_by_arrow(page_of(_SIZES))
