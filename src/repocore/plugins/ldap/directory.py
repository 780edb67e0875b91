"""A directory over the wire: find the entry of a name, then sign in as it.

Each question starts with a bind, whoever the connection was before: a kept one is whoever signed
in last.  Passwords go out as the bytes that they are: preparing them (RFC 4013) may leave
nothing of one, and a directory answers no password with no refusal (RFC 4513, 5.1.2).
"""

from __future__ import annotations

import contextlib
import math
import re
import ssl
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterator
from typing import Any, Final, TypeVar, cast

import attrs

from repocore.errors import AuthenticatorError, NotAuthenticatedError
from repocore.plugins.ldap.settings import LdapSettings, filled, split_url

with warnings.catch_warnings():
    # The package asks the one below it for names that have other names by now.
    warnings.simplefilter("ignore", DeprecationWarning)
    import ldap3

__all__ = ["Directory", "Person", "refusals"]

T = TypeVar("T")

_LDAP: Final[Any] = ldap3  # it brings no types
_PORTS: Final = {"ldap": 389, "ldaps": 636}
_NAMES: Final = 256
#: Seconds after which an unused connection is not trusted to be there.
_IDLE: Final = 60.0
_SUCCESS: Final = 0
#: What a directory answers to a password that is wrong, or of an account that is locked: no such
#: object, inappropriate authentication, invalid credentials, insufficient rights, unwilling,
#: a violated constraint (RFC 4511, A.2).
_REFUSED: Final = frozenset({19, 32, 48, 49, 50, 53})
_ESCAPE = re.compile(rb"\\([0-9A-Fa-f]{2})|\\(.)", re.DOTALL)


class _DirectoryError(Exception):
    """The directory does not do what it is asked for; for the log."""


@attrs.frozen(kw_only=True)
class Person:
    """The entry of a name: who it is, before the password is known to be right."""

    dn: str
    name: str
    groups: frozenset[str]


def refusals(settings: LdapSettings) -> Iterator[str]:
    """What is wrong with filters and certificates, before anything is asked."""
    for key in ("user_filter", "group_filter"):
        text = filled(getattr(settings, key), name="x", dn="cn=x")
        try:
            _LDAP.operation.search.parse_filter(text, None, False, False, None, False)
        except _LDAP.core.exceptions.LDAPException:
            yield f"`{key}` is no filter; write it as in (uid={{name}})"
    try:
        _context(settings)
    except OSError:  # ssl.SSLError is one
        name = "" if settings.ca_bundle is None else f" {settings.ca_bundle.name}"
        yield f"`ca_bundle`{name} is no readable file of certificates"


def _context(settings: LdapSettings) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=settings.ca_bundle)


class _VerifiedTls(_LDAP.Tls):
    """TLS as Python itself verifies it: the chain, and the name or address of the host."""

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(validate=ssl.CERT_REQUIRED)  # pyright: ignore[reportUnknownMemberType]
        self._context = context

    def wrap_socket(self, connection: Any, do_handshake: bool = False) -> None:  # noqa: FBT001, FBT002 - the package's signature
        connection.socket = self._context.wrap_socket(
            connection.socket, server_hostname=connection.server.host
        )


class Directory:
    """The directory of the settings, through a few connections that are kept.

    Threads may share it.
    """

    def __init__(self, settings: LdapSettings) -> None:
        self._settings = settings
        self._tls = _VerifiedTls(_context(settings))
        self._places = threading.BoundedSemaphore(settings.pool)
        self._idle: list[tuple[Any, float]] = []

    def find(self, name: str) -> Person | None:
        """The person of that name, or None.

        Raises `NotAuthenticatedError` where several have it, and `AuthenticatorError` where the
        directory cannot be asked.
        """
        if not name or len(name) > _NAMES or "\0" in name:
            return None

        def look_up(connection: Any) -> Person | None:
            self._become_ours(connection)
            return self._person(connection, name)

        return self._use(look_up)

    def verify(self, person: Person, password: str) -> bool:
        """Whether the person has that password, which is not empty.

        Raises `AuthenticatorError` where the directory cannot be asked.
        """
        secret = password.encode()

        def sign_in(connection: Any) -> bool:
            code = _bind(connection, person.dn, secret)
            if code != _SUCCESS and code not in _REFUSED:
                raise _DirectoryError(_told(connection))
            return code == _SUCCESS

        return self._use(sign_in)

    def close(self) -> None:
        """Leave the directory.  Idempotent."""
        while self._idle:
            _leave(self._idle.pop()[0])

    # ------------------------------------------------------------------------- questions

    def _person(self, connection: Any, name: str) -> Person | None:
        settings = self._settings
        wanted = [settings.name_attribute, *filter(None, [settings.member_of])]
        text = filled(settings.user_filter, name=name)
        found = _search(connection, settings.user_base, text, wanted, most=2)
        if len(found) > 1:
            message = "The directory has that name more than once; tell the administrator."
            raise NotAuthenticatedError(message)
        if not found:
            return None
        ((dn, attributes),) = found
        names = sorted(_texts(attributes, settings.name_attribute))
        if not names:
            message = f"an entry of user_base has no {settings.name_attribute}"
            raise _DirectoryError(message)
        # One of several names, and always the same one: rules of the others do not get lost.
        own = names[0]
        groups = {
            group
            for group_dn in _texts(attributes, settings.member_of)
            if (group := _first_name(group_dn, settings.group_name_attribute))
        }
        if settings.group_base:
            text = filled(settings.group_filter, name=own, dn=dn)
            key = settings.group_name_attribute
            for _, attributes in _search(connection, settings.group_base, text, [key]):
                groups.update(_texts(attributes, key))
        return Person(dn=dn, name=own, groups=frozenset(groups))

    # ----------------------------------------------------------------------- connections

    def _use(self, ask: Callable[[Any], T]) -> T:
        """Ask on a connection, whoever it is bound as; once more where a kept one has died."""
        limit = self._settings.timeout.total_seconds()
        if not self._places.acquire(timeout=limit):
            message = "Too many people sign in at once; try again."
            raise AuthenticatorError(message)
        try:
            kept = self._kept()
            if kept is not None:
                with contextlib.suppress(_DirectoryError):
                    return self._on(kept, ask)
                self.close()  # the others will not be better
            return self._on(self._connected(), ask)
        except _DirectoryError as error:
            message = "The directory does not answer just now; try again later."
            raise AuthenticatorError(message) from error
        finally:
            self._places.release()

    def _on(self, connection: Any, ask: Callable[[Any], T]) -> T:
        try:
            with _spoken():
                answer = ask(connection)
        except NotAuthenticatedError:
            self._keep(connection)
            raise
        except BaseException:
            _leave(connection)
            raise
        self._keep(connection)
        return answer

    def _become_ours(self, connection: Any) -> None:
        settings = self._settings
        if _bind(connection, settings.bind_dn, settings.bind_password.encode()) != _SUCCESS:
            message = f"bind_dn is refused: {_told(connection)}"
            raise _DirectoryError(message)

    def _kept(self) -> Any | None:
        with contextlib.suppress(IndexError):
            while True:
                connection, since = self._idle.pop()
                if time.monotonic() - since < _IDLE:
                    return connection
                _leave(connection)
        return None

    def _keep(self, connection: Any) -> None:
        # What went over it last held a password.
        connection.password = connection.request = None
        self._idle.append((connection, time.monotonic()))

    def _connected(self) -> Any:
        problems: list[str] = []
        for url in self._settings.urls:
            try:
                return self._open(url)
            except _DirectoryError as error:
                problems.append(f"{url}: {error}")
        raise _DirectoryError("; ".join(problems))

    def _open(self, url: str) -> Any:
        settings, parts = self._settings, split_url(url)
        server = _LDAP.Server(
            parts.hostname,
            port=parts.port or _PORTS[parts.scheme],
            use_ssl=parts.scheme == "ldaps",
            tls=self._tls,
            get_info=_LDAP.NONE,
            connect_timeout=settings.connect_timeout.total_seconds(),
            mode=_LDAP.IP_SYSTEM_DEFAULT,
        )
        connection = _LDAP.Connection(
            server,
            auto_referrals=False,
            check_names=False,
            read_only=True,
            receive_timeout=math.ceil(settings.timeout.total_seconds()),
        )
        try:
            with _spoken():
                connection.open(read_server_info=False)
                if (
                    settings.start_tls
                    and parts.scheme == "ldap"
                    and not connection.start_tls(read_server_info=False)
                ):
                    message = "StartTLS did not start"
                    raise _DirectoryError(message)
        except BaseException:
            _leave(connection)
            raise
        return connection


# ------------------------------------------------------------------------------- one connection


@contextlib.contextmanager
def _spoken() -> Generator[None]:
    """Whatever the package makes of the wire is a `_DirectoryError`."""
    try:
        yield
    except (NotAuthenticatedError, _DirectoryError):
        raise
    # Beside its own errors it lets those of sockets, TLS and ASN.1 through, made by what it heard.
    except Exception as error:
        message = f"{type(error).__name__}: {error}"
        raise _DirectoryError(message) from error


def _leave(connection: Any) -> None:
    """Close it, in whatever state it is; the directory sees the end of the stream."""
    with contextlib.suppress(Exception):
        connection.strategy.close()
    if connection.socket is not None:
        connection.socket.close()


def _bind(connection: Any, dn: str, secret: bytes) -> int:
    """Become somebody, or nobody where the name is empty; the code of the directory's answer."""
    if dn and not secret:
        message = "a name without a password is no sign-in"
        raise _DirectoryError(message)
    connection.user = dn or None
    kind = _LDAP.SIMPLE if dn else _LDAP.ANONYMOUS
    connection.rebind(password=secret, authentication=kind, read_server_info=False)
    return int(connection.result["result"])


def _told(connection: Any) -> str:
    result = connection.result
    return f"{result['description']} ({result['result']}) {result['message']}".rstrip()


def _search(
    connection: Any, base: str, text: str, wanted: list[str], most: int = 0
) -> list[tuple[str, Any]]:
    """The entries found: their names and raw attributes; referrals are not followed.

    With ``most`` there may be more than that many, which are left out.
    """
    connection.search(
        base,
        text,
        search_scope=_LDAP.SUBTREE,
        dereference_aliases=_LDAP.DEREF_NEVER,
        attributes=wanted,
        size_limit=most,
    )
    result = connection.result["result"]
    entries = [one for one in connection.response or () if one["type"] == "searchResEntry"]
    if result != _SUCCESS and not (most and len(entries) >= most):
        message = f"a search below {base} failed: {_told(connection)}"
        raise _DirectoryError(message)
    return [(one["dn"], one["raw_attributes"]) for one in entries]


def _texts(attributes: Any, key: str) -> list[str]:
    """The values of an attribute that are texts."""
    found: list[str] = []
    for value in cast("list[bytes]", attributes.get(key) or ()) if key else ():
        with contextlib.suppress(UnicodeDecodeError):
            found.append(value.decode("utf-8"))
    return found


def _first_name(dn: str, key: str) -> str | None:
    """The value of an attribute in the first part of an entry's name (RFC 4514), if it is there."""
    with contextlib.suppress(_LDAP.core.exceptions.LDAPException):
        for attribute, value, separator in _LDAP.utils.dn.parse_dn(dn):
            if attribute.lower() == key.lower():
                return _unescaped(value)
            if separator != "+":
                break
    return None


def _unescaped(value: str) -> str | None:
    def plain(escape: re.Match[bytes]) -> bytes:
        return bytes([int(escape[1], 16)]) if escape[1] else escape[2]

    with contextlib.suppress(UnicodeDecodeError):
        return _ESCAPE.sub(plain, value.encode()).decode()
    return None
