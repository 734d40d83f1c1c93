"""The live service without its HTTP: asks the database, queues requests, keeps models and scorers.

Each method is safe to call from any thread.
"""

from __future__ import annotations

from pathlib import Path

import psutil
from sqlalchemy import Connection

from hormesis.backend.api.completion_messages import CompletionRequest
from hormesis.backend.api.model_names import ModelName, checkpoint_of_name, model_names, model_of_name
from hormesis.backend.bundled import BUNDLED
from hormesis.backend.service import passes
from hormesis.backend.service.catalogue import Catalogue, find_checkpoint, list_models
from hormesis.backend.service.completions import CompletionPlan, plan_completion, serve_completion
from hormesis.backend.service.costs import measured_steerings
from hormesis.backend.service.job_queue import Emit, Job, JobQueue
from hormesis.backend.service.model_cache import SMALL, ModelCache
from hormesis.backend.service.plans import head_direction, plan_panes
from hormesis.backend.service.ranked_heads import list_heads
from hormesis.backend.service.scoring import Scoring, fluency
from hormesis.backend.service.settings import ServiceError, Settings
from hormesis.db.contract.messages import (
    GenerateRequest,
    HeadInfo,
    ModelInfo,
    ProjectionRequest,
    ScoreRequest,
    ScoreResponse,
)

ANSWER = "answer"
"""The event that holds the whole answer of a request that streams none."""


class LiveService:
    """One service over one database: one queue, one thread that decodes, one cache of models."""

    def __init__(self, settings: Settings) -> None:
        self._catalogue = Catalogue(settings.database)
        self._cache = ModelCache(settings.memory_budget)
        self._scoring = Scoring()
        self._queue = JobQueue(settings.queue_length, explain_failure, passes.prepare)
        # Beside the queue that decodes, so that texts are scored while a model writes.
        self._score_queue = JobQueue(settings.queue_length, explain_failure, name="score")

    def state(self) -> dict[str, int]:
        """How busy the service is, as `messages.Health` has it."""
        return {
            "models_loaded": len(self._cache),
            "queue": len(self._queue) + len(self._score_queue),
            "memory_bytes": int(psutil.Process().memory_info().rss),
        }

    def models(self) -> list[ModelInfo]:
        """Every checkpoint of the database. Raises DatabaseProblem."""
        rows, measured = self._catalogue.ask(
            lambda connection: (list_models(connection), measured_steerings(connection))
        )
        return [
            ModelInfo(
                **row,
                measured=measured.get(row["checkpoint_id"], []),
                loaded=self._cache.holds(row["checkpoint_id"]),
            )
            for row in rows
        ]

    def names(self) -> list[ModelName]:
        """Every name that a completion can ask for. Raises DatabaseProblem."""
        return self._catalogue.ask(model_names)

    def name(self, text: str) -> ModelName:
        """The model of this name, in any of its forms. Raises NameProblem and DatabaseProblem."""
        return self._catalogue.ask(lambda connection: model_of_name(connection, text))

    def heads(self, checkpoint: int | str) -> list[HeadInfo]:
        """Every probed head of a checkpoint, by its id or name.

        Raises UnknownCheckpoint, NameProblem and DatabaseProblem.
        """
        rows = self._catalogue.ask(
            lambda connection: list_heads(connection, _checkpoint_id(connection, checkpoint))
        )
        return [HeadInfo(**row) for row in rows]

    def prepare(self, checkpoint: int | str, client: str) -> bool:
        """Load a small checkpoint and its scorers before somebody waits for its first token.

        False, and nothing is loaded, for a large one, or one of a hub, which would be downloaded unasked.
        Raises UnknownCheckpoint, NameProblem, QueueFull, DatabaseProblem, and ServiceError without weights.
        """
        record = self._catalogue.ask(
            lambda connection: find_checkpoint(connection, _checkpoint_id(connection, checkpoint))
        )
        if record.problem:
            raise ServiceError(f"{record.name}: {record.problem}")
        if record.parameters >= SMALL or not (record.source == BUNDLED or Path(record.source).exists()):
            return False

        def work(job: Job) -> None:
            self._cache.get(record)
            self._scoring.score(["a"], record)

        self._score_queue.submit(Job(work, lambda name, data: None, client))
        return True

    def submit(self, request: GenerateRequest, emit: Emit, client: str) -> Job:
        """Queue a request of a client; its events go to `emit` from the worker's thread.

        Raises UnknownCheckpoint, NameProblem, PaneProblem, QueueFull and DatabaseProblem, before anything is
        queued.
        """
        plans = plan_panes(self._catalogue, request.panes)
        job = Job(
            lambda job: passes.serve(job, request, plans, cache=self._cache, scoring=self._scoring),
            emit,
            client,
        )
        self._queue.submit(job)
        return job

    def complete(self, request: CompletionRequest, emit: Emit, client: str) -> tuple[Job, CompletionPlan]:
        """Queue a completion of a client; its events (see `serve_completion`) go to `emit` from the thread.

        Raises NameProblem, PaneProblem, QueueFull and DatabaseProblem, before anything is queued.
        """
        plan = self._catalogue.ask(lambda connection: plan_completion(connection, request))
        job = Job(lambda job: serve_completion(job, request, plan, cache=self._cache), emit, client)
        self._queue.submit(job)
        return job, plan

    def cancel(self, request_id: str) -> bool:
        """End a waiting or running request; False where there is none of that id."""
        return self._queue.cancel(request_id) or self._score_queue.cancel(request_id)

    def drop(self, job: Job) -> None:
        """The reader of this job is gone, or has all of it: end what may be left of it."""
        job.cancel()
        self.cancel(job.id)

    def score(self, request: ScoreRequest, emit: Emit, client: str) -> Job:
        """Queue the scoring of texts, beside what decodes; the event `answer` holds a ScoreResponse.

        Raises UnknownCheckpoint, NameProblem, QueueFull and DatabaseProblem.
        """
        checkpoint = None
        if (key := request.checkpoint_id or request.checkpoint) is not None:
            checkpoint = self._catalogue.ask(
                lambda connection: find_checkpoint(connection, _checkpoint_id(connection, key))
            )

        def work(job: Job) -> None:
            values, absent = self._scoring.score(request.texts, checkpoint, request.prompts)
            job.check()
            reasons = {}
            if request.reasons:
                reasons = self._scoring.reasons(request.texts, checkpoint, request.prompts)
            measures = [fluency(text) for text in request.texts]
            answer = ScoreResponse(scores=values, fluency=measures, absent=absent, reasons=reasons)
            job.emit(ANSWER, {"answer": answer})

        job = Job(work, emit, client)
        self._score_queue.submit(job)
        return job

    def project(self, request: ProjectionRequest, emit: Emit, client: str) -> Job:
        """Queue the projection of texts on a head's direction; `answer` holds a ProjectionResponse.

        Raises UnknownCheckpoint, NameProblem, PaneProblem, QueueFull and DatabaseProblem.
        """
        checkpoint, direction = self._catalogue.ask(lambda connection: head_direction(connection, request))

        def work(job: Job) -> None:
            answer = passes.project(self._cache.get(checkpoint), request.texts, direction)
            job.emit(ANSWER, {"answer": answer})

        job = Job(work, emit, client)
        self._queue.submit(job)
        return job

    def close(self) -> None:
        """Cancel everything, wait for the running pass to end, and let go of the database."""
        self._score_queue.close()
        self._queue.close()
        self._catalogue.close()


def _checkpoint_id(connection: Connection, checkpoint: int | str) -> int:
    return checkpoint if isinstance(checkpoint, int) else checkpoint_of_name(connection, checkpoint)


def explain_failure(error: BaseException) -> str | None:
    """The line of an error that the backend raises on purpose; None for one that nobody foresaw."""
    if isinstance(error, MemoryError):
        return "out of memory; ask for fewer panes or a smaller model"
    is_ours = type(error).__module__.startswith(("hormesis.backend.", "hormesis.db."))
    return str(error) if is_ours and isinstance(error, ValueError) else None
