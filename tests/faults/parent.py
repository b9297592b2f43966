"""The parent as a process: `python -m tests.faults.parent SUITE-JSON FOLDER WORKER`, always with --resume."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background shell starts us with it ignored
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    from bench.__main__ import end_at_signals

    end_at_signals()
    print("ready", flush=True)
    from bench import files
    from bench.executors import run_suite
    from bench.suite import suite_from
    from tests.faults import fast_worker

    if "FAULT_FSIZE" in os.environ:
        files.PROBE_BYTES = 0  # or the probe would refuse the folder before anything is written
        fast_worker._limit_files()
    if "FAULT_PARENT_WRITE" in os.environ:
        fast_worker.fail_at(int(os.environ["FAULT_PARENT_WRITE"]))
    suite = suite_from(json.loads(sys.argv[1]))
    sys.exit(run_suite(suite, Path(sys.argv[2]), "cpu", True, worker=sys.argv[3], report="tests.bench.fake_report"))
