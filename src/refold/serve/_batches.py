"""A queue that computes the waiting requests together, in batches, in one thread."""

import asyncio
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from refold.serve._settings import ServeSettings, check_limit

# A function that takes the payloads of several requests, and returns a result for each.
BatchFunction = Callable[[list[Any]], list[Any]]
# Maximum number of steps in a batch. More steps take longer, and later requests wait for them.
MAX_BATCH_STEPS = 16384
# Maximum time in seconds for which a batch waits for more requests. Clients hardly notice it.
_MAX_BATCH_WAIT_SECONDS = 0.002
# Another maximum of this time, as a share of the computing time of the last batch. The smaller
# maximum counts, because waiting for more requests saves little if batches are fast.
_MAX_WAIT_SHARE = 0.5


@dataclass(slots=True)
class Job:
    """A request in the queue."""

    batch_key: Hashable  # jobs with the same key can be computed together
    payload: Any  # what the batch function needs of this request, such as its sequences
    cost_in_steps: int  # a batch is full when these costs add up to MAX_BATCH_STEPS
    batch_function: BatchFunction
    result_future: asyncio.Future[Any]  # is cancelled if the client disconnects
    arrival_time: float  # in seconds, by the clock of the event loop


class Batcher:
    """A queue of jobs, and the thread that computes them."""

    def __init__(self, settings: ServeSettings, record_batch_size: Callable[[int], None]) -> None:
        self.settings = settings
        self._record_batch_size = record_batch_size
        # one thread, so one long computation at a time; it ends even if its client disconnects
        self._background_executor = ThreadPoolExecutor(1, thread_name_prefix="refold-background")
        self._waiting_jobs: deque[Job] = deque()
        self._wake_up_event = asyncio.Event()  # set when a job arrives or has waited long enough
        self._last_batch_seconds = 0.0  # computing time of the last batch
        # The next batch waits for this number of jobs: those of the last batch, because its clients
        # may send again, and the jobs that were waiting at its end.
        self._expected_batch_size = 1

    @property
    def num_waiting(self) -> int:
        """Number of requests in the queue."""
        return len(self._waiting_jobs)

    def check_queue_limit(self) -> None:
        """Refuse a request if the queue is full."""
        check_limit("queue", len(self._waiting_jobs) + 1, self.settings)

    async def compute_in_batch(
        self, batch_key: Hashable, payload: Any, cost_in_steps: int, batch_function: BatchFunction
    ) -> Any:
        """Compute a payload together with other payloads of the same key, and return its result."""
        self.check_queue_limit()
        loop = asyncio.get_running_loop()
        future, arrival_time = loop.create_future(), loop.time()
        job = Job(batch_key, payload, cost_in_steps, batch_function, future, arrival_time)
        self._waiting_jobs.append(job)
        self._wake_up_event.set()
        return await future

    async def compute_in_own_batch(self, cost_in_steps: int, computation: Callable[[], Any]) -> Any:
        """Wait in the queue, run a computation as a batch of its own, and return its result."""
        # The key is a new object, which differs from every other key, so no other job joins this
        # batch. The computation needs no payload.
        return await self.compute_in_batch(object(), None, cost_in_steps, lambda _: [computation()])

    async def run_in_background(self, computation: Callable[[], Any]) -> Any:
        """Run a long computation beside the batches, in another thread; one at a time."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._background_executor, computation)

    async def compute_batches(self) -> None:
        """Compute the requests in the queue, batch by batch, until this task is cancelled."""
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, thread_name_prefix="refold-batches") as executor:
            while True:
                await self._wait_until_batch_ready()
                batch = self._take_batch()
                if not batch:  # all clients have disconnected
                    continue
                self._record_batch_size(len(batch))
                start_time = loop.time()
                payloads = [job.payload for job in batch]
                results = await loop.run_in_executor(
                    executor, _compute_or_catch, batch[0].batch_function, payloads
                )
                for job, result in zip(batch, results, strict=True):
                    if not job.result_future.done():  # done already: the client has disconnected
                        if isinstance(result, BaseException):
                            job.result_future.set_exception(result)
                        else:
                            job.result_future.set_result(result)
                self._last_batch_seconds = loop.time() - start_time
                self._expected_batch_size = len(batch) + len(self._waiting_jobs)

    async def _wait_until_batch_ready(self) -> None:
        """Return when the next batch is full, or when its first request has waited long enough."""
        # A request waits for others only if the last batch had several: clients that got an answer
        # at the same time will probably send their next requests at the same time. Results do not
        # depend on the other requests in a batch.
        loop = asyncio.get_running_loop()
        while True:
            timer = None  # wakes this task at the deadline of the first request
            if self._waiting_jobs:
                cost_in_steps = sum(job.cost_in_steps for job in self._waiting_jobs)
                has_expected_size = len(self._waiting_jobs) >= self._expected_batch_size
                max_wait = min(_MAX_BATCH_WAIT_SECONDS, _MAX_WAIT_SHARE * self._last_batch_seconds)
                deadline = self._waiting_jobs[0].arrival_time + max_wait
                if has_expected_size or cost_in_steps >= MAX_BATCH_STEPS or deadline <= loop.time():
                    return
                timer = loop.call_at(deadline, self._wake_up_event.set)
            self._wake_up_event.clear()
            await self._wake_up_event.wait()
            if timer is not None:
                timer.cancel()

    def _take_batch(self) -> list[Job]:
        """Remove and return the first request, and others with its key while the steps fit."""
        batch: list[Job] = []
        batch_cost, remaining_jobs = 0, deque[Job]()
        for job in self._waiting_jobs:
            if job.result_future.done():  # the client has disconnected
                continue
            fits = batch_cost + job.cost_in_steps <= MAX_BATCH_STEPS
            if not batch or (job.batch_key == batch[0].batch_key and fits):
                batch.append(job)
                batch_cost += job.cost_in_steps
            else:
                remaining_jobs.append(job)
        self._waiting_jobs = remaining_jobs
        return batch


def _compute_or_catch(batch_function: BatchFunction, payloads: list[Any]) -> list[Any]:
    """Return a result or an exception for each payload; if all together fail, try each alone."""
    try:
        results = batch_function(payloads)
        if len(results) != len(payloads):
            raise RuntimeError(f"A batch of {len(payloads)} requests got {len(results)} results.")
        return results
    except Exception as error:
        if len(payloads) == 1:
            return [error]
        return [result for item in payloads for result in _compute_or_catch(batch_function, [item])]
