"""A stand-in for OpenML on loopback: the part of its HTTP interface that scikit-learn asks for."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, Request, build_opener

import numpy as np
import pytest


@dataclass
class Table:
    """A data set: columns as (name, ARFF type), rows of text cells; `sparse` rows are those between braces."""

    name: str
    columns: Sequence[tuple[str, str]]
    rows: Sequence[str]
    targets: Sequence[str]
    ignored: Sequence[str] = ()
    version: int = 1
    sparse: bool = False
    announced_md5: str | None = None

    @property
    def arff(self) -> bytes:
        head = [f"@RELATION {self.name}", *(f"@ATTRIBUTE '{name}' {kind}" for name, kind in self.columns), "@DATA"]
        return "\n".join([*head, *self.rows, ""]).encode()

    def features(self) -> list[dict[str, str]]:
        return [{
            "index": str(index), "name": name, "is_target": _flag(name in self.targets),
            "data_type": "nominal" if kind.startswith("{") else kind.lower().replace("real", "numeric"),
            "is_ignore": _flag(name in self.ignored), "is_row_identifier": "false", "number_of_missing_values": "0",
        } for index, (name, kind) in enumerate(self.columns)]


@dataclass
class StandIn:
    """What the server serves, what it was asked for, and what it answers when it is out of order."""

    tables: list[Table]
    asked: list[str] = field(default_factory=list)
    broken: int | None = None
    page: bytes = b""

    def answer(self, path: str) -> tuple[int, bytes]:
        """Status and body for a path."""
        if self.broken:
            return self.broken, self.page
        for number, table in enumerate(self.tables, 61):
            listing = f"/api/v1/json/data/list/data_name/{table.name}/limit/2"
            about = {
                "data_set_description": {
                    "id": str(number), "name": table.name, "version": str(table.version), "status": "active",
                    "format": "Sparse_ARFF" if table.sparse else "ARFF", "description": "a stand-in", "file_id": "1",
                    "url": f"https://www.openml.org/data/v1/download/{number}/{table.name}.arff",
                    "md5_checksum": table.announced_md5 or hashlib.md5(table.arff).hexdigest(),
                },
            }
            answers: dict[str, object] = {
                f"/api/v1/json/data/{number}": about,
                f"/api/v1/json/data/features/{number}": {"data_features": {"feature": table.features()}},
                f"/api/v1/json/data/qualities/{number}": {
                    "data_qualities": {"quality": [{"name": "NumberOfInstances", "value": str(len(table.rows))}]}},
            }
            if path in (f"{listing}/data_version/{table.version}", f"{listing}/status/active/"):
                found = [{"did": 61 + place, "name": other.name, "version": other.version, "status": "active"}
                         for place, other in enumerate(self.tables)
                         if other.name == table.name and (path.endswith("active/") or other.version == table.version)]
                return 200, json.dumps({"data": {"dataset": found}}).encode()
            if path in answers:
                return 200, json.dumps(answers[path]).encode()
            if path == f"/data/v1/download/{number}/{table.name}.arff":
                return 200, table.arff
        return 412, b'{"error": {"code": "372", "message": "No results"}}'


@contextmanager
def openml(*tables: Table) -> Iterator[StandIn]:
    """OpenML's address answered by a server on loopback, with these tables."""
    stand_in = StandIn(list(tables))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            stand_in.asked.append(self.path)
            status, body = stand_in.answer(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *parts: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    direct = build_opener(ProxyHandler({}))

    def urlopen(request: Request) -> object:
        there = f"http://127.0.0.1:{server.server_address[1]}{urlsplit(request.full_url).path}"
        return direct.open(Request(there, headers=dict(request.header_items())))

    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sklearn.datasets._openml.urlopen", urlopen)
            patch.setattr("sklearn.datasets._openml.time.sleep", lambda seconds: None)
            yield stand_in
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def iris() -> Table:
    """Iris as OpenML has it (version 1): scikit-learn's bundled numbers, and labels by name."""
    from sklearn.datasets import load_iris

    X, y = load_iris(return_X_y=True)
    names = np.array(["Iris-setosa", "Iris-versicolor", "Iris-virginica"])[y]
    columns = [(name, "REAL") for name in ("sepallength", "sepalwidth", "petallength", "petalwidth")]
    rows = [",".join([*map(str, row), name]) for row, name in zip(X.tolist(), names, strict=True)]
    return Table("iris", [*columns, ("class", "{Iris-setosa,Iris-versicolor,Iris-virginica}")], rows, ["class"])


def _flag(value: bool) -> str:
    return str(value).lower()
