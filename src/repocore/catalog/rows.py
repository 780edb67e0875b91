"""Rows to values, and back: the only place that knows how the columns spell them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
from cattrs import Converter

from repocore.model import (
    Account,
    Action,
    Binding,
    BlobKey,
    Effect,
    File,
    FilePath,
    Job,
    JobProgress,
    JobState,
    Mode,
    Policy,
    Release,
    Repository,
    Rule,
    SigningKey,
    Tier,
    Token,
)

__all__ = [
    "StoredRepository",
    "account_of",
    "binding_fields",
    "canonical",
    "file_of",
    "job_of",
    "key_of",
    "maybe_time",
    "micros_at",
    "micros_of",
    "options_text",
    "policy_text",
    "release_of",
    "repository_of",
    "rule_fields",
    "rule_of",
    "rules_text",
    "time_of",
    "token_fields",
    "token_of",
]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_converter = Converter(forbid_extra_keys=True)


@attrs.frozen
class StoredRepository:
    """A repository and the number of its row."""

    id: int
    value: Repository


def time_of(micros: int) -> datetime:
    """A time of the catalog, in UTC."""
    return _EPOCH + timedelta(microseconds=micros)


def maybe_time(micros: int | None) -> datetime | None:
    """As `time_of`; None stays None."""
    return None if micros is None else time_of(micros)


def micros_of(span: timedelta) -> int:
    """A span in the catalog's unit."""
    return span // timedelta(microseconds=1)


def micros_at(moment: datetime) -> int:
    """A time with a zone, in the catalog's unit."""
    return micros_of(moment - _EPOCH)


def canonical(record: Any) -> bytes:
    """JSON of one spelling: sorted keys, no spaces, UTF-8."""
    return json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def policy_text(policy: Policy) -> str:
    """A policy as the column holds it."""
    return json.dumps(_converter.unstructure(policy))


def options_text(options: Mapping[str, Any]) -> str:
    """Options as the column holds them."""
    return canonical(dict(options)).decode()


def repository_of(row: Any) -> StoredRepository:
    """A row of ``repositories``."""
    return StoredRepository(
        row.id,
        Repository(
            format=row.format,
            name=row.name,
            mode=Mode(row.mode),
            policy=_converter.structure(json.loads(row.policy), Policy),
            description=row.description,
            private=row.private,
            options=json.loads(row.options),
            created_at=time_of(row.created_at),
        ),
    )


def job_of(row: Any) -> Job:
    """A row of ``jobs``."""
    return Job(
        id=row.id,
        kind=row.kind,
        payload=json.loads(row.payload),
        key=row.key,
        state=JobState(row.state),
        priority=row.priority,
        attempts=row.attempts,
        max_attempts=row.max_attempts,
        run_after=time_of(row.run_after),
        cancelling=bool(row.cancelling),
        progress=JobProgress(row.total, row.done, row.message),
        outcome=row.outcome,
        error=row.error,
        created_by=row.created_by,
        created_at=time_of(row.created_at),
        started_at=maybe_time(row.started_at),
        finished_at=maybe_time(row.finished_at),
        heartbeat_at=maybe_time(row.heartbeat_at),
    )


def file_of(repository: str, path: str | FilePath, columns: Sequence[Any]) -> File:
    """A file from (digest, size, partition, release, media type, mutable, created_at,
    created_by, generation).
    """
    digest, size, partition, release, media_type, mutable, created_at, created_by, key = columns
    return File(
        repository=repository,
        path=FilePath.parse(path),
        digest=digest,
        size=size,
        partition=partition,
        release=release,
        media_type=media_type,
        mutable=bool(mutable),
        created_at=time_of(created_at),
        created_by=created_by,
        key=BlobKey(digest, key),
    )


def release_of(repository: str, row: Any) -> Release:
    """A row of ``releases`` that was released."""
    return Release(
        repository=repository,
        partition=row.partition,
        name=row.name,
        package=row.package,
        version=row.version,
        parent=row.parent,
        record=row.record,
        serial=row.serial,
        released_at=time_of(row.released_at),
        yanked_at=maybe_time(row.yanked_at),
        removed_at=maybe_time(row.removed_at),
    )


def account_of(row: Any, groups: Iterable[str]) -> Account:
    """A row of ``accounts``."""
    return Account(
        name=row.name,
        groups=frozenset(groups),
        email=row.email,
        disabled=row.disabled,
        service=row.service,
        created_at=time_of(row.created_at),
    )


def rule_of(row: Any) -> Rule:
    """A row of ``rules``."""
    return Rule(
        subject=row.subject,
        actions=frozenset(Action(name) for name in row.actions.split(",")),
        pattern=row.pattern,
        effect=Effect(row.effect),
        tier=Tier(row.tier),
        id=row.id,
    )


def rules_text(rules: Sequence[Rule] | None) -> str | None:
    """A token's scope as the column holds it."""
    if rules is None:
        return None
    return json.dumps(
        [[rule.subject, sorted(a.value for a in rule.actions), rule.pattern] for rule in rules]
    )


def token_of(row: Any) -> Token:
    """A row of ``tokens`` joined with the name of its account, as ``account``."""
    scope = None
    if row.rules is not None:
        scope = tuple(
            Rule(subject=subject, actions=frozenset(map(Action, actions)), pattern=pattern)
            for subject, actions, pattern in json.loads(row.rules)
        )
    return Token(
        id=row.id,
        account=row.account,
        name=row.name,
        prefix=row.prefix,
        rules=scope,
        created_at=time_of(row.created_at),
        expires_at=maybe_time(row.expires_at),
        last_used_at=maybe_time(row.last_used_at),
        revoked_at=maybe_time(row.revoked_at),
    )


def key_of(row: Any) -> SigningKey:
    """A row of ``keys``."""
    return SigningKey(
        id=row.id,
        secret=row.secret,
        created_at=time_of(row.created_at),
        retired_at=maybe_time(row.retired_at),
    )


def token_fields(token: Token) -> dict[str, Any]:
    """What is recorded of a token: nothing of its secret."""
    rules = None if token.rules is None else [rule_fields(rule) for rule in token.rules]
    expires = None if token.expires_at is None else token.expires_at.isoformat()
    return {"id": token.id, "name": token.name, "rules": rules, "expires_at": expires}


def binding_fields(binding: Binding) -> dict[str, Any]:
    """What is recorded of who holds a role."""
    return {"subject": binding.subject, "role": binding.role, "pattern": binding.pattern}


def rule_fields(rule: Rule) -> dict[str, Any]:
    """What is recorded of a rule."""
    return {
        "id": rule.id,
        "tier": rule.tier.value,
        "effect": rule.effect.value,
        "subject": rule.subject,
        "actions": sorted(action.value for action in rule.actions),
        "pattern": rule.pattern,
    }
