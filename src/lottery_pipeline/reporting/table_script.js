(function () {
  "use strict";
  // A table that is wider than the page says so, and can be scrolled by the keyboard.
  var tables = Array.prototype.slice.call(document.querySelectorAll(".scroll"));
  function mark() {
    tables.forEach(function (table) {
      var wide = table.scrollWidth > table.clientWidth + 1;
      table.classList.toggle("wide", wide);
      if (wide) { table.tabIndex = 0; } else { table.removeAttribute("tabindex"); }
    });
  }
  window.addEventListener("resize", mark);
  document.addEventListener("toggle", mark, true);
  mark();

  function read(row, column, isNumber) {
    var cell = row.cells[column], text = cell.textContent.trim();
    if (!isNumber) { return text.toLowerCase(); }
    var known = cell.dataset.v, number = parseFloat(known || text.replace("\u2212", "-").replace(/,/g, ""));
    return isNaN(number) ? null : number;
  }

  // Rows that lack a number stay at the end; equal rows keep their order. Dense networks stay on top.
  function sort(table, column, isNumber, falling) {
    var body = table.tBodies[table.tBodies.length - 1];
    var rows = Array.prototype.slice.call(body.rows).map(function (row) {
      return { row: row, value: read(row, column, isNumber) };
    });
    rows.sort(function (first, second) {
      var a = first.value, b = second.value;
      if (a === null || b === null) { return (a === null) - (b === null); }
      return (a < b ? -1 : a > b ? 1 : 0) * (falling ? -1 : 1);
    });
    rows.forEach(function (entry) { body.appendChild(entry.row); });
  }

  document.querySelectorAll("table.sortable").forEach(function (table) {
    var headings = Array.prototype.slice.call(table.tHead.rows[0].cells);
    headings.forEach(function (heading, column) {
      var button = document.createElement("button");
      button.type = "button";
      button.append.apply(button, heading.childNodes);
      heading.append(button);
      button.addEventListener("click", function () {
        var before = heading.getAttribute("aria-sort"), isNumber = heading.classList.contains("n");
        var falling = before ? before === "ascending" : isNumber;
        headings.forEach(function (other) { other.removeAttribute("aria-sort"); });
        heading.setAttribute("aria-sort", falling ? "descending" : "ascending");
        sort(table, column, isNumber, falling);
      });
    });
  });
})();
