(function () {
  "use strict";
  var dark = window.matchMedia("(prefers-color-scheme: dark)");
  var plots = Array.prototype.slice.call(document.querySelectorAll(".plot"));
  var AXIS = /^[xy]axis\d*$/, GAP = 14, NARROW = 30, PHONE = 600;

  function colours(isDark) {
    return isDark
      ? { ink: "#e6e9ee", grid: "rgba(160,168,180,0.20)", box: "#262b34" }
      : { ink: "#20242b", grid: "rgba(100,108,120,0.20)", box: "#ffffff" };
  }

  // The page's colours; axes that a figure hides or leaves without a grid stay as they are.
  function dress(layout, isDark) {
    var c = colours(isDark), change = {
      "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)", "font.color": c.ink,
      "font.family": getComputedStyle(document.body).fontFamily,
      "modebar.bgcolor": "rgba(0,0,0,0)", "modebar.color": "#7B818C", "modebar.activecolor": "#0072B2",
      "hoverlabel.bgcolor": c.box, "hoverlabel.font.color": c.ink
    };
    Object.keys(layout).filter(function (key) { return AXIS.test(key); }).forEach(function (key) {
      ["gridcolor", "linecolor", "tickcolor"].forEach(function (part) { change[key + "." + part] = c.grid; });
    });
    return change;
  }

  function boxes(plot, selector) {
    return Array.prototype.slice.call(plot.querySelectorAll(selector)).map(function (element) {
      return element.getBoundingClientRect();
    }).filter(function (box) { return box.width > 0; });
  }

  // A title longer than its axis, or than what the page leaves around it, gets lines.
  function breakTitle(text, across) {
    var most = Math.max(8, Math.floor(across / 7.2)), lines = [""];
    text.replace(/<br>/g, " ").split(" ").forEach(function (word) {
      var last = lines[lines.length - 1];
      if (last && last.length + 1 + word.length > most) { lines.push(word); }
      else { lines[lines.length - 1] = last ? last + " " + word : word; }
    });
    return lines.join("<br>");
  }

  function fitAxes(plot) {
    var full = plot._fullLayout, change = {};
    Object.keys(plot.layout).filter(function (key) { return AXIS.test(key); }).forEach(function (key) {
      var axis = full[key], given = plot.titles[key], beside = key.charAt(0) === "y";
      if (!axis || !axis._length) { return; }
      if (given) {
        var middle = axis._offset + axis._length / 2, ends = beside ? full.height : full.width;
        var room = 2 * Math.min(middle, ends - middle);
        if (beside || axis.domain[1] - axis.domain[0] < 0.9) { room = Math.min(room, axis._length + 8); }
        var title = breakTitle(given, room);
        if (title !== plot.layout[key].title.text) { change[key + ".title.text"] = title; }
      }
      // Ticks that were chosen one by one are thinned out instead of turned.
      var ticks = plot.ticks[key], ends = axis.range.slice().sort(function (a, b) { return a - b; });
      if (ticks && !beside && axis.type !== "category") {
        var shown = ticks.filter(function (tick) {
          var at = axis.type === "log" ? Math.log10(tick.value) : tick.value;
          return at >= ends[0] && at <= ends[1];
        });
        var longest = Math.max.apply(null, shown.map(function (tick) { return String(tick.text).length; }));
        var step = Math.ceil(shown.length * (7 * longest + 10) / axis._length) || 1;
        shown = shown.filter(function (_, place) { return place % step === 0; });
        change[key + ".tickvals"] = shown.map(function (tick) { return tick.value; });
        if (ticks[0].written) { change[key + ".ticktext"] = shown.map(function (tick) { return tick.text; }); }
      }
      // Long names would leave a phone no room for the plot: "SNIP: shuffled mask", "conv1 · 9.22 k".
      var names = axis._categories || [];
      if (beside && names.some(function (text) { return /: | · /.test(text); })) {
        change[key + ".tickvals"] = names;
        change[key + ".ticktext"] = names.map(function (text) {
          return full.width < PHONE ? text.replace(": ", ":<br>").replace(/ · .*/, "") : text;
        });
      }
    });
    return change;
  }

  // Below the axes comes the legend; the figure grows by what both need, so that the plot keeps its height.
  function fitLegend(plot) {
    var full = plot._fullLayout, legend = plot.querySelector(".legend"), size = full._size;
    var top = plot.getBoundingClientRect().top + size.t + size.h;
    var below = boxes(plot, ".xtick text, .xtitle, .x2title, .x3title").reduce(function (least, box) {
      return Math.max(least, box.bottom - top);
    }, 0);
    var wanted = below + GAP, length = legend ? full.legend._height + GAP : 0;
    var inner = Number(plot.dataset.height) - Number(plot.dataset.top) - Number(plot.dataset.bottom);
    var height = Math.round(size.t + inner + wanted + length);
    var change = { "height": height, "margin.b": Math.round(wanted + length) };
    if (legend && full.legend.orientation === "h") { change["legend.y"] = -wanted / inner; }
    plot.style.height = height + "px";
    return change;
  }

  // Numbers in cells that are too narrow for them would be specks: there the colours speak.
  function fitCells(plot) {
    plot.data.forEach(function (trace, place) {
      if (trace.type !== "heatmap" || !plot.templates[place]) { return; }
      var axis = plot._fullLayout[(trace.xaxis || "x").replace("x", "xaxis")];
      var across = axis._length / Math.max(1, trace.z[0].length);
      Plotly.restyle(plot, { "texttemplate": across < NARROW ? "" : plot.templates[place] }, [place]);
    });
  }

  function fit(plot) {
    if (!plot._fullLayout || plot.dataset.width === String(plot.clientWidth)) { return Promise.resolve(); }
    plot.dataset.width = plot.clientWidth;
    return Plotly.relayout(plot, { "font.size": plot.clientWidth < PHONE ? 11 : 13 }).then(function () {
      return Plotly.relayout(plot, fitAxes(plot));
    }).then(function () {
      fitCells(plot);
      return Plotly.relayout(plot, fitLegend(plot));
    });
  }

  function redress(isDark) {
    plots.forEach(function (plot) { if (plot.layout) { Plotly.relayout(plot, dress(plot.layout, isDark)); } });
  }

  // What a figure asks for, before it is fitted to a width.
  function remember(plot, content) {
    var layout = content.layout, margin = layout.margin || {};
    plot.dataset.height = layout.height || 480;
    plot.dataset.bottom = margin.b || 80;
    plot.dataset.top = margin.t || 24;
    plot.titles = {};
    plot.ticks = {};
    plot.templates = content.data.map(function (trace) { return trace.texttemplate; });
    Object.keys(layout).filter(function (key) { return AXIS.test(key); }).forEach(function (key) {
      var axis = layout[key];
      if (axis.title && axis.title.text) { plot.titles[key] = axis.title.text; }
      if (axis.tickvals) {
        plot.ticks[key] = axis.tickvals.map(function (value, place) {
          var written = axis.ticktext && axis.ticktext[place];
          return { value: value, text: written || "100k", written: Boolean(axis.ticktext) };
        });
      }
    });
  }

  plots.forEach(function (plot) {
    var source = document.querySelector('script[data-for="' + CSS.escape(plot.dataset.figure) + '"]');
    var content = JSON.parse(source.textContent);
    content.layout.autosize = true;
    delete content.layout.width;
    remember(plot, content);
    var options = {
      responsive: true, displaylogo: false, modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
      toImageButtonOptions: { format: "svg", filename: plot.dataset.figure }
    };
    Plotly.newPlot(plot, content.data, content.layout, options).then(function () {
      return Plotly.relayout(plot, dress(plot.layout, dark.matches));
    }).then(function () { return fit(plot); }).then(function () { plot.dataset.drawn = "yes"; });
  });
  var waiting;
  window.addEventListener("resize", function () {
    clearTimeout(waiting);
    waiting = setTimeout(function () { plots.forEach(fit); }, 300);
  });
  dark.addEventListener("change", function () { redress(dark.matches); });
  // Paper is white and narrower than the window.
  window.addEventListener("beforeprint", function () {
    redress(false);
    plots.forEach(function (plot) { Plotly.relayout(plot, { "width": 690 }); });
  });
  window.addEventListener("afterprint", function () {
    redress(dark.matches);
    plots.forEach(function (plot) { Plotly.relayout(plot, { "width": null, "autosize": true }); });
  });
})();
