"""Requests that are computed together, by one thread."""

import asyncio
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from refold.serve._settings import ServeSettings, check_limit, stopping

# A function that computes several payloads and returns a result for each.
Compute = Callable[[list[Any]], list[Any]]
# Share of the time of the last batch that the next one waits at most.
_WAITING = 0.5
# Answers that are sent before the event loop reads what has arrived.
_AT_ONCE = 16


@dataclass(slots=True)
class Job:
    """Something to compute in the queue."""

    key: Hashable  # jobs with the same key can be computed together
    payload: Any
    steps: int  # that it counts as
    compute: Compute
    result: asyncio.Future[Any]  # is cancelled if nobody wants it any more
    arrived: float


class Batcher:
    """A queue of jobs, and the thread that computes them."""

    def __init__(self, settings: ServeSettings, observe: Callable[[int, int], None]) -> None:
        self.settings = settings
        self.open = 0  # requests that are being received, wait, or are computed
        self.loop: Any = None  # the event loop, once it runs
        self._observe = observe  # called with the numbers of requests and steps of each batch
        self._apart = asyncio.Semaphore(1)  # of what is computed in another thread
        self._waiting: deque[Job] = deque()
        self._steps = 0  # of the requests that wait
        self._busy = False
        self._began = 0.0
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
        check_limit("queue", len(self._waiting) + 1, self.settings)

    async def compute(self, key: Hashable, payload: Any, steps: int, compute: Compute) -> Any:
        """Compute a payload together with others of the same key, and return its result."""
        self.check_room()
        job = Job(key, payload, steps, compute, self.loop.create_future(), self.loop.time())
        self._waiting.append(job)
        self._steps += steps
        self._plan()
        return await job.result

    async def compute_alone(self, steps: int, compute: Callable[[], Any]) -> Any:
        """Compute something whose options may differ from those of other requests."""
        # an object is no other request's key
        return await self.compute(object(), None, steps, lambda _: [compute()])

    async def compute_apart(self, compute: Callable[[], Any]) -> Any:
        """Compute something long in another thread, one after the other."""
        async with self._apart:
            return await asyncio.to_thread(compute)

    def close(self) -> None:
        """Stop the thread after the current batch."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _plan(self) -> None:
        """Start a batch, or a timer for it."""
        if self._busy or self._next is not None or not self._waiting:
            return
        until = self._waits_until()
        if until <= self.loop.time():
            # after the other requests that have arrived with this one
            self._next = self.loop.call_soon(self._start)
        elif self._timer is None:
            self._timer = self.loop.call_at(until, self._start)

    def _waits_until(self) -> float:
        """Return until when the first request waits for others."""
        # Results do not depend on what is computed together, so a batch is whatever waits. A
        # request waits for others only if several came together before.
        if len(self._waiting) >= self._expected or self._steps >= self.settings.batch_steps:
            return 0.0
        # clients that had an answer together will ask again together
        wait = min(self.settings.batch_seconds, _WAITING * self._took)
        return self._waiting[0].arrived + wait

    def _start(self) -> None:
        for handle in (self._timer, self._next):
            if handle is not None:
                handle.cancel()
        self._timer = self._next = None
        batch = [] if self._busy else self._take()
        if not batch:
            return
        self._busy = True
        self._began = self.loop.time()
        self._observe(len(batch), sum(job.steps for job in batch))
        payloads = [job.payload for job in batch]
        done = self.loop.run_in_executor(self._thread, _computed, batch[0].compute, payloads)
        done.add_done_callback(lambda future: self._finish(batch, future))

    def _take(self) -> list[Job]:
        """Take the first request, and others with its key that fit beside it."""
        batch: list[Job] = []
        steps, left = 0, deque[Job]()
        for job in self._waiting:
            if job.result.done():
                continue
            fits = steps + job.steps <= self.settings.batch_steps
            if not batch or (job.key == batch[0].key and fits):
                batch.append(job)
                steps += job.steps
            else:
                left.append(job)
        self._waiting, self._steps = left, sum(job.steps for job in left)
        return batch

    def _finish(self, batch: list[Job], done: asyncio.Future[Any]) -> None:
        self._busy = False
        self._took = self.loop.time() - self._began
        self._expected = len(batch) + len(self._waiting)
        results = [stopping()] * len(batch) if done.cancelled() else done.result()
        if self._waiting and self._waits_until() <= self.loop.time():
            self._start()  # which computes while the answers are sent
        self._deliver(list(zip(batch, results, strict=True)))
        self._plan()

    def _deliver(self, results: list[tuple[Job, Any]]) -> None:
        """Pass results on, a few at a time, so that refusals do not wait for all answers."""
        for job, result in results[:_AT_ONCE]:
            if job.result.done():
                continue
            if isinstance(result, BaseException):
                job.result.set_exception(result)
            else:
                job.result.set_result(result)
        if len(results) > _AT_ONCE:
            self.loop.call_soon(self._deliver, results[_AT_ONCE:])


def _computed(compute: Compute, payloads: list[Any]) -> list[Any]:
    """Return results or exceptions; if the payloads fail together, each is computed alone."""
    try:
        return compute(payloads)
    except Exception as error:
        if len(payloads) == 1:
            return [error]
        return [result for payload in payloads for result in _computed(compute, [payload])]
