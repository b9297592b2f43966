(() => {
  "use strict";
  const root = document.documentElement;
  const plots = JSON.parse(document.getElementById("figures").textContent);
  // the palette of the light page and what stands for each of its colours on the dark one
  const DARK = {"#0072B2": "#4aa8ec", "#D55E00": "#ff8a3c", "#009E73": "#2fc79a", "#CC79A7": "#e8a3cb", "#E69F00": "#f2b632",
                "#56B4E9": "#b4e2ff", "#000000": "#ffffff", "#444444": "#b4bec8", "#CCCCCC": "#66707a", "#eeeeee": "#262d35"};

  function colour(text, dark) {
    const found = /^(#[0-9A-Fa-f]{6})(?:@([\d.]+))?$/.exec(text);
    if (!found) return text;
    const hex = dark && DARK[found[1]] || found[1];
    if (!found[2]) return hex;
    const [r, g, b] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
    return `rgba(${r},${g},${b},${found[2]})`;
  }

  function coloured(value, dark) {
    if (typeof value === "string") return colour(value, dark);
    if (Array.isArray(value)) return value.map((part) => coloured(part, dark));
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, coloured(part, dark)]));
  }

  const PRINTED = 500; // px, of a plot on paper, where it is scaled to its column

  // 1, 2, 5 in every decade from a nanosecond on, as they are spoken
  const SECONDS = [];
  for (let decade = -9; decade < 6; decade++) for (const step of [1, 2, 5]) SECONDS.push(step * 10 ** decade);
  const spoken = (value) => {
    const [scale, unit] = [[1, "s"], [1e-3, "ms"], [1e-6, "µs"], [1e-9, "ns"]].find(([each]) => value >= each * 0.999);
    return `${Number((value / scale).toPrecision(3))} ${unit}`;
  };

  function withBands(trace) {
    if (!trace.band) return [trace];
    const {band, ...rest} = trace;
    const end = {type: "scatter", mode: "lines", x: rest.x, legendgroup: rest.legendgroup, showlegend: false, hoverinfo: "skip",
                 line: {...rest.line, width: 0}};
    return [{...end, y: band[0]}, {...end, y: band[1], fill: "tonexty", fillcolor: rest.line.color + "@0.15"}, rest];
  }

  function layoutOf(view, state, dark) {
    const layout = coloured(view.layout, dark);
    const line = dark ? "#39424c" : "#d5dbe1";
    for (const which of ["x", "y"]) {
      const axis = layout[which + "axis"];
      Object.assign(axis, {gridcolor: line, linecolor: line, zeroline: false, automargin: true});
      if (axis.type === "category") axis.showgrid = false;
      axis.title = {...axis.title, standoff: 8};
      if (state.scale[which] === "linear" && axis.type === "log") {
        axis.type = "linear";
        delete axis.range;
      }
      if (axis.ticksuffix === "s" && axis.type === "log") Object.assign(axis, {tickvals: SECONDS, ticktext: SECONDS.map(spoken)});
    }
    return {margin: {l: 56, r: 12, t: 16, b: 48}, hovermode: "closest", ...layout, uirevision: state.key,
            paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
            font: {family: "system-ui, sans-serif", size: 12, color: dark ? "#e8ecf0" : "#1b1f24"},
            legend: {orientation: "h", x: 0, y: 1.02, yanchor: "bottom", traceorder: "normal", font: {size: 11}},
            hoverlabel: {align: "left", font: {size: 12}}};
  }

  // one number a power of ten, and 2 and 5 where there are few: those from 2 to 9 have no room beside each other
  function thin(div) {
    const fewer = {};
    for (const name of ["xaxis", "yaxis"]) {
      const {type, range, tickmode, nticks} = div._fullLayout[name];
      if (type !== "log" || tickmode !== "auto") continue;
      const span = Math.abs(range[1] - range[0]);
      const most = span < 1 ? 4 : Math.floor(span) + 2;
      if (most !== nticks) fewer[name + ".nticks"] = most;
    }
    if (Object.keys(fewer).length) Plotly.relayout(div, fewer);
  }

  function draw(place) {
    const {plot, state} = place;
    const dark = root.dataset.theme === "dark" && !state.printing;
    const view = plot.views[state.key];
    const size = state.printing ? {width: PRINTED, height: plot.height} : {};
    // a view whose own axis is linear holds what a logarithmic one cannot show
    for (const button of place.buttons) button.hidden = view.layout[button.dataset.scale + "axis"].type !== "log";
    Plotly.react(place.div, coloured(view.data.flatMap(withBands), dark), {...layoutOf(view, state, dark), ...size}, {
      responsive: true, displayModeBar: false});
    thin(place.div);
    place.div.style.aspectRatio = state.printing ? `${PRINTED} / ${plot.height}` : "";
    for (const svg of place.div.querySelectorAll(".main-svg")) {
      if (state.printing) svg.setAttribute("viewBox", `0 0 ${PRINTED} ${plot.height}`);
      else svg.removeAttribute("viewBox");
    }
  }

  function show(place) {
    if (!place.drawn) connect(place);
    draw(place);
    if (!place.drawn) place.div.on("plotly_relayout", () => thin(place.div));
    place.drawn = true;
  }

  function connect(place) {
    const figure = document.getElementById(place.plot.identity);
    const selects = [...figure.querySelectorAll("select")];
    for (const select of selects) select.addEventListener("change", () => {
      const key = place.state.key.split("-");
      for (const each of selects) key[Number(each.dataset.place)] = each.value;
      place.state.key = key.join("-");
      draw(place);
    });
    figure.querySelector("button[data-save]").addEventListener("click", () => Plotly.downloadImage(
      place.div, {format: "svg", filename: place.plot.identity, width: place.div.clientWidth, height: place.plot.height}));
    place.buttons = [...figure.querySelectorAll("button[data-scale]")];
    for (const button of place.buttons) button.addEventListener("click", () => {
      const axis = button.dataset.scale;
      const next = place.state.scale[axis] === "linear" ? "log" : "linear";
      place.state.scale[axis] = next;
      button.querySelector("b").textContent = next;
      draw(place);
    });
  }

  function sortable(table) {
    const body = table.tBodies[0];
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const up = head.getAttribute("aria-sort") !== "ascending";
        for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        const key = (row) => row.cells[column].dataset.key;
        const compare = (a, b) => {
          const [x, y] = [Number(key(a)), Number(key(b))];
          const order = Number.isNaN(x) || Number.isNaN(y) ? key(a).localeCompare(key(b)) : (x > y) - (x < y);
          return up ? order : -order;
        };
        body.append(...[...body.rows].sort(compare));
      });
    });
  }

  function filterable(table, input, count) {
    const rows = [...table.tBodies[0].rows];
    const show = () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      for (const row of rows) row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
      count.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} rows`;
    };
    input.addEventListener("input", show);
    show();
  }

  for (const element of document.querySelectorAll(".needs-js")) element.hidden = false;
  const places = [...document.querySelectorAll("[data-plot]")].map((div) => {
    const plot = plots[div.dataset.plot];
    return {div, plot, drawn: false, state: {key: Object.keys(plot.views)[0], scale: {}, printing: false}};
  });
  const drawn = () => places.filter((place) => place.drawn);
  document.getElementById("theme").addEventListener("click", () => {
    root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
    try { localStorage.setItem("gdjax-theme", root.dataset.theme); } catch { /* then it is not kept */ }
    drawn().forEach(draw);
  });
  const printing = (on) => places.forEach((place) => { place.state.printing = on; show(place); });
  addEventListener("beforeprint", () => printing(true));
  addEventListener("afterprint", () => printing(false));
  const summary = document.getElementById("summary");
  if (summary) {
    sortable(summary);
    filterable(summary, document.getElementById("filter"), document.getElementById("count"));
  }

  // one figure a turn, so that the page answers while they are drawn
  const next = () => {
    const place = places.find((each) => !each.drawn);
    if (!place) { root.dataset.ready = "yes"; return; }
    show(place);
    setTimeout(next, 0);
  };
  next();
})();
