"""``[logs]`` and ``[tracing]``: what they refuse, and what they are without a word."""

from __future__ import annotations

import pytest

from repocore.config import LogSettings, TracingSettings, dump_settings, load_settings
from repocore.errors import ConfigurationError


def load(folder, text, **environ):
    (folder / "repocore.toml").write_text(text, encoding="utf-8")
    return load_settings(data=folder, environ=environ)


@pytest.mark.parametrize(
    ("section", "line", "said"),
    [
        ("logs", 'format = "xml"', '"text" (for people) or "json"'),
        ("logs", 'level = "loud"', "one of debug, info, warning, error, critical"),
        ("logs", 'access = "yes"', "true or false"),
        ("tracing", 'endpoint = "collector:4318"', "http://collector.example:4318"),
        ("tracing", 'endpoint = "http://ann:hush@collector.example"', "without a user"),
        ("tracing", "sample = 1.5", "between 0 and 1"),
        ("tracing", 'service_name = " "', "some text"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path, section, line, said) -> None:
    """With the setting's name, and what it would take."""
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, f"[{section}]\n{line}\n")
    assert said in str(caught.value)
    assert f"{section}.{line.partition(' ')[0]}" in str(caught.value)


def test_nothing_is_told_by_itself() -> None:
    """No line a request, no span, and nothing to other servers."""
    logs, tracing = LogSettings(), TracingSettings()
    assert (logs.format, logs.level, logs.access) == ("text", "warning", False)
    assert (tracing.endpoint, tracing.sample) == (None, 1.0)
    assert logs.send_request_id is tracing.propagate is False


def test_the_key_of_an_account_is_not_shown(tmp_path) -> None:
    """A collector's fields are secrets wherever they were written."""
    text = (
        '[tracing]\nendpoint = "https://collector.example/custom"\n'
        '[tracing.headers]\nX-Key = { env = "KEY" }\nX-Other = "hush-2"\n'
    )
    settings = load(tmp_path, text, KEY="hush-1")
    assert dict(settings.tracing.headers) == {"X-Key": "hush-1", "X-Other": "hush-2"}
    assert "hush" not in dump_settings(settings) + repr(settings)
