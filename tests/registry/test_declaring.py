"""What the settings say of access: there at the start, and no more than that."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

import repocore
from repocore import (
    Action,
    ApiKey,
    ConfigurationError,
    NotAuthenticatedError,
    RejectedError,
    Resource,
)
from repocore.config import (
    AccountSettings,
    BindingSettings,
    RoleSettings,
    Secret,
    Settings,
    TokenSettings,
)
from repocore.model import Binding, Role

MAIN = Resource("conan", "main")
ROBOT = AccountSettings(
    name="robot",
    service=True,
    groups=("ci",),
    email="ci@crew.example",
    token=(
        TokenSettings(name="upload", secret=Secret("of-the-vault-0123456789")),
        TokenSettings(
            name="look", secret=Secret("of-the-vault-9876543210"), allow=("read:conan/main/**",)
        ),
    ),
)
UPLOADER = RoleSettings(name="uploader", actions=(Action.READ, Action.WRITE))


def declared(settings: Settings, **more: object) -> Settings:
    values = {
        "role": (UPLOADER,),
        "binding": (BindingSettings(subject="group:ci", role="uploader", pattern="conan/main"),),
        "account": (ROBOT,),
    }
    return attrs.evolve(settings, **{**values, **more})


def may(registry: repocore.Registry, key: str, action: Action) -> bool:
    return registry.connect(ApiKey(key)).allowed(action, MAIN)


def test_a_declared_account_works_from_the_first_request(settings) -> None:
    """Its tokens are known before the server is, each with its own scope."""
    for _ in range(2):
        with repocore.open_registry(settings=declared(settings)) as registry:
            admin = registry.session(registry.admin())
            [account] = [one for one in admin.accounts.list() if one.name == "robot"]
            assert (account.service, account.groups) == (True, {"ci"})
            assert account.email == "ci@crew.example"
            assert len(admin.accounts.tokens("robot")) == 2
            assert may(registry, "of-the-vault-0123456789", Action.WRITE)
            assert may(registry, "of-the-vault-9876543210", Action.READ)
            assert not may(registry, "of-the-vault-9876543210", Action.WRITE)
            with pytest.raises(NotAuthenticatedError):
                registry.connect(ApiKey("of-the-vault-5555555555"))


def test_another_secret_in_its_place_revokes_the_one_before(settings) -> None:
    """The token of that name has one secret; the others stay."""
    with repocore.open_registry(settings=declared(settings)):
        pass
    changed = TokenSettings(name="upload", secret=Secret("brand-new-in-the-vault"))
    robot = attrs.evolve(ROBOT, token=(changed, ROBOT.token[1]))
    with repocore.open_registry(settings=declared(settings, account=(robot,))) as registry:
        assert may(registry, "brand-new-in-the-vault", Action.WRITE)
        assert may(registry, "of-the-vault-9876543210", Action.READ)
        with pytest.raises(NotAuthenticatedError):
            registry.connect(ApiKey("of-the-vault-0123456789"))


def test_what_is_revoked_stays_revoked(settings) -> None:
    """A restart does not undo what an administrator did."""
    for _ in range(2):
        with repocore.open_registry(settings=declared(settings)) as registry:
            room = registry.session(registry.admin()).accounts
            [token] = [one for one in room.tokens("robot") if one.name == "upload"]
            room.revoke_token(token.id)
            with pytest.raises(NotAuthenticatedError):
                registry.connect(ApiKey("of-the-vault-0123456789"))


def test_a_secret_belongs_to_one_account(settings) -> None:
    """Whoever sends it could be either."""
    other = attrs.evolve(ROBOT, name="other")
    with (
        pytest.raises(ConfigurationError, match="upload of other is also one of robot"),
        repocore.open_registry(settings=declared(settings, account=(ROBOT, other))),
    ):
        pass


def test_a_binding_of_a_role_that_is_not_there_is_an_error(settings) -> None:
    """With its place in the settings; roles of the catalog cannot be counted on."""
    bad = BindingSettings(subject="*", role="janitor")
    with (
        pytest.raises(ConfigurationError, match=r"binding\[0\].role: there is no role janitor"),
        repocore.open_registry(settings=declared(settings, binding=(bad,))),
    ):
        pass


def test_what_the_settings_say_is_not_changed_elsewhere(settings) -> None:
    """A declared role goes before a stored one of its name; a declared binding has no number."""
    with repocore.open_registry(settings=settings) as registry:
        registry.session(registry.admin()).roles.add(
            Role(name="uploader", actions=frozenset({Action.DELETE}))
        )
    with repocore.open_registry(settings=declared(settings)) as registry:
        room = registry.session(registry.admin()).roles
        [role] = [one for one in room.list() if one.name == "uploader"]
        assert role.actions == {Action.READ, Action.WRITE}
        for change in (lambda: room.remove("uploader"), lambda: room.add(role)):
            with pytest.raises(RejectedError, match="stands in the settings"):
                change()
        [binding] = room.bindings()
        assert binding == Binding(subject="group:ci", role="uploader", pattern="conan/main")


def test_a_service_account_has_no_password(settings) -> None:
    """Neither at first nor later."""
    with repocore.open_registry(settings=declared(settings)) as registry:
        room = registry.session(registry.admin()).accounts
        with pytest.raises(RejectedError, match="no password"):
            room.set_password("robot", "right")
        with pytest.raises(RejectedError, match="no password"):
            room.add("other", "right", service=True)


def test_they_are_read_from_a_file(tmp_path: Path) -> None:
    """As the reference has it; the secret from the environment."""
    file = tmp_path / "repocore.toml"
    file.write_text(
        """
[[role]]
name = "uploader"
actions = ["read", "write"]

[[binding]]
subject = "group:ci"
role = "uploader"
pattern = "conan/main"

[[account]]
name = "robot"
service = true
groups = ["ci"]

[[account.token]]
name = "upload"
secret = { env = "ROBOT_TOKEN" }
""",
        encoding="utf-8",
    )
    environ = {"ROBOT_TOKEN": "of-the-vault-0123456789"}
    with repocore.open_registry(
        settings=repocore.config.load_settings(data=tmp_path, config=file, environ=environ)
    ) as registry:
        assert may(registry, "of-the-vault-0123456789", Action.WRITE)


def test_a_declared_secret_goes_wherever_a_token_goes(settings) -> None:
    """As a key, as a bearer, and in the place of a password; others' are what they were."""
    secret = "of-the-vault-0123456789"
    with repocore.open_registry(settings=declared(settings)) as registry:
        admin = registry.session(registry.admin())
        admin.accounts.add("ann", secret)
        for sent in (
            ApiKey(secret),
            repocore.Bearer(secret),
            repocore.Password("robot", secret),
            repocore.Password("__token__", secret),
        ):
            assert registry.authenticate(sent).name == "robot"
        assert registry.authenticate(repocore.Password("ann", secret)).via == "password"
        for wrong in (repocore.Bearer(f"{secret}x"), repocore.Password("robot", f"{secret}x")):
            with pytest.raises(NotAuthenticatedError):
                registry.authenticate(wrong)


def test_an_account_of_the_settings_is_removed_there(settings) -> None:
    """Here it would come again with the next start, and a revoked token with it."""
    with repocore.open_registry(settings=declared(settings)) as registry:
        admin = registry.session(registry.admin())
        with pytest.raises(RejectedError, match="stands in the settings"):
            admin.accounts.remove("robot")
    with repocore.open_registry(settings=settings) as registry:
        registry.session(registry.admin()).accounts.remove("robot")
