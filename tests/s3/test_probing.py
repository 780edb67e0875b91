"""What is found out at start, and what is said where it is not good enough."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import attrs
import pytest
from s3_faults import Fault, rapids

from repocore.config import Secret
from repocore.errors import ConfigurationError, StorageError
from repocore_s3.bucket import Bucket
from repocore_s3.clients import Clients
from repocore_s3.probing import Capabilities, probe, probe_uploads
from repocore_s3.settings import Place
from repocore_s3.storage import open_storage


def refused(bucket, writable=True):
    with pytest.raises(ConfigurationError) as told:
        probe(bucket, writable=writable)
    [problem] = told.value.problems
    return problem


def test_the_mock_is_known(moto, caplog):
    """What it lacks is said in the log; a store of one's own may lack something else."""
    caplog.set_level(logging.INFO, "repocore_s3")
    corner = moto.place()
    assert probe(corner.bucket, writable=True) == Capabilities(
        md5_tags=True, conditional_create=True, bulk_delete=True
    )
    assert "lacks: checking of Content-MD5, checking of x-amz-checksum" in caplog.text
    assert corner.names() == []


def test_without_a_probe_nothing_is_known():
    """And all of it is lacking, as far as anybody knows."""
    assert len(Capabilities().lacking) == len(attrs.fields(Capabilities)) == 5


@pytest.mark.s3_real
def test_a_real_store_refuses_what_was_spoilt(real_store):
    """It looks at Content-MD5; the rest differs from store to store."""
    found = probe(real_store.place().bucket, writable=True)
    assert found.content_md5
    assert found.md5_tags


def test_a_store_without_bulk_delete(moto):
    """It is not needed, and the server starts."""
    fault = Fault("POST", "delete", status=400, code="InvalidRequest")
    with rapids(moto.settings.endpoint, fault) as way:
        corner = moto.place(endpoint=way.address)
        found = probe(corner.bucket, writable=True)
        assert corner.names() == []
    assert not found.bulk_delete
    assert found.conditional_create


def test_a_store_without_conditional_create(moto):
    """It writes as if it had not been asked, or answers that it cannot."""
    corner = moto.place(retries=1)

    def unconditional(params, **_):
        params["headers"].pop("If-None-Match", None)

    events = corner.bucket._clients.inner().meta.events
    events.register("before-call.s3.PutObject", unconditional)
    assert not probe(corner.bucket, writable=True).conditional_create
    events.unregister("before-call.s3.PutObject", unconditional)

    def unable(params, **_):
        if "If-None-Match" in params["headers"]:
            refusal = {"Error": {"Code": "NotImplemented"}}
            refusal["ResponseMetadata"] = {"HTTPStatusCode": 501}
            return SimpleNamespace(status_code=501), refusal
        return None

    events.register("before-call.s3.PutObject", unable)
    assert not probe(corner.bucket, writable=True).conditional_create
    events.unregister("before-call.s3.PutObject", unable)
    assert probe(corner.bucket, writable=True).conditional_create
    assert corner.names() == []


REFUSALS = [
    (404, "NoSuchBucket", "", {}, "there is no such bucket; make it"),
    (403, "InvalidAccessKeyId", "", {}, "does not know the access key"),
    (403, "SignatureDoesNotMatch", "", {}, "correct `secret_key`"),
    (403, "RequestTimeTooSkewed", "", {}, "set the clock"),
    (403, "AccessDenied", "", {}, "they need GetObject, PutObject"),
    (400, "ExpiredToken", "", {}, "have expired"),
    (400, "InvalidBucketName", "", {}, "does not take the bucket's name"),
    (
        400,
        "AuthorizationHeaderMalformed",
        "<Region>eu-north-1</Region>",
        {},
        'another region; set `region` = "eu-north-1"',
    ),
    (
        301,
        "PermanentRedirect",
        "",
        {"x-amz-bucket-region": "eu-north-1"},
        'another region; set `region` = "eu-north-1"',
    ),
    (400, "IllegalLocationConstraintException", "", {}, "another region; set `region`"),
    (400, "Strange", "", {}, "answered Strange; is `endpoint` that of a store like S3?"),
]


@pytest.mark.parametrize(("status", "code", "more", "fields", "sentence"), REFUSALS)
def test_refusals_say_what_to_do(moto, status, code, more, fields, sentence):
    """Each in one sentence, after what was tried."""
    answer = Fault(
        "GET", "harbour", times=99, status=status, code=code, more=more, fields=dict(fields)
    )
    # Who is sent elsewhere asks there where the bucket is.
    elsewhere = Fault("HEAD", "harbour", times=99, status=status, code=code, fields=dict(fields))
    with rapids(moto.settings.endpoint, answer, elsewhere) as way:
        corner = moto.place(endpoint=way.address, retries=0)
        problem = refused(corner.bucket)
    assert problem.startswith("plugins.s3: reading: ")
    assert sentence in problem


@pytest.mark.parametrize(
    ("fault", "doing"),
    [
        (Fault("PUT", "probe", times=9, status=403, code="AccessDenied"), "writing"),
        (Fault("GET", "list-type", times=9, status=403, code="AccessDenied"), "listing"),
        (Fault("DELETE", "probe", times=9, status=403, code="AccessDenied"), "deleting"),
    ],
)
def test_what_was_refused_is_named(moto, fault, doing):
    """Whoever grants permissions knows which is missing."""
    with rapids(moto.settings.endpoint, fault) as way:
        bucket = moto.place(endpoint=way.address, retries=0).bucket
        assert refused(bucket).startswith(f"plugins.s3: {doing}: ")


def test_a_bucket_that_is_not_there(store):
    """As the store itself says it."""
    gone = Bucket(store.clients, Place("repocore-gone-with-the-tide", ""), store.settings)
    for writable in (True, False):
        assert "there is no such bucket" in refused(gone, writable)


def test_something_else_at_the_end_point(moto):
    """It answers, but it is no store: it has whatever one asks for."""
    with rapids(moto.settings.endpoint, Fault("GET", "probe", times=9, status=200)) as way:
        problem = refused(moto.place(endpoint=way.address).bucket)
    assert "an object that is not there; is `endpoint` that of a store like S3?" in problem


@pytest.mark.parametrize(
    "fault",
    [
        Fault("GET", "probe", times=99, status=503),
        Fault("GET", "probe", times=99, status=500, code="InternalError"),
        Fault("GET", "probe", times=99, lose=True),
    ],
    ids=["busy", "failing", "breaking"],
)
def test_a_store_that_is_out_of_order(moto, fault):
    """That is no mistake of the settings: whoever starts the server may try again."""
    with rapids(moto.settings.endpoint, fault) as way:
        bucket = moto.place(endpoint=way.address, retries=0).bucket
        with pytest.raises(StorageError, match=r"try again later|does not answer"):
            probe(bucket, writable=True)


def test_a_full_store_is_started_with(moto, caplog):
    """There is reading, and deleting what makes room."""
    fault = Fault("PUT", "probe", times=99, status=403, code="QuotaExceeded")
    with rapids(moto.settings.endpoint, fault) as way:
        bucket = moto.place(endpoint=way.address, retries=0).bucket
        assert probe(bucket, writable=True) == Capabilities()
    assert "the object store is full" in caplog.text


def test_no_credentials(moto):
    """Nobody says who we are."""
    chosen = attrs.evolve(moto.settings, access_key=Secret(), secret_key=Secret())
    bucket = Bucket(Clients(chosen), Place(moto.bucket, ""), chosen)
    assert "there are no credentials; set `access_key`" in refused(bucket)


@pytest.mark.s3_real
def test_wrong_credentials(real_store):
    """A real store looks at keys and signatures."""
    for wrong in ({"access_key": Secret("nobody")}, {"secret_key": Secret("wrong")}):
        chosen = attrs.evolve(real_store.settings, **wrong)
        bucket = Bucket(Clients(chosen), Place(real_store.bucket, ""), chosen)
        problem = refused(bucket)
        assert "key" in problem or "credentials" in problem
        assert str(real_store.settings.secret_key) not in problem


def test_direct_uploads_are_tried_at_start(store):
    """Nothing is left of it; without them nothing is begun."""
    corner = store.place()
    probe_uploads(corner.bucket)
    assert list(corner.bucket.uploads("")) == []
    with rapids(store.settings.endpoint) as way:
        settings = attrs.evolve(corner.settings, endpoint=way.address)
        open_storage(corner.place, settings)
        assert not any("uploads" in one.path for one in way.exchanges)
        open_storage(corner.place, attrs.evolve(settings, direct_uploads=True), writable=False)
        assert not any("uploads" in one.path for one in way.exchanges)
        open_storage(corner.place, attrs.evolve(settings, direct_uploads=True))
        assert any("uploads" in one.path for one in way.exchanges)


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        (Fault("GET", "uploadId", status=403, code="AccessDenied"), ConfigurationError, "grant"),
        (Fault("POST", "uploads", status=403, code="AccessDenied"), ConfigurationError, "PutObj"),
        (Fault("GET", "uploadId", status=503), StorageError, "too much to do"),
    ],
)
def test_what_direct_uploads_lack_is_told(moto, fault, error, words):
    """The permission that they need besides; nothing is left behind."""
    with rapids(moto.settings.endpoint, fault) as way:
        corner = moto.place(endpoint=way.address, retries=0)
        with pytest.raises(error, match=words):
            probe_uploads(corner.bucket)
        assert list(corner.bucket.uploads("")) == []
