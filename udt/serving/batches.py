"""What waits together is worked on together, in a thread of its own.

Nothing is delayed to fill a batch: the thread takes whatever has come in while it was busy. One
row in a quiet hour is worked on at once, and under load batches grow by themselves.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple


class Overloaded(Exception):
    """More is waiting than may wait."""


class Job(NamedTuple):
    """What one request wants.

    Attributes
    ----------
    rows : list of dict
        At least one.
    wish : object
        What else was asked for, in the words of whoever works on it.
    done : asyncio.Future
        Where the answer goes.
    """

    rows: Sequence[dict[str, Any]]
    wish: Any
    done: asyncio.Future[Any]


Work = Callable[[Sequence[Job]], list[Any]]
"""Returns an answer, or an exception, for each job."""


class Batcher:
    """Hands jobs to a thread that works on as many at a time as are there.

    Parameters
    ----------
    work : callable
        See `Work`; runs in the thread, one call at a time.
    name : str
        The thread's.
    max_rows : int
        A batch takes no further job once it has so many rows.
    max_waiting_rows : int
        Further jobs are refused while so many rows wait.

    Examples
    --------
    >>> async def main():
    ...     batcher = Batcher(lambda jobs: [len(job.rows) for job in jobs], "count", 8, 99)
    ...     batcher.start()
    ...     answer = await batcher.submit([{}, {}], None)
    ...     await batcher.close()
    ...     return answer
    >>> asyncio.run(main())
    2
    """

    def __init__(self, work: Work, name: str, max_rows: int, max_waiting_rows: int) -> None:
        self._work, self._max_rows, self._max_waiting_rows = work, max_rows, max_waiting_rows
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._loop: asyncio.AbstractEventLoop
        self.waiting_rows = 0

    def start(self) -> None:
        """Start the thread; to be called in the event loop."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def submit(self, rows: Sequence[dict[str, Any]], wish: Any) -> Any:
        """Return the answer to some rows.

        Raises
        ------
        Overloaded
            Too many rows are waiting; nothing was done.
        """
        if self.waiting_rows and self.waiting_rows + len(rows) > self._max_waiting_rows:
            raise Overloaded
        self.waiting_rows += len(rows)
        job = Job(rows, wish, self._loop.create_future())
        self._jobs.put(job)
        return await job.done

    async def close(self) -> None:
        """Work on what is waiting, then end the thread."""
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        is_open = True
        while is_open:
            batch, is_open = self._take()
            if batch:
                answers = self._work_safely(batch)
                self._loop.call_soon_threadsafe(self._deliver, batch, answers)

    def _take(self) -> tuple[list[Job], bool]:
        """Wait for a job; return it with those that wait too, and whether more may come."""
        batch: list[Job] = []
        n_rows = 0
        job = self._jobs.get()
        while job is not None:
            batch.append(job)
            n_rows += len(job.rows)
            if n_rows >= self._max_rows:
                return batch, True
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return batch, True
        return batch, False

    def _work_safely(self, batch: Sequence[Job]) -> list[Any]:
        """Work on a batch; if that fails, on each job alone, so that one fails by itself."""
        try:
            return self._work(batch)
        except Exception as error:  # goes to whoever waits for the answer, whatever it is
            if len(batch) == 1:
                return [error]
            return [self._work_safely([job])[0] for job in batch]

    def _deliver(self, batch: Sequence[Job], answers: Sequence[Any]) -> None:
        for job, answer in zip(batch, answers, strict=True):
            self.waiting_rows -= len(job.rows)
            if job.done.done():  # whoever asked has left
                continue
            if isinstance(answer, Exception):
                job.done.set_exception(answer)
            else:
                job.done.set_result(answer)
