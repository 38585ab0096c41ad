"""Jobs that wait together are worked on together, and fail alone."""

from __future__ import annotations

import asyncio
import threading

from udt.serving.batches import Batcher, Overloaded

WITHIN_S = 10


class Worker:
    """Notes its batches; held back until it is let go."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.go = threading.Event()
        self.entered = threading.Event()

    def __call__(self, jobs):
        self.entered.set()
        assert self.go.wait(WITHIN_S)
        self.batches.append([len(job.rows) for job in jobs])
        if any(job.wish == "fail" for job in jobs):
            raise ZeroDivisionError
        return [KeyError(job.wish) if job.wish == "refuse" else job.wish for job in jobs]


def run(main):
    return asyncio.run(asyncio.wait_for(main, WITHIN_S))


async def submit(batcher, wish, n_rows=1):
    return await batcher.submit([{}] * n_rows, wish)


async def held_back(worker, *wishes, **limits):
    """Submit while the thread is busy with a first job; return what comes of the others."""
    batcher = Batcher(worker, "test", limits.get("max_rows", 100), limits.get("waiting", 1000))
    batcher.start()
    first = asyncio.create_task(submit(batcher, "first"))
    await asyncio.to_thread(worker.entered.wait, WITHIN_S)
    rest = [asyncio.create_task(submit(batcher, wish)) for wish in wishes]
    await asyncio.sleep(0)
    worker.go.set()
    answers = await asyncio.gather(first, *rest, return_exceptions=True)
    await batcher.close()
    assert batcher.waiting_rows == 0
    return answers


def test_a_lone_job_does_not_wait_for_company():
    worker = Worker()
    worker.go.set()

    async def main():
        batcher = Batcher(worker, "test", 100, 100)
        batcher.start()
        answers = [await submit(batcher, "a", 3), await submit(batcher, "b")]
        await batcher.close()
        return answers

    assert run(main()) == ["a", "b"]
    assert worker.batches == [[3], [1]]


def test_jobs_that_wait_are_taken_together_in_order():
    worker = Worker()
    assert run(held_back(worker, *"abcde")) == ["first", *"abcde"]
    assert worker.batches == [[1], [1] * 5]


def test_a_batch_ends_at_so_many_rows():
    worker = Worker()
    assert run(held_back(worker, *"abcde", max_rows=2)) == ["first", *"abcde"]
    assert worker.batches == [[1], [1, 1], [1, 1], [1]]


def test_a_job_that_fails_does_so_alone():
    worker = Worker()
    first, a, failed, b = run(held_back(worker, "a", "fail", "b"))
    assert (first, a, b) == ("first", "a", "b")
    assert isinstance(failed, ZeroDivisionError)


def test_an_exception_as_an_answer_is_raised_for_its_job_only():
    a, refused = run(held_back(Worker(), "a", "refuse"))[1:]
    assert a == "a"
    assert isinstance(refused, KeyError)


def test_more_than_may_wait_is_refused_and_the_rest_goes_on():
    answers = run(held_back(Worker(), *"abc", waiting=3))
    assert answers[:3] == ["first", "a", "b"]
    assert isinstance(answers[3], Overloaded)


def test_one_job_may_be_larger_than_what_may_wait():
    worker = Worker()
    worker.go.set()

    async def main():
        batcher = Batcher(worker, "test", 2, 2)
        batcher.start()
        answer = await submit(batcher, "large", 50)
        await batcher.close()
        return answer

    assert run(main()) == "large"


def test_who_has_left_is_not_answered():
    worker = Worker()

    async def main():
        batcher = Batcher(worker, "test", 10, 10)
        batcher.start()
        task = asyncio.create_task(submit(batcher, "gone"))
        await asyncio.to_thread(worker.entered.wait, WITHIN_S)
        task.cancel()
        worker.go.set()
        answer = await submit(batcher, "here")
        await batcher.close()
        assert batcher.waiting_rows == 0
        return answer

    assert run(main()) == "here"


def test_closing_answers_what_waits():
    worker = Worker()

    async def main():
        batcher = Batcher(worker, "test", 1, 10)
        batcher.start()
        tasks = [asyncio.create_task(submit(batcher, wish)) for wish in "ab"]
        await asyncio.sleep(0)
        worker.go.set()
        await batcher.close()
        return await asyncio.gather(*tasks)

    assert run(main()) == ["a", "b"]


def test_examples_run():
    import doctest

    import udt.serving.batches

    assert doctest.testmod(udt.serving.batches).failed == 0
