(function () {
  "use strict";
  var dark = window.matchMedia("(prefers-color-scheme: dark)");
  var plots = Array.prototype.slice.call(document.querySelectorAll(".plot"));

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
    Object.keys(layout).forEach(function (key) {
      if (/^[xy]axis\d*$/.test(key)) {
        ["gridcolor", "linecolor", "tickcolor"].forEach(function (part) { change[key + "." + part] = c.grid; });
      }
    });
    return change;
  }

  // A legend with many rows would squeeze the plot, so the figure grows instead.
  function fit(plot) {
    var legend = plot._fullLayout && plot._fullLayout.legend;
    if (!legend || legend.orientation !== "h") { return null; }
    var extra = Math.max(0, Math.ceil((legend._height || 0) - 30));
    if (plot.dataset.extra === String(extra)) { return null; }
    plot.dataset.extra = extra;
    var height = Number(plot.dataset.height) + extra;
    plot.style.height = height + "px";
    return Plotly.relayout(plot, { "height": height, "margin.b": Number(plot.dataset.bottom) + extra });
  }

  function redress(isDark) {
    plots.forEach(function (plot) { if (plot.layout) { Plotly.relayout(plot, dress(plot.layout, isDark)); } });
  }

  plots.forEach(function (plot) {
    var source = document.querySelector('script[data-for="' + CSS.escape(plot.dataset.figure) + '"]');
    var content = JSON.parse(source.textContent);
    content.layout.autosize = true;
    plot.dataset.height = content.layout.height || 480;
    plot.dataset.bottom = (content.layout.margin || {}).b || 80;
    delete content.layout.width;
    var options = {
      responsive: true, displaylogo: false, modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
      toImageButtonOptions: { format: "svg", filename: plot.dataset.figure }
    };
    Plotly.newPlot(plot, content.data, content.layout, options).then(function () {
      return Plotly.relayout(plot, dress(plot.layout, dark.matches));
    }).then(function () { return fit(plot); });
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
