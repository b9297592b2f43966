"""A shard of a sweep as a task of a cluster, run by the fake worker: `bench.task` otherwise."""

from __future__ import annotations

import functools

from bench import cli, executors, task

if __name__ == "__main__":
    cli.run_suite = functools.partial(executors.run_suite, worker="tests.bench.fake_worker")
    task.main()
