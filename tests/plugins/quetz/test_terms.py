"""Terms of service of the settings, and their signatures."""

from __future__ import annotations

import pytest

from repocore.config import load_settings
from repocore.plugins.quetz.settings import QuetzSettings


class TestTerms:
    """Where there are some, and they have to be signed."""

    @pytest.fixture
    def settings(self) -> QuetzSettings:
        return QuetzSettings(terms={"en": "Be kind.", "de": "Sei nett."}, terms_required=True)

    def test_terms_are_read_by_everybody(self, quetz) -> None:
        """In every language."""
        told = quetz.value("/api/tos", who=None)
        assert set(told) == {"id", "uploader_id", "files", "time_created"}
        assert [(one["language"], one["content"]) for one in told["files"]] == [
            ("de", "Sei nett."), ("en", "Be kind."),
        ]  # fmt: skip

    def test_who_signs_may_make_channels_and_keys(self, quetz) -> None:
        """And is refused before, with what to do; administrators need not."""
        body = {"description": "", "roles": []}
        for path, asked in (("/api/channels", {"name": "mikes"}), ("/api/api-keys", body)):
            status, detail = quetz.refused(path, "POST", asked, "mike")
            assert (status, "/api/tos/sign" in detail) == (403, True)
        assert quetz.value("/api/tos/status", who="mike") is None
        assert quetz.value("/api/tos/sign", "POST", who="mike") == "TOS signed for mike"
        status = quetz.value("/api/tos/status", who="mike")
        assert set(status) == {"tos_id", "user_id", "time_created"}
        assert status["tos_id"] == quetz.value("/api/tos")["id"]
        assert "already" in quetz.value("/api/tos/sign", "POST", who="mike")
        quetz.channel("mikes", "mike")
        quetz.value("/api/api-keys", "POST", body, "mike")
        quetz.channel("olgas", "olga")

    def test_only_the_present_terms_are_signed(self, quetz) -> None:
        """Not by a stranger, and no others."""
        there = quetz.value("/api/tos")["id"]
        assert quetz.refused("/api/tos/sign", "POST", who=None)[0] == 401
        assert quetz.refused("/api/tos/sign?tos_id=other", "POST", who="mike")[0] == 404
        quetz.value(f"/api/tos/sign?tos_id={there}", "POST", who="mike")

    def test_terms_are_not_uploaded(self, quetz) -> None:
        """They stand in the settings."""
        assert quetz.refused("/api/tos/upload", "POST")[0] == 403
        assert quetz.refused("/api/tos/upload?lang=en", "POST", who="olga")[0] == 422


def test_without_terms_there_is_nothing_to_sign(quetz) -> None:
    """404, and nobody is kept from anything."""
    for path, method in (("", "GET"), ("/status", "GET"), ("/sign", "POST")):
        assert quetz.refused(f"/api/tos{path}", method)[0] == 404
    quetz.channel("mikes", "mike")


class TestQuota:
    """A size for channels that say nothing of theirs."""

    @pytest.fixture
    def settings(self) -> QuetzSettings:
        return QuetzSettings(channel_quota=1000)

    def test_a_channel_has_the_size_of_the_settings(self, quetz) -> None:
        """Unless who administers channels says another."""
        quetz.channel("mikes", "mike")
        quetz.channel("olgas", size_limit=5)
        limits = {one["name"]: one["size_limit"] for one in quetz.value("/api/channels")}
        assert limits == {"mikes": 1000, "olgas": 5}


def test_terms_are_read_from_files(tmp_path) -> None:
    """As any text of the settings."""
    (tmp_path / "en.txt").write_text("Be kind.\n")
    file = tmp_path / "repocore.toml"
    file.write_text(
        "[plugins.quetz]\nterms_required = true\nchannel_quota = '1 GB'\n"
        "[plugins.quetz.terms]\nen = { file = 'en.txt' }\n"
    )
    settings = load_settings(config=file, environ={})
    assert settings.plugins.tables["quetz"]["terms"]["en"].strip() == "Be kind."
