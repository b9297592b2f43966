"""What JAX finds of the cluster that started this process, as JSON: a process of its own imports JAX for it."""

from __future__ import annotations

import json
import sys


def main(wait_s: int) -> None:
    """Print address, number of processes, number of this one and of its GPUs; null where no cluster is found."""
    from jax._src.clusters import ClusterEnv  # jax.distributed.initialize() asks it too, but connects at once

    found = ClusterEnv.auto_detect_unset_distributed_params(None, None, None, None, None, wait_s)
    print(json.dumps(dict(zip(("coordinator", "processes", "process", "gpus"), found, strict=True))))


if __name__ == "__main__":
    main(int(sys.argv[1]))
