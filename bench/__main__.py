"""`python -m bench`: says what is missing before anything is imported that needs it."""

import signal
import sys
from importlib.util import find_spec

INTERRUPTED = 130
NEEDED = (
    "click", "filelock", "jinja2", "matplotlib", "pandas", "plotly", "psutil", "pyarrow", "pydantic", "rich", "scipy",
    "sklearn",
)


def main() -> None:
    """Run the command line, or say which packages of the bench extra are missing (exit code 2)."""
    end_at_signals()
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        print(f"error: bench: packages are missing (got no {', '.join(missing)}). "
              "Install them with: make install, or pip install -e '.[bench]'.", file=sys.stderr)
        sys.exit(2)
    from bench.cli import cli

    cli(prog_name="python -m bench")


def end_at_signals() -> None:
    """Exit code 130 at SIGINT, SIGTERM and SIGHUP also before and after a run; what is ignored (nohup) stays so."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda *_: sys.exit(INTERRUPTED))


if __name__ == "__main__":
    main()
