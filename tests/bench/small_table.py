"""Rows that a part takes as a table, written without pandas: hundreds of fake workers would import it."""

from __future__ import annotations

from pathlib import Path

import pyarrow
from pyarrow import parquet


class SmallTable(dict[str, list[object]]):
    """Columns by name, as `bench.store.write_group` needs them of a DataFrame."""

    def __len__(self) -> int:
        """Rows."""
        return len(next(iter(self.values())))

    def to_parquet(self, path: Path, *, index: bool) -> None:
        """As that of a DataFrame without its index."""
        assert not index
        parquet.write_table(pyarrow.table(dict(self)), path)
