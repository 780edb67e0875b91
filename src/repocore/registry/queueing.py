"""Queue a job within the transaction of the data that it is about."""

from __future__ import annotations

import attrs

from repocore.catalog import Transaction, jobs
from repocore.catalog.jobs import NewJob
from repocore.model import Job
from repocore.registry.services import Services

__all__ = ["queue_job"]


def queue_job(services: Services, transaction: Transaction, new: NewJob) -> Job:
    """Queue a job, or return the one of its kind and key that is queued.

    Who commits the transaction calls ``services.runner.wake()`` and ``services.wake()`` then.
    Raises `KeyError` for a kind that no plugin brings.
    """
    own = services.handlers[new.kind].attempts or services.settings.jobs.attempts
    job = jobs.enqueue(transaction, attrs.evolve(new, max_attempts=new.max_attempts or own))
    services.runner.submit(transaction.emit, job)
    return job
