"""Requests that are computed together, by one thread.

Results do not depend on what is computed together, so a batch is whatever waits. A request waits
for others only while some are still being received, and at most a few milliseconds.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from refold.serve._service_errors import exceeded

# A function that computes several payloads and returns a result or an exception for each.
Compute = Callable[[list[Any]], list[Any]]


class _Job(NamedTuple):
    key: Hashable
    payload: Any
    steps: int
    compute: Compute
    arrived: float
    future: asyncio.Future[Any]


class Batcher:
    """A queue of requests, and the thread that computes them.

    Parameters
    ----------
    seconds : float
        Longest time that a request waits for others.
    most_steps : int
        Most steps that are computed together.
    most_waiting : int
        Most requests that wait.
    observe : callable
        Called with the numbers of requests and steps of each batch.
    """

    def __init__(
        self,
        seconds: float,
        most_steps: int,
        most_waiting: int,
        observe: Callable[[int, int], None],
    ) -> None:
        self.open = 0  # requests that are being received or wait
        self.most_steps = most_steps
        self.fits = asyncio.Semaphore(1)  # of what is computed in another thread
        self._seconds = seconds
        self._most_waiting = most_waiting
        self._observe = observe
        self._waiting: deque[_Job] = deque()
        self._busy = False
        self._timer: asyncio.TimerHandle | None = None
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

    async def compute(self, key: Hashable, payload: Any, steps: int, compute: Compute) -> Any:
        """Compute a payload together with others of the same key, and return its result."""
        self.check_room()
        loop = asyncio.get_running_loop()
        job = _Job(key, payload, steps, compute, loop.time(), loop.create_future())
        self._waiting.append(job)
        self._plan(loop)
        return await job.future

    def close(self) -> None:
        """Stop the thread after the current batch."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _plan(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start a batch, or a timer for it."""
        if self._busy or self._timer is not None or not self._waiting:
            return
        # after the other requests that have arrived with this one
        delay = 0.0
        if self.open > len(self._waiting):
            delay = max(0.0, self._waiting[0].arrived + self._seconds - loop.time())
        self._timer = loop.call_later(delay, self._start, loop)

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        batch = self._take()
        if not batch:
            return
        self._busy = True
        self._observe(len(batch), sum(job.steps for job in batch))
        payloads = [job.payload for job in batch]
        done = loop.run_in_executor(self._thread, batch[0].compute, payloads)
        done.add_done_callback(lambda future: self._finish(loop, batch, future))

    def _take(self) -> list[_Job]:
        """Take the first request, and others with its key that fit beside it."""
        batch: list[_Job] = []
        steps, left = 0, deque[_Job]()
        for job in self._waiting:
            if job.future.done():  # cancelled, or out of time
                continue
            fits = not batch or (job.key == batch[0].key and steps + job.steps <= self.most_steps)
            if fits:
                batch.append(job)
                steps += job.steps
            else:
                left.append(job)
        self._waiting = left
        return batch

    def _finish(
        self, loop: asyncio.AbstractEventLoop, batch: list[_Job], done: asyncio.Future[Any]
    ) -> None:
        self._busy = False
        if done.cancelled():
            for job in batch:
                job.future.cancel()
            return
        error = done.exception()
        results = [error] * len(batch) if error is not None else done.result()
        for job, result in zip(batch, results, strict=True):
            if job.future.done():
                continue
            if isinstance(result, BaseException):
                job.future.set_exception(result)
            else:
                job.future.set_result(result)
        self._plan(loop)
