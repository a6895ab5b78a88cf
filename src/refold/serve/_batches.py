"""Requests that are computed together, by one thread."""

import asyncio
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from refold.serve._settings import ServeSettings, check_limit

# A function that computes several payloads and returns a result for each.
Compute = Callable[[list[Any]], list[Any]]
# Most steps that are computed together.
BATCH_STEPS = 16384
# Longest time for which a batch waits for more requests: in seconds, and as a share of the time
# that the last batch took.
_PATIENCE, _SHARE = 0.002, 0.5


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

    def __init__(self, settings: ServeSettings, observe: Callable[[int], None]) -> None:
        self.settings = settings
        self._observe = observe  # called with the number of requests of each batch
        self._apart = asyncio.Semaphore(1)  # of what is computed in another thread
        self._waiting: deque[Job] = deque()
        self._arrival = asyncio.Event()  # of a job
        # Time of the last batch, and how many requests were there at its end.
        self._took, self._expected = 0.0, 1

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
        loop = asyncio.get_running_loop()
        job = Job(key, payload, steps, compute, loop.create_future(), loop.time())
        self._waiting.append(job)
        self._arrival.set()
        return await job.result

    async def compute_alone(self, steps: int, compute: Callable[[], Any]) -> Any:
        """Compute something whose options may differ from those of other requests."""
        # An object is no other request's key. `detect`, `forecast`, `generate` and `search` come
        # here.
        return await self.compute(object(), None, steps, lambda _: [compute()])

    async def compute_apart(self, compute: Callable[[], Any]) -> Any:
        """Compute something long in another thread, one after the other."""
        async with self._apart:
            return await asyncio.to_thread(compute)

    async def run(self) -> None:
        """Compute what waits, one batch after the other, until this is cancelled."""
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, thread_name_prefix="refold-batches") as thread:
            while True:
                await self._wait_for_others()
                batch = self._take()
                if not batch:
                    continue
                self._observe(len(batch))
                began = loop.time()
                payloads = [job.payload for job in batch]
                computed = loop.run_in_executor(thread, _computed, batch[0].compute, payloads)
                for job, result in zip(batch, await computed, strict=True):
                    # the next batch is computed while these are sent
                    if not job.result.done():
                        if isinstance(result, BaseException):
                            job.result.set_exception(result)
                        else:
                            job.result.set_result(result)
                self._took = loop.time() - began
                self._expected = len(batch) + len(self._waiting)

    async def _wait_for_others(self) -> None:
        """Return when there is a request that need not wait for others any longer."""
        # Results do not depend on what is computed together, so a batch is whatever waits. A
        # request waits for others only if several came together before: clients that had an answer
        # together will ask again together.
        loop = asyncio.get_running_loop()
        while True:
            timer = None
            if self._waiting:
                steps = sum(job.steps for job in self._waiting)
                is_full = len(self._waiting) >= self._expected or steps >= BATCH_STEPS
                patience = min(_PATIENCE, _SHARE * self._took)
                until = self._waiting[0].arrived + patience
                if is_full or until <= loop.time():
                    return
                timer = loop.call_at(until, self._arrival.set)
            self._arrival.clear()
            await self._arrival.wait()
            if timer is not None:
                timer.cancel()

    def _take(self) -> list[Job]:
        """Take the first request, and others with its key that fit beside it."""
        batch: list[Job] = []
        steps, left = 0, deque[Job]()
        for job in self._waiting:
            if job.result.done():
                continue
            fits = steps + job.steps <= BATCH_STEPS
            if not batch or (job.key == batch[0].key and fits):
                batch.append(job)
                steps += job.steps
            else:
                left.append(job)
        self._waiting = left
        return batch


def _computed(compute: Compute, payloads: list[Any]) -> list[Any]:
    """Return results or exceptions; if the payloads fail together, each is computed alone."""
    try:
        return compute(payloads)
    except Exception as error:
        if len(payloads) == 1:
            return [error]
        return [result for payload in payloads for result in _computed(compute, [payload])]
