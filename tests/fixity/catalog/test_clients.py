"""Clients of boto3: what they share."""

from __future__ import annotations

import pytest
from botocore.loaders import JSONFileLoader

from fixity.catalog import Store
from fixity.catalog.clients import s3_client, store_session


def test_clients_of_several_stores_read_botocore_s_descriptions_once(monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = (Store(name=name, endpoint_url=f"http://{name}:9000", region="x") for name in ("one", "two"))
    s3_client(one)
    monkeypatch.setattr(JSONFileLoader, "load_file", lambda *_: pytest.fail("it was read again"))
    assert s3_client(two).meta.endpoint_url == "http://two:9000"
    searched = [
        tuple(store_session(each)._session.get_component("data_loader").search_paths) for each in (one, two)
    ]
    assert searched[0] == searched[1]
