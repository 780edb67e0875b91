"""Run by the Python of an older server: its own authorizer decides, one JSON line each.

In: {"lines": [[pattern, users], ...], "user": name or null, "reference": [name, version, user,
channel]} with null for a user and channel that are not there.  Out: "allow", "deny" or "invalid".
"""

from __future__ import annotations

import json
import sys

from conans.server.service.authorize import BasicAuthorizer


def reference(fields):
    """A reference of the server's own kind; servers of Conan 2 say _ for what is not there."""
    try:
        from conans.model.ref import ConanFileReference  # noqa: PLC0415 - only Conan 1 has it
    except ImportError:
        from conan.api.model import RecipeReference  # noqa: PLC0415 - only Conan 2 has it

        name, version, user, channel = fields
        return RecipeReference(name, version, user or "_", channel or "_")
    return ConanFileReference(*fields)


def decide(lines, user, fields):
    rules = [tuple(line) for line in lines]
    # What the lines say, and nothing else: no rule here is about whose name is in a reference.
    authorizer = BasicAuthorizer(rules, [])
    try:
        authorizer._check_any_rule_ok(user, rules, reference(fields))
    except Exception as error:  # noqa: BLE001 - the servers share no class of errors
        kind = type(error).__name__
        if kind not in {"ForbiddenException", "AuthenticationException"}:
            return "invalid"
        assert (kind == "ForbiddenException") == bool(user)
        return "deny"
    return "allow"


for line in sys.stdin:
    asked = json.loads(line)
    print(json.dumps(decide(asked["lines"], asked["user"], asked["reference"])), flush=True)  # noqa: T201 - the answer
