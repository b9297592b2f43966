"""Interactive figures of a study: the same lines as the static ones, as data for plotly.js."""

from __future__ import annotations

import numpy as np

from bench.report.plots.parts import Json, Plot, axis, banded, layout, line, open_markers, text
from bench.study.claim import Picture
from bench.study.lines import Line, note_of, panel_of

_MANY = 40  # points: markers would hide the line


def picture_plot(picture: Picture, identity: str) -> Plot:
    """A picture for the page; `identity` is unique in it and names the static one that stands in."""
    panel = panel_of(picture)
    kinds = [("x", panel.x_log), ("y", panel.y_log)]
    axes = [axis(label, kind="log" if log else "linear")
            for label, (_, log) in zip((picture.x_label, picture.y_label), kinds, strict=True)]
    data = [_trace(each, picture) for each in panel.lines]
    data += [_ends(each) for each in panel.lines if each.endless.any()]
    view: Json = {"data": data, "layout": layout(*axes)}
    return Plot(identity, picture.title, note_of(panel), {"": view}, scales=[name for name, log in kinds if log],
                picture=identity, table="points.parquet", height=400)


def _trace(drawn: Line, picture: Picture) -> Json:
    name = text(drawn.name)
    hover = (f"{name}<br>{text(picture.x_label)}: %{{x:.4~g}}<br>{text(picture.y_label)}: %{{y:.4~g}}<extra></extra>")
    markers = not drawn.theory and (len(drawn.x) <= _MANY or not drawn.joined)
    trace = line(name, drawn.colour, drawn.marker, drawn.x, drawn.y, hover, dash="dash" if drawn.theory else "solid",
                 markers=markers)
    if not drawn.joined:
        trace = trace | {"mode": "markers", "marker": {**_marker(trace), "color": drawn.colour}}
    if drawn.low is None or drawn.high is None:
        return trace
    if drawn.joined:
        return banded(trace, drawn.low, drawn.high)
    return trace | {"error_y": {"type": "data", "symmetric": False, "color": drawn.colour, "thickness": 1.3, "width": 3,
                                "array": np.maximum(drawn.high - drawn.y, 0.0),
                                "arrayminus": np.maximum(drawn.y - drawn.low, 0.0)}}


def _ends(drawn: Line) -> Json:
    """A triangle where an interval without an upper end stops."""
    assert drawn.high is not None
    name, here = text(drawn.name), drawn.endless
    return open_markers(name, drawn.colour, "^", drawn.x[here], drawn.high[here],
                        [f"{name}: the interval has no upper end"] * int(here.sum()))


def _marker(trace: Json) -> Json:
    marker = trace.get("marker")
    return marker if isinstance(marker, dict) else {}
