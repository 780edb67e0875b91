"""An authenticator in one file: who is on a list, with the passwords that the list has.

Name it in repocore.toml:

    [plugins]
    files = ["custom_authenticator.py"]
"""

from __future__ import annotations

import hmac

from repocore import Credentials, NotAuthenticatedError, Password, Principal, hookimpl

GUESTS = {"guest": "please"}


@hookimpl
def repocore_authenticate(credentials: Credentials) -> Principal | None:
    """Say who it is; None for whoever is not on the list, so that the next one is asked."""
    match credentials:
        case Password(name, password) if name in GUESTS:
            if hmac.compare_digest(GUESTS[name].encode(), password.encode()):
                return Principal(name=name, groups=frozenset({"guests"}), via="list")
            message = "Wrong user or password."
            raise NotAuthenticatedError(message)
        case _:
            return None
