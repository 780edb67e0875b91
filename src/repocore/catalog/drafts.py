"""The statements of a commit on partitions and releases; `releases` has all others.

The caller holds the partition's row from `lock` on, so what is read here stays true.
"""

from __future__ import annotations

from typing import Any

import attrs
from sqlalchemy import Connection, Integer, bindparam, case, insert, or_, select, update

from repocore.catalog import statements, tables
from repocore.catalog.dialects import now
from repocore.catalog.statements import Insert, Statement
from repocore.catalog.transactions import Transaction
from repocore.model import DraftRelease

__all__ = [
    "Newest",
    "ReleaseRow",
    "add",
    "amend",
    "begin_again",
    "beside",
    "changed",
    "draft_of",
    "find",
    "hold_parent",
    "keep_extra",
    "lock",
    "newest",
    "publish",
    "touch",
]

_r = tables.releases
_p = tables.partitions
_x = tables.extras

# Named apart from the columns: an UPDATE takes the columns' own names for what it sets.
_partition = (_p.c.repository_id == bindparam("repository")) & (_p.c.name == bindparam("within"))
_siblings = (_r.c.repository_id == bindparam("repository")) & (
    _r.c.partition == bindparam("within")
)
_mine = _siblings & (_r.c.name == bindparam("named"))


@attrs.frozen(kw_only=True)
class ReleaseRow:
    """A release as a commit sees it: a draft, a tombstone, or visible."""

    repository: int
    partition: str
    name: str
    package: str
    version: str
    parent: str | None
    record: bytes
    section: str = ""
    serial: int = 0
    released: bool = False
    removed: bool = False
    yanked: bool = False


_HOLD = Statement(lambda _: select(_p.c.serial).where(_partition).with_for_update(read=True))
# A tombstone that nobody has begun to upload again has no time of a touch.
_THERE = Statement(
    lambda _: select(_r.c.name).where(
        _mine, or_(_r.c.removed_at.is_(None), _r.c.touched_at.is_not(None))
    )
)


def hold_parent(transaction: Transaction, repository: int, partition: str, name: str) -> bool:
    """Hold a partition, shared, to the commit; whether that release or draft is in it."""
    transaction.rows(_HOLD, repository=repository, within=partition)
    return bool(transaction.rows(_THERE, repository=repository, within=partition, named=name))


def _opening(insert: Insert) -> Any:
    statement = insert(_p).values(statements.columns(_p, serial=0))
    return statement.on_conflict_do_nothing().returning(_p.c.serial)


_OPEN = Statement(_opening)
_LOCK = Statement(lambda _: select(_p.c.serial).where(_partition).with_for_update())


def lock(transaction: Transaction, repository: int, partition: str) -> None:
    """Hold a partition's row alone, to the commit; a partition that is new is made."""
    if transaction.rows(_LOCK, repository=repository, within=partition):
        return
    if not transaction.rows(_OPEN, repository_id=repository, name=partition):
        transaction.rows(_LOCK, repository=repository, within=partition)


_FIND = Statement(
    lambda _: select(
        _r.c.package,
        _r.c.version,
        _r.c.parent,
        _r.c.record,
        _r.c.serial,
        _r.c.released_at,
        _r.c.removed_at,
        _r.c.yanked_at,
    ).where(_mine)
)


def find(transaction: Transaction, repository: int, partition: str, name: str) -> ReleaseRow | None:
    """A release, whatever its state."""
    rows = transaction.rows(_FIND, repository=repository, within=partition, named=name)
    if not rows:
        return None
    package, version, parent, record, serial, released_at, removed_at, yanked_at = rows[0]
    return ReleaseRow(
        repository=repository,
        partition=partition,
        name=name,
        package=package,
        version=version,
        parent=parent,
        record=record,
        serial=serial,
        released=released_at is not None,
        removed=removed_at is not None,
        yanked=yanked_at is not None,
    )


_unset = {"serial": 0, "changed": 0, "released_at": None, "yanked_at": None, "removed_at": None}
_ADD = Statement(lambda _: insert(_r).values(statements.columns(_r, touched_at=now(), **_unset)))


def add(transaction: Transaction, row: ReleaseRow, sort_key: bytes) -> ReleaseRow:
    """Begin a draft."""
    transaction.change(
        _ADD,
        repository_id=row.repository,
        partition=row.partition,
        name=row.name,
        package=row.package,
        package_key=row.package.casefold(),
        version=row.version,
        sort_key=sort_key,
        parent=row.parent,
        record=row.record,
        section=row.section,
    )
    return row


def _keeping(insert: Insert) -> Any:
    statement = insert(_x).values(statements.columns(_x))
    return statement.on_conflict_do_update(
        index_elements=[_x.c.repository_id, _x.c.partition, _x.c.name],
        set_={"extra": statement.excluded.extra},
    )


_KEEP = Statement(_keeping)


def keep_extra(transaction: Transaction, row: ReleaseRow, extra: bytes) -> None:
    """Write the bytes beside a release's record."""
    transaction.change(
        _KEEP, repository_id=row.repository, partition=row.partition, name=row.name, extra=extra
    )


def draft_of(row: ReleaseRow, address: str) -> DraftRelease:
    """The release as its format sees it."""
    return DraftRelease(
        repository=address,
        partition=row.partition,
        name=row.name,
        package=row.package,
        version=row.version,
        parent=row.parent,
        record=row.record,
    )


_WRITE = Statement(lambda _: update(_r).where(_mine).values(record=bindparam("record")))
_TOUCH = Statement(
    lambda _: update(_r).where(_mine).values(record=bindparam("record"), touched_at=now())
)


def touch(transaction: Transaction, row: ReleaseRow, record: bytes) -> ReleaseRow:
    """Write a release's record; a draft begins to wait anew."""
    statement = _WRITE if row.released else _TOUCH
    _change(transaction, statement, row, record=record)
    return attrs.evolve(row, record=record)


_BEGIN_AGAIN = Statement(
    lambda _: (
        update(_r)
        .where(_mine)
        .values(record=bindparam("record"), touched_at=now(), released_at=None, yanked_at=None)
    )
)


def begin_again(transaction: Transaction, row: ReleaseRow, record: bytes) -> ReleaseRow:
    """Make a draft of a tombstone, which is one still to everybody else."""
    _change(transaction, _BEGIN_AGAIN, row, record=record)
    return attrs.evolve(row, record=record, released=False)


_NEWEST = Statement(
    lambda _: (
        select(_r.c.serial, _r.c.released_at)
        .where(_siblings, _r.c.released_at.is_not(None), _r.c.removed_at.is_(None))
        .order_by(_r.c.serial.desc())
        .limit(1)
    )
)


@attrs.frozen
class Newest:
    """The serial and the time of a partition's newest visible release: the highest of both."""

    serial: int = 0
    released_at: int = 0


def newest(transaction: Transaction, row: ReleaseRow) -> Newest:
    """The newest visible release beside a release, itself included."""
    rows = transaction.rows(_NEWEST, repository=row.repository, within=row.partition)
    return Newest(*rows[0]) if rows else Newest()


def beside(connection: Connection, repository: int, partition: str, name: str) -> tuple[str, bytes]:
    """The section of a release, and the bytes beside its record."""
    row = connection.execute(
        select(_r.c.section, _x.c.extra)
        .outerjoin(
            _x,
            (_x.c.repository_id == _r.c.repository_id)
            & (_x.c.partition == _r.c.partition)
            & (_x.c.name == _r.c.name),
        )
        .where(_r.c.repository_id == repository)
        .where(_r.c.partition == partition, _r.c.name == name)
    ).one()
    return row.section, row.extra or b""


_SERIAL = Statement(
    lambda _: update(_p).where(_partition).values(serial=_p.c.serial + 1).returning(_p.c.serial)
)


def _publishing(moment: Any) -> Any:
    earliest = bindparam("earliest", type_=_r.c.released_at.type)
    return (
        update(_r)
        .where(_mine)
        .values(
            serial=bindparam("serial"),
            changed=bindparam("serial"),
            section=bindparam("section"),
            released_at=case((moment > earliest, moment), else_=earliest),
            yanked_at=case(
                (bindparam("listed", type_=Integer) == 1, None),
                (bindparam("yanked", type_=Integer) == 1, now()),
                else_=_r.c.yanked_at,
            ),
            removed_at=None,
            touched_at=None,
        )
    )


_PUBLISH = Statement(lambda _: _publishing(now()))
_PUBLISH_AT = Statement(lambda _: _publishing(bindparam("moment", type_=_r.c.released_at.type)))


def publish(
    transaction: Transaction,
    row: ReleaseRow,
    before: int,
    at: int | None = None,
    *,
    yanked: bool | None = None,
) -> int:
    """Give a release the next serial, which is returned, and a time later than ``before``.

    The time is ``at``, or now.  Whether it is yanked stays as it is where nobody says.
    """
    [(serial,)] = transaction.rows(_SERIAL, repository=row.repository, within=row.partition)
    values: dict[str, Any] = {
        "serial": serial,
        "earliest": before + 1,
        "section": row.section,
        "listed": int(yanked is False),
        "yanked": int(yanked is True),
    }
    if at is None:
        _change(transaction, _PUBLISH, row, **values)
    else:
        _change(transaction, _PUBLISH_AT, row, moment=at, **values)
    return serial


_AMEND = Statement(lambda _: update(_r).where(_mine).values(changed=bindparam("serial")))


def amend(transaction: Transaction, row: ReleaseRow) -> None:
    """Have documents made anew of a release that keeps its place and its time."""
    [(serial,)] = transaction.rows(_SERIAL, repository=row.repository, within=row.partition)
    _change(transaction, _AMEND, row, serial=serial)


def changed(transaction: Transaction, repository: int, partition: str, name: str) -> None:
    """Have a release be among what changed, if it can be seen."""
    lock(transaction, repository, partition)
    row = find(transaction, repository, partition, name)
    if row is not None and row.released:
        amend(transaction, row)


def _change(transaction: Transaction, statement: Statement, row: ReleaseRow, **values: Any) -> None:
    transaction.change(
        statement,
        repository=row.repository,
        within=row.partition,
        named=row.name,
        **values,
    )
