"""A request for each route there is: about what is there and hidden, or about what is nowhere.

Whoever adds a route whose fields or body these tables do not know, adds them here: the tests fail
until then.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import attrs

from repocore.http import Route

_FIELD = re.compile(r"\{(\w+)(?::path)?\}")
WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})

SOURCE = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"
#: Routes whose address is a permission by itself, or that ask nobody; and where that is tested.
OTHERWISE: Mapping[str, str] = {
    "/v1/files/{file:path}": "tests/plugins/conan/test_transfers.py: the URL is signed",
}


@attrs.frozen
class Place:
    """What a request is about."""

    conan: str
    conda: str
    recipe: str
    package: str
    account: str
    number: int
    role: str

    @property
    def words(self) -> list[str]:
        """What must not be read by those who may not."""
        return [self.conan, self.conda, self.recipe, self.package, self.account, self.role]


THERE = Place("vault", "vault", "zebra", "tide", "olga", 1, "keeper")
NOWHERE = Place("void", "void", "zero", "naught", "nobody", 99_999, "norole")


def _fields(place: Place, route: Route[Any]) -> dict[str, str]:
    """What stands in the places of a template."""
    stem = f"{place.package}-1.0-0"
    path = f"noarch/{stem}.tar.bz2"
    common = {
        "format": "conda",
        "name": place.conda if route.format is None else place.recipe,
        "package": place.package,
        "release": f"noarch/{stem}.tar.bz2",
        "path": path,
        "account": place.account,
        "username": place.account,
        "group": place.role,
        "role": place.role,
        "number": str(place.number),
        "upload": f"{place.number:064x}-1-1-{place.number:032x}",
        "job": str(place.number),
        "sha256": SOURCE,
        "key": f"rpc-{place.number:012d}",
        "provider": "nowhere",
        "channel": place.conda if route.format is None else "_",
        "filename": f"{stem}.tar.bz2",
        "platform": "noarch",
        "version": "1.0",
        "user": "_",
        "rrev": "r1",
        "package_id": "pid",
        "prev": "p1",
        "file": "conaninfo.txt" if "prev" in route.template else "conanfile.py",
    }
    if route.template.endswith("/sources/{file}"):
        common["file"] = SOURCE
    if route.template.startswith("/auth/dev"):
        common["name"] = place.account
    return common


def _body(place: Place, route: Route[Any]) -> bytes:
    """What is sent; only what is asked about stands in it."""
    conda = f"conda/{place.conda}"
    releases = [{"partition": "noarch", "name": f"{place.package}-1.0-0.tar.bz2"}]
    known: dict[str, Any] = {
        "/api/oidc/mint_token": {"token": "a.b.c"},
        "/api/v1/repositories": {"address": "conda/made"},
        "/api/v1/repositories/{format}/{name}": {"description": "other"},
        "/api/v1/releases/yank": {"repository": conda, "releases": releases},
        "/api/v1/releases/unyank": {"repository": conda, "releases": releases},
        "/api/v1/releases/delete": {"repository": conda, "releases": releases},
        "/api/v1/releases/copy": {
            "repository": "conda/open",
            "releases": releases,
            "target": conda,
        },
        "/api/v1/releases/promote": {
            "repository": "conda/open",
            "releases": releases,
            "target": conda,
        },
        "/api/v1/jobs": {"kind": "check"},
        "/api/v1/accounts": {"name": "made"},
        "/api/v1/accounts/{account}": {"email": "olga@team.example"},
        "/api/v1/accounts/{account}/password": {"password": "another long secret"},
        "/api/v1/tokens": {"account": place.account, "name": "t"},
        "/api/v1/roles/{role}": {"actions": ["read"]},
        "/api/v1/replication/changes": {"partitions": [{"repository": 1, "partition": "noarch"}]},
        "/api/v1/bindings": {"subject": "user:eve", "role": "viewer", "pattern": conda},
        "/api/v1/uploads": {
            "repository": conda,
            "path": f"noarch/{place.package}-1.0-0.tar.bz2",
            "size": 1,
            "sha256": SOURCE,
        },
        "/api/v1/rules": {"subject": "user:eve", "actions": ["read"], "pattern": conda},
        "/api/users/{username}/role": {"role": "member"},
        "/api/channels": {"name": "made", "private": True},
        "/api/channels/{channel}": {"private": False},
        "/api/channels/{channel}/actions": {"action": "generate_indexes"},
        "/api/channels/{channel}/mirrors": {"url": "https://mirror.example"},
        "/api/channels/{channel}/members": {"username": "eve", "role": "member"},
        "/api/channels/{channel}/packages": {"name": "made"},
        "/api/channels/{channel}/packages/{package}/members": {"username": "eve", "role": "member"},
        "/api/api-keys": {"description": "d", "roles": []},
        "/api/jobs": {"manifest": "check", "items_spec": "*"},
        "/api/jobs/{job}": {"status": "cancelled"},
        "/v1/conans/{name}/{version}/{user}/{channel}/upload_urls": {"conanfile.py": 3},
        "/v1/conans/{name}/{version}/{user}/{channel}/packages/{package_id}/upload_urls": {
            "conaninfo.txt": 3
        },
        "/v1/conans/{name}/{version}/{user}/{channel}/remove_files": {"files": ["conanfile.py"]},
        "/v1/conans/{name}/{version}/{user}/{channel}/packages/delete": {"package_ids": ["pid"]},
    }
    if route.template in known:
        return json.dumps(known[route.template]).encode()
    return b"" if route.method == "DELETE" else b"xyz"


_QUERIES = {
    "/api/v1/access/explain": "?who={account}&action=read&what=conda/{conda}",
    "/api/v1/access/who": "?what=conda/{conda}",
    "/api/v1/events": "?what=conda/{conda}",
    "/api/v1/events/export": "?what=conda/{conda}",
    "/api/v1/tokens": "?account={account}",
    "/api/channels/{channel}/upload/{filename}": "?sha256=",
    "/api/channels/{channel}/packages/copy": (
        "?source_channel=open&source_package={package}&subdir=noarch&filename={package}-1.0-0.tar.bz2"
    ),
    "/api/channels/{channel}/members": "?username=eve",
}


@attrs.frozen
class Sample:
    """One request."""

    method: str
    target: str
    body: bytes
    kind: str

    @property
    def fields(self) -> dict[str, Any]:
        if self.method not in WRITES:
            return {}
        return {"body": self.body, "CONTENT_TYPE": self.kind}


def sample(route: Route[Any], place: Place) -> Sample:
    """A request that the route would serve to whoever may."""
    fields = _fields(place, route)
    path = _FIELD.sub(lambda found: fields[found[1]], route.template)
    if route.format is not None:
        path = f"/{route.format}/{getattr(place, route.format)}{path}"
    query = _QUERIES.get(route.template, "").format(**attrs.asdict(place))
    kind, body = "application/json", _body(place, route)
    if route.template.endswith(("/files", "/upload/{channel}")) and route.method == "POST":
        kind = "multipart/form-data; boundary=xyz"
        name = "file" if "/v1/" in route.template else "files"
        body = (
            f'--xyz\r\nContent-Disposition: form-data; name="{name}"; '
            f'filename="{fields["filename"]}"\r\n\r\nabc\r\n--xyz--\r\n'
        ).encode()
    return Sample(route.method, path.replace("#", "%23") + query, body, kind)
