"""`python -m bench`: says what is missing before anything is imported that needs it."""

import sys
from importlib.util import find_spec

NEEDED = (
    "click", "filelock", "jinja2", "matplotlib", "pandas", "plotly", "psutil", "pyarrow", "pydantic", "rich", "scipy",
    "sklearn",
)


def main() -> None:
    """Run the command line, or say which packages of the bench extra are missing (exit code 2)."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        print(f"error: bench: packages are missing (got no {', '.join(missing)}). "
              "Install them with: make install, or pip install -e '.[bench]'.", file=sys.stderr)
        sys.exit(2)
    from bench.cli import cli

    cli(prog_name="python -m bench")


if __name__ == "__main__":
    main()
