"""The few pages of signing in: plain HTML, without a script.

Everything that comes from elsewhere is escaped; a strict policy (CSP) holds for whatever gets in
all the same.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Final
from urllib.parse import quote

from repocore.http import Response
from repocore.model import Account, Identity, Token

__all__ = ["account_page", "message_page", "sign_in_page", "sign_out_page"]

_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:44rem;margin:3rem auto;padding:0 1rem}"
    "label{display:block;margin:.5rem 0}td,th{text-align:left;padding:.2rem 1rem .2rem 0}"
    "form.inline{display:inline}.note{border-left:4px solid;padding:.2rem 1rem}"
)
_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_FIELDS: Final = (
    ("Content-Type", "text/html; charset=utf-8"),
    (
        "Content-Security-Policy",
        (
            f"default-src 'none'; style-src 'sha256-{_HASH}'; form-action 'self'; "
            "base-uri 'none'; frame-ancestors 'none'"
        ),
    ),
    ("X-Frame-Options", "DENY"),
    # A form says where it comes from, and nobody else is told.
    ("Referrer-Policy", "same-origin"),
    ("Cache-Control", "no-store"),
)


def _page(title: str, body: Iterable[str], status: int = 200) -> Response:
    text = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body><main><h1>{escape(title)}</h1>{''.join(body)}"
        "</main></body></html>"
    )
    return Response(status, text.encode(), _FIELDS)


def _hidden(fields: Mapping[str, str]) -> str:
    return "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
        for name, value in fields.items()
    )


def sign_in_page(
    above: str,
    providers: Sequence[tuple[str, str]],
    fields: Mapping[str, str],
    problem: str = "",
    status: int = 200,
) -> Response:
    """The ways to sign in: each provider by name and title, and a password.

    ``above`` is the path of the application, ``fields`` go along with the form.
    """
    place = quote(fields.get("next", ""), safe="")
    links = [
        f'<li><a id="with-{escape(name)}" href="{escape(above)}/auth/{escape(name)}/login'
        f'?next={escape(place)}">Sign in with {escape(title)}</a></li>'
        for name, title in providers
    ]
    body = [
        f'<p class="note" role="alert">{escape(problem)}</p>' if problem else "",
        f"<ul>{''.join(links)}</ul>" if links else "",
        (
            f'<form method="post" action="{escape(above)}/auth/login">{_hidden(fields)}'
            '<label>User <input name="username" autocomplete="username" required></label>'
            '<label>Password <input name="password" type="password" '
            'autocomplete="current-password" required></label>'
            '<button id="sign-in">Sign in</button></form>'
        ),
    ]
    return _page("Sign in", body, status)


def sign_out_page(above: str, word: str) -> Response:
    """The question whether somebody wants to leave: a link from elsewhere must not do it."""
    form = f'<form method="post" action="{escape(above)}/auth/logout">{_hidden({"csrf": word})}'
    return _page("Sign out", [form, '<button id="sign-out">Sign out</button></form>'])


def message_page(title: str, message: str, above: str, status: int) -> Response:
    """What did not work out, and the way back."""
    link = f'<p><a href="{escape(above)}/auth/login">Sign in</a></p>'
    return _page(title, [f'<p class="note" role="alert">{escape(message)}</p>', link], status)


def account_page(
    above: str,
    account: tuple[str, Account | None],
    tokens: Iterable[Token],
    identities: Iterable[Identity],
    word: str,
    secret: str = "",
) -> Response:
    """Who has signed in, under which name: groups, tokens, identities.

    ``secret`` is that of a token that was made just now, and is never shown again.
    """
    name, known = account
    groups = ", ".join(sorted(known.groups)) if known else ""
    note = (
        '<p class="note" role="status">Copy the token now; it is shown this once: '
        f'<code id="secret">{escape(secret)}</code></p>'
    )
    body = [
        f'<p>Signed in as <strong id="name">{escape(name)}</strong>.</p>',
        f'<p>Groups: <span id="groups">{escape(groups) or "none"}</span>.</p>',
        note if secret else "",
        *_identities(identities),
        *(_tokens(above, tokens, word) if known else ()),
        (
            f'<form method="post" action="{escape(above)}/auth/logout">{_hidden({"csrf": word})}'
            '<button id="sign-out">Sign out</button></form>'
        ),
    ]
    return _page("Your account", body)


def _identities(identities: Iterable[Identity]) -> list[str]:
    names = ", ".join(escape(one.provider) for one in identities)
    return [f'<p>You sign in with: <span id="providers">{names}</span>.</p>'] if names else []


def _row(above: str, token: Token, word: str) -> str:
    until = f"{token.expires_at:%Y-%m-%d}" if token.expires_at else "never"
    cells = (token.name, token.prefix, until)
    action = f"{escape(above)}/account/tokens/{token.id}/revoke"
    return (
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}<td>"
        f'<form class="inline" method="post" action="{action}">{_hidden({"csrf": word})}'
        f'<button id="revoke-{token.id}">Revoke</button></form></td></tr>'
    )


def _tokens(above: str, tokens: Iterable[Token], word: str) -> list[str]:
    table = "".join(_row(above, token, word) for token in tokens)
    heads = "<tr><th>Name</th><th>Begins with</th><th>Until</th><th></th></tr>"
    return [
        "<h2>Tokens</h2>",
        f'<table id="tokens">{heads}{table}</table>' if table else "<p>You have none.</p>",
        (
            f'<form method="post" action="{escape(above)}/account/tokens">{_hidden({"csrf": word})}'
            '<label>Name <input name="name" required maxlength="100"></label>'
            '<label>Days <input name="days" type="number" min="1" max="36500" value="90"></label>'
            '<button id="make-token">Make a token</button></form>'
        ),
    ]
