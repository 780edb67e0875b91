"""A private OpenLDAP for one test module: a small directory on loopback, gone with the block."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import attrs
from live_server import free_port

START_SECONDS = 30.0
BASE = "dc=example,dc=test"
PEOPLE = f"ou=people,{BASE}"
GROUPS = f"ou=groups,{BASE}"
SERVICE = f"cn=svc,{BASE}"
SERVICE_PASSWORD = "svc-pw"
ADMIN = f"cn=admin,{BASE}"
ADMIN_PASSWORD = "admin-pw"
#: Each has the password NAME-pw, whatever is in the name.
NAMES = ("alice", "bob", "o'hara", "star*", "(round)", "back\\slash", "Ümit")
PLACES = ("/usr/sbin", "/usr/local/sbin", "/usr/libexec", "/usr/lib/openldap")
SCHEMAS = ("/etc/ldap/schema", "/etc/openldap/schema", "/usr/local/etc/openldap/schema")
MODULES = ("/usr/lib/ldap", "/usr/lib64/openldap", "/usr/lib/openldap")


class NoSlapdError(Exception):
    """There is no OpenLDAP to test with; the message says what is missing."""


@attrs.define
class Slapd:
    """A server that can be stopped and started again, with what it holds."""

    folder: Path
    program: str
    port: int
    tls_port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"ldap://127.0.0.1:{self.port}"

    @property
    def tls_url(self) -> str:
        return f"ldaps://127.0.0.1:{self.tls_port}"

    @property
    def authority(self) -> Path:
        """The certificate that signs the server's."""
        return self.folder / "ca.pem"

    def start(self) -> None:
        """Start it; returns when it listens."""
        command = [self.program, "-f", f"{self.folder}/slapd.conf", "-d", "0"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*_bound_to_us(), *command, "-h", f"{self.url}/ {self.tls_url}/"],
                stdout=log,
                stderr=log,
            )
        until = time.monotonic() + START_SECONDS
        while not (_listens(self.port) and _listens(self.tls_port)):
            if self.process.poll() is not None or time.monotonic() > until:
                text = (self.folder / "log").read_text(errors="replace")
                raise NoSlapdError(f"slapd did not start: {text}")
            time.sleep(0.02)

    def stop(self) -> None:
        """End it, if it runs."""
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None

    def change(self, ldif: str) -> None:
        """Add or modify entries, as the directory's administrator."""
        self._run("ldapmodify", "-a", given=ldif)

    def set_password(self, name: str, password: str) -> None:
        """Give somebody another password."""
        self.change(
            f"dn: {dn_of(name)}\nchangetype: modify\nreplace: userPassword\n"
            f"userPassword: {password}\n"
        )

    def _run(self, program: str, *words: str, given: str) -> None:
        command = [program, "-x", "-H", self.tls_url, "-D", ADMIN, "-w", ADMIN_PASSWORD, *words]
        done = subprocess.run(
            command,
            input=given.encode(),
            capture_output=True,
            check=False,
            env={**os.environ, "LDAPTLS_CACERT": str(self.authority)},
        )
        if done.returncode:
            raise NoSlapdError(f"{program} failed: {done.stderr.decode()}")


@contextlib.contextmanager
def slapd(*, encrypted: bool = True) -> Iterator[Slapd]:
    """Yield a running server with PEOPLE and GROUPS in it.

    Where it is ``encrypted``, it takes no password over a connection without TLS.  It takes an
    empty one for an anonymous visit that succeeds, as some directories do.  NoSlapdError says
    that there is none.
    """
    program = shutil.which("slapd", path=os.pathsep.join([os.environ.get("PATH", ""), *PLACES]))
    for name, found in {"slapd": program, "ldapmodify": None, "openssl": None}.items():
        if not (found or shutil.which(name)):
            raise NoSlapdError(f"{name} is not installed (Debian: slapd, ldap-utils, openssl)")
    folder = Path(tempfile.mkdtemp(prefix="repocore-slapd-"))
    try:
        (folder / "db").mkdir()
        sign(folder, "ca", "server")
        (folder / "slapd.conf").write_text(_configuration(folder, encrypted=encrypted), "utf-8")
        server = Slapd(folder, str(program), free_port(), free_port())
        server.start()
        try:
            server.change(_content())
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def dn_of(name: str) -> str:
    """The entry of one of NAMES."""
    return "uid=" + name.replace("\\", "\\\\") + f",{PEOPLE}"


def sign(folder: Path, authority: str, server: str) -> None:
    """Make NAME.pem and NAME.key of an authority, and of a server at 127.0.0.1 that it signs."""
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    made = ("-keyout", f"{folder}/{authority}.key", "-out", f"{folder}/{authority}.pem")
    usage = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
    _openssl("req", "-x509", *key, "-days", "3", "-subj", "/CN=tests", *usage, *made)
    request = ("-keyout", f"{folder}/{server}.key", "-out", f"{folder}/{server}.csr")
    _openssl("req", "-new", *key, "-subj", "/CN=directory", *request)
    (folder / "extensions").write_text("subjectAltName=IP:127.0.0.1\n", "utf-8")
    signer = ("-CA", f"{folder}/{authority}.pem", "-CAkey", f"{folder}/{authority}.key")
    files = ("-in", f"{folder}/{server}.csr", "-out", f"{folder}/{server}.pem")
    more = ("-CAcreateserial", "-days", "3", "-extfile", f"{folder}/extensions")
    _openssl("x509", "-req", *signer, *files, *more)


def _openssl(*words: str) -> None:
    done = subprocess.run(["openssl", *words], capture_output=True, check=False, text=True)
    if done.returncode:
        raise NoSlapdError(f"openssl {words[0]} failed: {done.stderr}")


def _configuration(folder: Path, *, encrypted: bool) -> str:
    modules = next((place for place in MODULES if Path(place).is_dir()), None)
    load = f"modulepath {modules}\nmoduleload back_mdb\nmoduleload memberof\n" if modules else ""
    schemas = next((place for place in SCHEMAS if Path(place).is_dir()), None)
    if schemas is None:
        raise NoSlapdError("the schemas of slapd are not installed")
    return f"""\
include {schemas}/core.schema
include {schemas}/cosine.schema
include {schemas}/inetorgperson.schema
{load}TLSCACertificateFile {folder}/ca.pem
TLSCertificateFile {folder}/server.pem
TLSCertificateKeyFile {folder}/server.key
pidfile {folder}/pid
allow bind_anon_dn bind_anon_cred
{"security simple_bind=112" if encrypted else ""}
database mdb
suffix "{BASE}"
rootdn "{ADMIN}"
rootpw {ADMIN_PASSWORD}
directory {folder}/db
maxsize 16777216
dbnosync
index objectClass,uid eq
overlay memberof
access to attrs=userPassword by anonymous auth by * none
access to * by users read by * none
"""


def _content() -> str:
    """The whole tree, added while it runs: only so the overlay fills memberOf."""
    service = f"dn: {SERVICE}\nobjectClass: applicationProcess\nobjectClass: simpleSecurityObject"
    entries = [
        f"dn: {BASE}\nobjectClass: dcObject\nobjectClass: organization\no: Example\ndc: example",
        *(f"dn: {dn}\nobjectClass: organizationalUnit\nou: {dn[3:9]}" for dn in (PEOPLE, GROUPS)),
        f"dn: ou=guests,{BASE}\nobjectClass: organizationalUnit\nou: guests",
        f"{service}\ncn: svc\nuserPassword: {SERVICE_PASSWORD}",
        *(_person(name, dn_of(name)) for name in NAMES),
        # One name twice, and one that the directory marks as gone.
        _person("twin", f"uid=twin,{PEOPLE}"),
        _person("twin", f"uid=twin,ou=guests,{BASE}"),
        _person("gone", f"uid=gone,{PEOPLE}") + "\nemployeeType: disabled",
        _group("admins", "alice"),
        _group("developers", "alice", "bob", "o'hara", "back\\slash"),
        _group("R\\2CD", "Ümit"),
    ]
    return "\n\n".join(entries) + "\n"


def _person(name: str, dn: str) -> str:
    return (
        f"dn: {dn}\nobjectClass: inetOrgPerson\nuid: {name}\ncn: {name}\nsn: Example\n"
        f"mail: {name.encode().hex()}@example.test\nuserPassword: {name}-pw"
    )


def _group(name: str, *members: str) -> str:
    listed = "".join(f"\nmember: {dn_of(member)}" for member in members)
    return f"dn: cn={name},{GROUPS}\nobjectClass: groupOfNames{listed}"


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _bound_to_us() -> list[str]:
    # A killed test run leaves no server behind.
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM"] if setpriv else []
