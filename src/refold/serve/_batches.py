"""Requests that are computed together, by one thread."""

import asyncio
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from refold.serve._service_errors import exceeded, stopping

# A function that computes several payloads and returns a result for each.
Compute = Callable[[list[Any]], list[Any]]
# Share of the time of the last batch that the next one waits at most.
_WAITING = 0.5
# Answers that are sent before the event loop reads what has arrived.
_AT_ONCE = 16


class Work(NamedTuple):
    """Something to compute."""

    key: Hashable  # works with the same key can be computed together
    payload: Any
    steps: int  # that it counts as
    compute: Compute


class Job(NamedTuple):
    """Work in the queue."""

    work: Work
    result: asyncio.Future[Any]  # is cancelled if nobody wants it any more
    arrived: float


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
        self._apart = asyncio.Semaphore(1)  # of what is computed in another thread
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

    async def compute(self, work: Work) -> Any:
        """Compute work together with other work of the same key, and return its result."""
        self.check_room()
        loop = asyncio.get_running_loop()
        job = Job(work, loop.create_future(), loop.time())
        self._waiting.append(job)
        self._steps += work.steps
        self._plan(loop)
        return await job.result

    async def compute_apart(self, function: Callable[[], Any]) -> Any:
        """Compute something long in another thread, one after the other."""
        async with self._apart:
            return await asyncio.to_thread(function)

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
            if job.result.done():
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
        self._deliver(loop, list(zip(batch, results, strict=True)))
        self._plan(loop)

    def _deliver(self, loop: asyncio.AbstractEventLoop, results: list[tuple[Job, Any]]) -> None:
        """Pass results on, a few at a time, so that refusals do not wait for all answers."""
        for job, result in results[:_AT_ONCE]:
            if job.result.done():
                continue
            if isinstance(result, BaseException):
                job.result.set_exception(result)
            else:
                job.result.set_result(result)
        if len(results) > _AT_ONCE:
            loop.call_soon(self._deliver, loop, results[_AT_ONCE:])


def _computed(compute: Compute, payloads: list[Any]) -> list[Any]:
    """Return results or exceptions; if the payloads fail together, each is computed alone."""
    try:
        return compute(payloads)
    except Exception as error:
        if len(payloads) == 1:
            return [error]
        return [result for payload in payloads for result in _computed(compute, [payload])]
