"""Requests that are computed together, by one thread."""

import asyncio
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from refold.serve._service_errors import exceeded, stopping

# A function that computes several payloads and returns a result or an exception for each.
Compute = Callable[[list[Any]], list[Any]]
# Share of the time of the last batch that the next one waits at most.
_WAITING = 0.5


class Work(NamedTuple):
    """Something to compute."""

    key: Hashable  # works with the same key can be computed together
    payload: Any
    steps: int  # that it counts as
    compute: Compute


class Job:
    """Work in the queue, and who is told its result."""

    __slots__ = ("arrived", "cancelled", "done", "work")

    def __init__(self, work: Work, done: Callable[[Any], None], arrived: float) -> None:
        self.work = work
        self.done = done  # called with the result or an exception
        self.arrived = arrived
        self.cancelled = False  # whether nobody wants the result any more


class Batcher:
    """A queue of work, and the thread that computes it."""

    def __init__(
        self,
        seconds: float,
        most_steps: int,
        most_waiting: int,
        observe: Callable[[int, int], None],
    ) -> None:
        self.open = 0  # requests that are being received, wait, or are computed
        self.most_steps = most_steps
        self.fits = asyncio.Semaphore(1)  # of what is computed in another thread
        self._seconds = seconds  # that a request waits for others, at most
        self._most_waiting = most_waiting
        self._observe = observe  # called with the numbers of requests and steps of each batch
        self._waiting: deque[Job] = deque()
        self._steps = 0  # of the requests that wait
        self._busy = False
        self._begun = 0.0
        # Time of the last batch, and how many requests were there at its end.
        self._took, self._expected = 0.0, 1
        self._timer: asyncio.TimerHandle | None = None
        self._next: asyncio.Handle | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="refold-batches")

    @property
    def waiting(self) -> int:
        """Number of requests that wait."""
        return len(self._waiting)

    def check_room(self) -> None:
        """Refuse a request if the queue is full."""
        if len(self._waiting) >= self._most_waiting:
            raise exceeded(
                "queue",
                self._most_waiting,
                f"{self._most_waiting} requests wait already. Try again later.",
            )

    def submit(self, work: Work, done: Callable[[Any], None]) -> Job:
        """Queue work; ``done`` is called with its result or an exception."""
        self.check_room()
        loop = asyncio.get_running_loop()
        job = Job(work, done, loop.time())
        self._waiting.append(job)
        self._steps += work.steps
        self._plan(loop)
        return job

    async def compute(self, work: Work) -> Any:
        """Compute work together with other work of the same key, and return its result."""
        future = asyncio.get_running_loop().create_future()

        def done(result: Any) -> None:
            if not future.done():
                future.set_result(result)

        job = self.submit(work, done)
        try:
            result = await future
        finally:
            job.cancelled = True
        if isinstance(result, BaseException):
            raise result
        return result

    def close(self) -> None:
        """Stop the thread after the current batch."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _plan(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start a batch, or a timer for it."""
        if self._busy or self._next is not None or not self._waiting:
            return
        until = self._waits_until()
        if until <= loop.time():
            # after the other requests that have arrived with this one
            self._next = loop.call_soon(self._start, loop)
        elif self._timer is None:
            self._timer = loop.call_at(until, self._start, loop)

    def _waits_until(self) -> float:
        """Return until when the first request waits for others."""
        # Results do not depend on what is computed together, so a batch is whatever waits. A
        # request waits for others only if several came together before.
        if len(self._waiting) >= self._expected or self._steps >= self.most_steps:
            return 0.0
        # clients that had an answer together will ask again together
        return self._waiting[0].arrived + min(self._seconds, _WAITING * self._took)

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        for handle in (self._timer, self._next):
            if handle is not None:
                handle.cancel()
        self._timer = self._next = None
        batch = [] if self._busy else self._take()
        if not batch:
            return
        self._busy = True
        self._begun = loop.time()
        self._observe(len(batch), sum(job.work.steps for job in batch))
        payloads = [job.work.payload for job in batch]
        done = loop.run_in_executor(self._thread, _computed, batch[0].work.compute, payloads)
        done.add_done_callback(lambda future: self._finish(loop, batch, future))

    def _take(self) -> list[Job]:
        """Take the first request, and others with its key that fit beside it."""
        batch: list[Job] = []
        steps, rest, left = 0, 0, deque[Job]()
        for job in self._waiting:
            if job.cancelled:
                continue
            work = job.work
            if not batch or (
                work.key == batch[0].work.key and steps + work.steps <= self.most_steps
            ):
                batch.append(job)
                steps += work.steps
            else:
                left.append(job)
                rest += work.steps
        self._waiting, self._steps = left, rest
        return batch

    def _finish(
        self, loop: asyncio.AbstractEventLoop, batch: list[Job], done: asyncio.Future[Any]
    ) -> None:
        self._busy = False
        self._took = loop.time() - self._begun
        self._expected = len(batch) + len(self._waiting)
        results: list[Any]
        if done.cancelled():
            results = [stopping()] * len(batch)
        elif (error := done.exception()) is not None:
            results = [error] * len(batch)
        else:
            results = done.result()
        if self._waiting and self._waits_until() <= loop.time():
            self._start(loop)  # which computes while the answers are sent
        for job, result in zip(batch, results, strict=True):
            if not job.cancelled:
                job.done(result)
        self._plan(loop)


def _computed(compute: Compute, payloads: list[Any]) -> list[Any]:
    """Compute payloads together; one by one if that fails, so that a bad one fails alone."""
    try:
        return compute(payloads)
    except Exception as error:
        if len(payloads) == 1:
            return [error]
        return [result for payload in payloads for result in _computed(compute, [payload])]
