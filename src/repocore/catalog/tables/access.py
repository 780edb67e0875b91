"""Who there is, what they may do, and what they did."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    false,
)

from repocore.catalog.tables.names import METADATA, Id, Name

__all__ = [
    "access",
    "accounts",
    "attempts",
    "audit",
    "bindings",
    "groups",
    "identities",
    "keys",
    "roles",
    "rules",
    "seals",
    "spent",
    "tokens",
]

access = Table(
    "access",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("version", BigInteger, nullable=False),
    # The version that last changed rules, roles or bindings, and that which changed repositories.
    Column("rules", BigInteger, nullable=False, server_default="0"),
    Column("repositories", BigInteger, nullable=False, server_default="0"),
)

accounts = Table(
    "accounts",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("name", Name, nullable=False, unique=True),
    Column("password_hash", Text),
    Column("email", Text, nullable=False),
    Column("disabled", Boolean, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("service", Boolean, nullable=False, server_default=false()),
)

groups = Table(
    "groups",
    METADATA,
    Column("name", Name, primary_key=True),
    Column("account_id", Id, ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True),
    sqlite_with_rowid=False,
)

tokens = Table(
    "tokens",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("account_id", Id, ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    Column("prefix", Name, nullable=False, unique=True),
    Column("secret_hash", Text, nullable=False),
    Column("rules", Text),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("last_used_at", BigInteger),
    Column("revoked_at", BigInteger),
    # Records name tokens by their number: one that is gone is never given again.
    sqlite_autoincrement=True,
)

rules = Table(
    "rules",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("position", BigInteger, nullable=False),
    Column("tier", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("actions", Text, nullable=False),
    Column("pattern", Text, nullable=False),
    Column("effect", Text, nullable=False),
)

roles = Table(
    "roles",
    METADATA,
    Column("name", Name, primary_key=True),
    Column("actions", Text, nullable=False),
    Column("description", Text, nullable=False),
    sqlite_with_rowid=False,
)

bindings = Table(
    "bindings",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("subject", Name, nullable=False),
    Column("role", Name, nullable=False),
    Column("pattern", Name, nullable=False),
    UniqueConstraint("subject", "role", "pattern"),
    sqlite_autoincrement=True,
)

keys = Table(
    "keys",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("purpose", Name, nullable=False, index=True),
    Column("secret", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("retired_at", BigInteger),
)

identities = Table(
    "identities",
    METADATA,
    Column("provider", Name, primary_key=True),
    Column("subject", Name, primary_key=True),
    Column("account_id", Id, ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False),
    Column("profile", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("last_at", BigInteger, nullable=False),
    Index("identities_account", "account_id"),
    sqlite_with_rowid=False,
)

# What may be used once, until it would have run out anyway: ids of signed tokens, codes, states.
spent = Table(
    "spent",
    METADATA,
    Column("purpose", Name, primary_key=True),
    Column("value", Name, primary_key=True),
    Column("until", BigInteger, nullable=False),
    Index("spent_until", "until"),
    sqlite_with_rowid=False,
)

# Failed attempts to sign in, by account and by address.
attempts = Table(
    "attempts",
    METADATA,
    Column("key", Name, primary_key=True),
    Column("count", Integer, nullable=False),
    Column("last_at", BigInteger, nullable=False),
    Column("blocked_until", BigInteger, nullable=False),
    Index("attempts_last", "last_at"),
    sqlite_with_rowid=False,
)

audit = Table(
    "audit",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("who", Name, nullable=False),
    Column("via", Text, nullable=False),
    Column("token_id", Id),
    Column("source", Text, nullable=False),
    Column("kind", Name, nullable=False),
    Column("what", Name, nullable=False),
    Column("details", Text, nullable=False),
    Column("before", Text),
    Column("after", Text),
    Index("audit_who", "who", "id"),
    Index("audit_what", "what", "id"),
    # A number that is gone is never given again: who looks for a gap finds it.
    sqlite_autoincrement=True,
)

# Each seals the records from first to last, and the seal before it.
seals = Table(
    "seals",
    METADATA,
    Column("last", Id, primary_key=True),
    Column("first", Id, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("root", Text, nullable=False),
    Column("sealed_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
