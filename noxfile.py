"""Every command of a developer's day; `nox -l` lists them, arguments after -- go to the tool."""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path

import nox

nox.needs_version = ">=2024.10.9"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["lint", "types", "layers", "docs", "changelog", "tests"]

PROJECT = ".[server,postgres,testing,dev]"
FIRST_PYTHON = "3.11"
PYTHONS = [FIRST_PYTHON, "3.12", "3.13", "3.14"]
OLDER_CONAN = "conan==2.12.*"  # at least a year older than the newest that we test
# Extras that plugins of ours want.
OPTIONAL = ("attestations", "htpasswd", "ldap", "oauth", "pam", "s3", "tracing")
WORKERS = str(min(os.cpu_count() or 1, 8))

# Whole here means: each branch of these is run by a test, on every change.
WHOLE = "*/repocore/model/*,*/repocore/registry/*,*/repocore/plugins/rules.py"
OVERALL = 95


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests on each Python that is found, on SQLite and on PostgreSQL if there is one."""
    session.install("-e", PROJECT)
    session.run("pytest", "-n", WORKERS, *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, formatting and spelling."""
    session.install("ruff", "codespell")
    session.run("ruff", "check", *session.posargs)
    session.run("ruff", "format", "--check")
    session.run("codespell")


@nox.session
def types(session: nox.Session) -> None:
    """Check types, strictly."""
    session.install("-e", PROJECT)
    session.run("pyright", *session.posargs)


@nox.session
def layers(session: nox.Session) -> None:
    """Check that imports keep to the floors of the house."""
    session.install("-e", PROJECT)
    session.run("lint-imports", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation without a warning, then run its examples."""
    session.install("-e", PROJECT)
    out = session.create_tmp()
    session.run("sphinx-build", "-n", "-W", "-b", "html", "docs", f"{out}/html", *session.posargs)
    session.run("sphinx-build", "-W", "-b", "doctest", "docs", f"{out}/doctest")


@nox.session
def coverage(session: nox.Session) -> None:
    """Measure which branches the tests run, and hold the line."""
    session.install("-e", PROJECT)
    session.run("coverage", "erase")
    session.run("pytest", "-n", WORKERS, "--cov", "--cov-report=", *session.posargs)
    session.run("coverage", "report", f"--fail-under={OVERALL}")
    session.run("coverage", "report", f"--include={WHOLE}", "--fail-under=100")


@nox.session(python=FIRST_PYTHON)
def minimum(session: nox.Session) -> None:
    """Run the tests with the lowest version of each dependency that is declared."""
    constraints = Path(session.create_tmp(), "lowest.txt")
    constraints.write_text("\n".join(lowest_versions()) + "\n", encoding="utf-8")
    session.install(
        "-e", f".[server,postgres,testing,{','.join(OPTIONAL)}]", "-c", str(constraints)
    )
    session.install("pytest-xdist", "moto[server]", "-c", str(constraints))
    session.run("pytest", "-n", WORKERS, "--ignore=tests/house", *session.posargs)


def lowest_versions() -> list[str]:
    """A pin to its lower bound for each dependency that the product itself declares."""
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = list(project["dependencies"])
    for extra in (*OPTIONAL, "cli", "conda", "jwt", "postgres", "server", "testing", "web"):
        wanted += project["optional-dependencies"][extra]
    pins = []
    for requirement in wanted:
        name, bound, version = requirement.partition(">=")
        if bound:
            exact = version if version.count(".") == 2 else f"{version}.*"  # noqa: PLR2004
            pins.append(f"{name.partition('[')[0]}=={exact}")
    return pins


@nox.session
def postgres(session: nox.Session) -> None:
    """Run the tests that touch PostgreSQL; not having one is an error."""
    session.install("-e", PROJECT)
    session.env["REPOCORE_TEST_POSTGRES"] = os.environ.get("REPOCORE_TEST_POSTGRES") or "require"
    session.run("pytest", "-n", WORKERS, "-m", "postgres and not slow", *session.posargs)


@nox.session
def s3(session: nox.Session) -> None:
    """Run what touches object stores, and real clients, on the store that REPOCORE_TEST_S3 names.

    Its value is a URL, http://KEY:SECRET@host:port/bucket?region=NAME, percent-encoded.  Servers of
    the clients keep their catalogs in PostgreSQL.
    """
    session.install("-e", PROJECT)
    if not os.environ.get("REPOCORE_TEST_S3"):
        session.error("REPOCORE_TEST_S3 names no object store: http://KEY:SECRET@host:port/bucket")
    session.env["REPOCORE_TEST_POSTGRES"] = os.environ.get("REPOCORE_TEST_POSTGRES") or "require"
    session.env["REPOCORE_TEST_VENVS"] = f"{session.create_tmp()}/older"
    session.run("pytest", "-n", WORKERS, "-m", "s3 or clients", *session.posargs)


@nox.session
def machines(session: nox.Session) -> None:
    """Walk the state machines for a long time."""
    session.install("-e", PROJECT)
    session.env.setdefault("HYPOTHESIS_PROFILE", "nightly")
    session.run(
        "pytest", "-n", WORKERS, "-m", "", "tests/machines", "tests/contracts", *session.posargs
    )


@nox.session
def promises(session: nox.Session) -> None:
    """Change channels at random through two servers, for long, and compare all they show."""
    session.install("-e", PROJECT)
    session.env["REPOCORE_TEST_POSTGRES"] = os.environ.get("REPOCORE_TEST_POSTGRES") or "require"
    session.env.setdefault("REPOCORE_PROMISES", "60")
    session.run("pytest", "-n", WORKERS, "-m", "", "tests/promises", *session.posargs)


@nox.session
def histories(session: nox.Session) -> None:
    """Play 1,000 histories of eight clients at two servers, and look for an order of each."""
    session.install("-e", PROJECT)
    session.env["REPOCORE_TEST_POSTGRES"] = os.environ.get("REPOCORE_TEST_POSTGRES") or "require"
    session.env.setdefault("REPOCORE_HISTORIES", "1000")
    session.run("pytest", "-n", "2", "-m", "", "tests/histories", *session.posargs)


@nox.session
def clients(session: nox.Session) -> None:
    """Let real package clients, the newest and older ones, work with a live server.

    The tests make environments of Conan 1 and of older servers by themselves, and keep them here.
    """
    session.install("-e", PROJECT)
    older = Path(session.create_tmp(), "older-conan")
    session.run("python", "-m", "venv", str(older), silent=True)
    session.run(f"{older}/bin/python", "-m", "pip", "install", "-q", OLDER_CONAN, external=True)
    session.env["REPOCORE_TEST_VENVS"] = f"{session.create_tmp()}/older"
    session.env["REPOCORE_CONAN_CLIENTS"] = os.pathsep.join(["newest", f"{older}/bin/conan"])
    session.run("pytest", "-n", WORKERS, "-m", "clients", *session.posargs)


@nox.session
def browser(session: nox.Session) -> None:
    """Sign in through a real Chromium with a real OpenID provider, which npm installs here."""
    session.install("-e", PROJECT)
    session.install("playwright")
    node = session.create_tmp()
    command = ("npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", node)
    session.run(*command, "oidc-provider@^9", external=True)
    session.env["REPOCORE_TEST_NODE"] = node
    session.run("pytest", "-m", "browser", "tests/browser", *session.posargs)


@nox.session
def servers(session: nox.Session) -> None:
    """Set up nginx, Apache, gunicorn and others in front of ours, or around it."""
    session.install("-e", PROJECT)
    session.install("waitress")
    # What one class of tests needs is started once.
    session.run("pytest", "-n", WORKERS, "--dist=loadscope", "-m", "servers", *session.posargs)


@nox.session
def kill(session: nox.Session) -> None:
    """End servers in the middle of 200 uploads, and a fleet 500 times; nothing is half there."""
    session.install("-e", PROJECT)
    session.env.setdefault("REPOCORE_KILLS", "200")
    session.env.setdefault("REPOCORE_FLEET_KILLS", "500")
    session.env.setdefault("REPOCORE_QUEUE_KILLS", "100")
    session.env.setdefault("REPOCORE_TEST_FSYNC", "on")
    session.run("pytest", "-m", "kill", *session.posargs)


@nox.session
def faults(session: nox.Session) -> None:
    """Restart the database, break the storage, move the clock, each for long; crash anywhere."""
    session.install("-e", PROJECT)
    session.env["REPOCORE_TEST_POSTGRES"] = os.environ.get("REPOCORE_TEST_POSTGRES") or "require"
    session.env.setdefault("REPOCORE_FAULTS", "40")
    session.env.setdefault("REPOCORE_TEST_FSYNC", "on")
    session.run("pytest", "-m", "faults", "tests/faults", *session.posargs)


@nox.session
def soak(session: nox.Session) -> None:
    """Load two servers and two workers for 20 minutes, with faults; nothing may grow."""
    session.install("-e", PROJECT)
    session.env["REPOCORE_TEST_POSTGRES"] = os.environ.get("REPOCORE_TEST_POSTGRES") or "require"
    session.env.setdefault("REPOCORE_SOAK", "1200")
    session.env.setdefault("REPOCORE_SOAK_FOLDER", f"{session.create_tmp()}/soak")
    session.run("pytest", "-s", "-m", "soak", "tests/soak", *session.posargs)


@nox.session
def memory(session: nox.Session) -> None:
    """Send bodies of up to 4 GiB up and down, and watch the server's memory."""
    session.install("-e", PROJECT)
    session.run("pytest", "-m", "memory", *session.posargs)


@nox.session
def full_disk(session: nox.Session) -> None:
    """Fill a small disk, as the machine's administrator, and check that nothing is lost."""
    session.install("-e", PROJECT)
    session.run("pytest", "-m", "slow", "tests/disk", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure, beside the ceilings of the machine; see benchmarks/."""
    session.install("-e", PROJECT)
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session(name="bench-conda")
def bench_conda(session: nox.Session) -> None:
    """Measure channels, beside the real conda-index and quetz; see benchmarks/conda.py."""
    session.install("-e", PROJECT)
    session.run("python", "-m", "benchmarks.conda", *session.posargs)


@nox.session(name="bench-access")
def bench_access(session: nox.Session) -> None:
    """Measure decisions and filtered pages among 10,000 repositories and 100,000 rules."""
    session.install("-e", PROJECT)
    session.run("python", "-m", "benchmarks.access", *session.posargs)


@nox.session(name="bench-fleet")
def bench_fleet(session: nox.Session) -> None:
    """Measure what requests cost on SQLite and PostgreSQL, with one server and with two."""
    session.install("-e", PROJECT)
    session.run("python", "-m", "benchmarks.fleet", *session.posargs)


@nox.session(name="bench-queue")
def bench_queue(session: nox.Session) -> None:
    """Measure jobs by rows and by procrastinate, side by side on one PostgreSQL."""
    session.install("-e", PROJECT)
    session.run("python", "-m", "benchmarks.queue", *session.posargs)


@nox.session(name="bench-replica")
def bench_replica(session: nox.Session) -> None:
    """Measure how fast a replica follows its primary; see benchmarks/replica.py."""
    session.install("-e", PROJECT)
    session.run("python", "-m", "benchmarks.replica", *session.posargs)


@nox.session
def scale(session: nox.Session) -> None:
    """Search among 50,000 recipes and import 50,000 packages, within the limits that are set."""
    session.install("-e", PROJECT)
    session.run("python", "-m", "benchmarks.scale", *session.posargs)


@nox.session
def changelog(session: nox.Session) -> None:
    """Render the fragments as the next release would."""
    session.install("towncrier")
    session.run("towncrier", "build", "--draft", "--version", "next", *session.posargs)


@nox.session
def release(session: nox.Session) -> None:
    """Build wheel and sdist, what they install with all extras pinned, and a bill of materials.

    Scanners of dependencies read either list: see docs/how-to/run-the-checks.md.
    """
    session.install("build", "cyclonedx-bom")
    folder = Path(session.posargs[0] if session.posargs else "dist").resolve()
    session.run("python", "-m", "build", "--outdir", str(folder))
    wheel = max(folder.glob("repocore-*.whl"), key=lambda path: path.stat().st_mtime_ns)
    installed = Path(session.create_tmp(), "installed")
    session.run("python", "-m", "venv", "--clear", str(installed), silent=True)
    python = str(installed / "bin" / "python")
    extras = ",".join(("server", "postgres", *OPTIONAL))
    session.run(python, "-m", "pip", "install", "-q", f"{wheel}[{extras}]", external=True)
    pinned = session.run(
        python, "-m", "pip", "freeze", "--exclude", "repocore", external=True, silent=True
    )
    (folder / "requirements.txt").write_text(pinned or "", encoding="utf-8")
    materials = folder / "repocore.cdx.json"
    session.run("cyclonedx-py", "environment", python, "--output-file", str(materials))
    listed = {one["name"].lower() for one in json.loads(materials.read_bytes())["components"]}
    for line in (pinned or "").splitlines():
        name = line.partition("==")[0].lower()
        if name not in listed:
            session.error(f"{name} is installed, and the bill of materials does not list it")
