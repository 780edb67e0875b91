"""What tells growth from noise, and what excuses an answer: judged by series that are known."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

import pytest
from history_players import Place
from recorder import QuietHandler, serving
from soak_load import AFTER, Faulty, Soak, soaking
from soak_plot import plot
from soak_watch import MIB, Sample, Watch, growths, read_samples, slope, write_samples
from tide_uploads import notes

MINUTES = 20
SPAN = MINUTES * 60


def series(leak: float = 0.0, descriptors: float = 0.0, name: str = "server0") -> list[Sample]:
    """A process of 120 MiB with noise, peaks and a warm-up; what it loses is told an hour."""
    chance = random.Random(4)
    found: list[Sample] = []
    for at in range(0, SPAN, 5):
        warm = 30 * MIB * min(at / 300, 1)
        peak = 20 * MIB if chance.random() < 0.05 else 0
        resident = 90 * MIB + warm + peak + chance.uniform(-1, 1) * MIB + leak * at / 3600
        kept = 20 + chance.choice([0, 0, 1, 2]) + descriptors * at / 3600
        found.append(Sample(float(at), name, 7, int(resident), int(kept), 5))
    return found


def grown(samples: list[Sample]) -> dict[str, float]:
    return {one.what: one.grown for one in growths(samples, warm_up=0.3)}


def test_noise_peaks_and_a_warm_up_are_no_growth() -> None:
    """However much higher the end is than the beginning."""
    found = grown(series())
    assert abs(found["resident"]) < MIB
    assert abs(found["descriptors"]) < 0.5


@pytest.mark.parametrize("leak", [30, 100])
def test_a_leak_is_seen(leak: int) -> None:
    """By what it loses in the time that is judged."""
    found = grown(series(leak * MIB, descriptors=leak))
    judged = (SPAN - 360) / 3600
    assert found["resident"] == pytest.approx(leak * MIB * judged, rel=0.1)
    assert found["descriptors"] == pytest.approx(leak * judged, rel=0.15)


def test_a_series_is_a_process() -> None:
    """One that was restarted is judged anew, and what lived too shortly is not judged at all."""
    again = [Sample(one.seconds + SPAN, "server0", 8, 1, 1, 1) for one in series()]
    found = list(growths(series() + again[:20], warm_up=0.3, least=300))
    assert {(one.process, one.pid) for one in found} == {("server0", 7)}
    assert "MiB" in found[0].told()
    assert slope([]) == slope([(1.0, 2.0)]) == 0.0


def test_samples_are_read_as_they_were_written(tmp_path: Path) -> None:
    """In a form that other programs read as well."""
    write_samples(series()[:3], tmp_path / "samples.csv")
    assert read_samples(tmp_path / "samples.csv") == series()[:3]


def test_a_process_is_sampled_until_it_ends() -> None:
    """By what Linux says of it."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with Watch(lambda: {"child": child.pid, "me": os.getpid()}, 0.01) as watch:
        while len([one for one in watch.samples if one.process == "child"]) < 3:
            time.sleep(0.01)
        child.communicate(b"\n")
        seen = len(watch.samples)
        while len(watch.samples) < seen + 3:
            time.sleep(0.01)
    mine = [one for one in watch.samples if one.process == "me"]
    assert mine[0].resident > 10 * MIB
    assert mine[0].descriptors >= 3
    assert watch.samples[-1].process == "me"


def test_only_a_fault_excuses_an_answer() -> None:
    """Of its kind, of its server, and while it lasts."""
    faulty = Faulty()
    before = time.monotonic()
    assert faulty.excuse(before, 1, None) is None
    with faulty.window("restart", 1):
        assert faulty.excuse(before, 1, None) == "restart"
        assert faulty.excuse(before, 0, None) is None
        assert faulty.excuse(before, 1, 503) is None
    with faulty.window("store"):
        assert faulty.excuse(before, 0, None) == "store"
        assert faulty.excuse(before, 0, 503) == "store"
        assert faulty.excuse(before, 0, 500) is None
    ended = time.monotonic()
    assert faulty.excuse(before, 0, 503) == "store"
    assert faulty.excuse(ended + AFTER, 0, 503) is None
    assert [what for _, _, what in faulty.told()] == ["restart", "store"]


def test_the_plot_has_a_line_for_each_life_of_a_process() -> None:
    """In two panels, with what was broken behind it; any viewer reads it."""
    samples = series() + series(name="<worker>")
    root = ET.fromstring(plot(samples, [(60.0, 90.0, "store")], "A run & its faults"))
    kinds = [one.tag.rpartition("}")[2] for one in root.iter()]
    assert kinds.count("polyline") == 4
    text = "".join(root.itertext())
    assert "<worker>" in text
    assert "resident memory" in text
    assert "A run & its faults" in text


class Failing(QuietHandler):
    """Answers everything with an error."""

    def do_any(self) -> None:
        self.body()
        self.send_response_only(503)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"busy")

    do_GET = do_PUT = do_POST = do_DELETE = do_any  # noqa: N815 (http.server's names)


@pytest.mark.parametrize("excused", [True, False])
def test_an_error_that_nobody_has_injected_ends_the_soak(excused: bool, tmp_path: Path) -> None:
    """The same answer is counted, and asked for again, where the store is known to fail."""
    faulty = Faulty()
    with serving(Failing) as address:
        soak = Soak(
            ports=[urlsplit(address).port or 0],
            signed="Bearer x",
            seed=1,
            note=notes(tmp_path / "log"),
            faulty=faulty,
            places=[Place("conan", ("conan/a", "conan/b"), "x/1@_/_")],
            rate=1000,
        )

        def until_wrong() -> None:
            while not soak.wrong and soak.counts.get("not answered, for a fault: store", 0) < 20:
                time.sleep(0.01)

        if excused:
            with faulty.window("store"), soaking(soak):
                until_wrong()
        else:
            with pytest.raises(AssertionError, match="503 busy"), soaking(soak):
                until_wrong()
