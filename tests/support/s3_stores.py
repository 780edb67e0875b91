"""A bucket to test with: of the mock, or of the store that REPOCORE_TEST_S3 names."""

from __future__ import annotations

import contextlib
import uuid
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import attrs
from botocore.exceptions import ClientError
from hypothesis import is_hypothesis_test, settings

from repocore.config import Secret
from repocore_s3.bucket import Bucket
from repocore_s3.clients import Clients
from repocore_s3.probing import Capabilities, probe
from repocore_s3.settings import Addressing, Place, S3Settings
from repocore_s3.storage import S3Storage

#: What S3 takes, and so does the mock: 5 MiB.
PART = 5 << 20

#: The store that the tests of this process use; contracts make storages without fixtures.
CURRENT: list[Store] = []


@attrs.define
class Store:
    """An object store, and a bucket in it that is ours."""

    settings: S3Settings
    bucket: str
    real: bool
    clients: Clients = attrs.field(init=False)
    capabilities: Capabilities = attrs.field(init=False)
    #: Everything lies below it, so that a real store is left as it was.
    top: str = attrs.field(factory=lambda: f"test-{uuid.uuid4().hex}")

    def __attrs_post_init__(self) -> None:
        self.clients = Clients(self.settings)
        with contextlib.suppress(ClientError):  # it is there
            self.client.create_bucket(Bucket=self.bucket)
        self.capabilities = probe(self.place("probe").bucket, writable=True)

    @property
    def client(self) -> Any:
        """botocore's own, for what the storage does not do."""
        return self.clients.inner()

    def place(self, name: str | None = None, **settings: Any) -> Corner:
        """A new corner of the bucket."""
        chosen = attrs.evolve(self.settings, **settings)
        clients = self.clients if not settings else Clients(chosen)
        where = Place(self.bucket, f"{self.top}/{name or uuid.uuid4().hex}/")
        return Corner(self, where, chosen, Bucket(clients, where, chosen))

    def storage(self, **settings: Any) -> S3Storage:
        """A new storage, which is empty."""
        return self.place(**settings).storage()

    def clean(self) -> None:
        """Delete everything that tests have made."""
        bucket = Bucket(self.clients, Place(self.bucket, f"{self.top}/"), self.settings)
        for upload in bucket.uploads(""):
            bucket.abort(upload)
        for listed in list(bucket.list("")):
            bucket.delete(listed.name)


@attrs.frozen
class Corner:
    """A prefix of its own, and the settings that it is used with."""

    store: Store
    place: Place
    settings: S3Settings
    bucket: Bucket

    @property
    def url(self) -> str:
        return f"s3://{self.place.bucket}/{self.place.prefix}".rstrip("/")

    def storage(self) -> S3Storage:
        """The storage of this corner; each time it is the same one."""
        return S3Storage(self.bucket, self.settings, self.store.capabilities)

    def names(self) -> list[str]:
        """What lies there."""
        return [listed.name for listed in self.bucket.list("")]

    def table(self, **more: Any) -> dict[str, Any]:
        """``[plugins.s3]`` for a registry that keeps its blobs here."""
        mine = self.settings
        return {
            "endpoint": mine.endpoint,
            "region": mine.region,
            "access_key": str(mine.access_key),
            "secret_key": str(mine.secret_key),
            "addressing": mine.addressing.value,
            **more,
        }


def store_at(url: str, *, real: bool) -> Store:
    """The store of ``http://KEY:SECRET@host:port/bucket?region=…&addressing=path``."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    chosen = S3Settings(
        endpoint=f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}",
        region=options.get("region", "us-east-1"),
        access_key=Secret(unquote(parts.username or "")),
        secret_key=Secret(unquote(parts.password or "")),
        addressing=Addressing(options.get("addressing", "path")),
        part_size=PART,
    )
    return Store(chosen, parts.path.strip("/"), real)


def fewer(contract: type) -> type:
    """The contract with a tenth of the examples: each of them is many requests."""
    few = settings(max_examples=max(settings().max_examples // 10, 5))
    for name, test in list(vars(contract).items()):
        if is_hypothesis_test(test):
            setattr(contract, name, few(test))
    return contract
