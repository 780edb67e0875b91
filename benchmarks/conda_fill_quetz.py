"""Run by the peer's interpreter, in its deployment: a channel with the packages of a folder.

What it knows of a package is read by its own reader, the rows are of its own models, and the
documents are made by its own function.
"""

from __future__ import annotations

import json
import os
import sys
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

from quetz.condainfo import CondaInfo
from quetz.config import Config
from quetz.dao import Dao
from quetz.database import get_session
from quetz.db_models import ApiKey, Channel, ChannelMember, Package, PackageVersion, Profile, User
from quetz.tasks.indexing import update_indexes


def _user(db: Any, key: str) -> bytes:
    """The owner of everything, with a key."""
    user = db.query(User).filter(User.username == "demo").first()
    if user is None:
        user = User(id=uuid.uuid4().bytes, username="demo", role="owner")
        user.profile = Profile(name="Demo", avatar_url="")
        db.add(user)
        db.add(ApiKey(key=key, description="benchmark", user=user, owner=user))
        db.commit()
    return user.id


def _rows(channel: str, folder: Path, target: Path, owner: bytes) -> tuple[list[Any], list[Any]]:
    packages: dict[str, dict[str, Any]] = {}
    versions: list[dict[str, Any]] = []
    later: Counter[str] = Counter()
    # The newest of a name comes last, and is number 0 in its order.
    for path in sorted(folder.glob("*/*.conda"), key=lambda path: path.stat().st_mtime_ns)[::-1]:
        with path.open("rb") as stream:
            found = CondaInfo(stream, path.name)
        info = found.info
        packages.setdefault(
            info["name"],
            {
                "name": info["name"],
                "channel_name": channel,
                "summary": str(found.about.get("summary", "n/a")),
                "description": str(found.about.get("description", "n/a")),
                "channeldata": json.dumps(found.channeldata),
                "platforms": info["subdir"],
            },
        )
        versions.append(
            {
                "id": uuid.uuid4().bytes,
                "channel_name": channel,
                "package_name": info["name"],
                "package_format": found.package_format,
                "platform": info["subdir"],
                "version": info["version"],
                "build_number": info["build_number"],
                "build_string": info["build"],
                "size": info["size"],
                "filename": path.name,
                "info": json.dumps(info),
                "uploader_id": owner,
                "version_order": later[info["name"]],
            }
        )
        later[info["name"]] += 1
        place = target / info["subdir"]
        place.mkdir(parents=True, exist_ok=True)
        os.link(path, place / path.name)
    return list(packages.values()), versions


def main() -> None:
    channel, folder, key = sys.argv[1:]
    config = Config(str(Path("config.toml").resolve()))
    db = get_session(config.sqlalchemy_database_url)
    owner = _user(db, key)
    db.add(Channel(name=channel, description="", private=False))
    db.add(ChannelMember(channel_name=channel, user_id=owner, role="owner"))
    db.commit()
    packages, versions = _rows(channel, Path(folder), Path("channels", channel), owner)
    db.bulk_insert_mappings(Package, packages)
    db.bulk_insert_mappings(PackageVersion, versions)
    db.commit()
    update_indexes(Dao(db), config.get_package_store(), channel)


if __name__ == "__main__":
    main()
