// Measures the boxes of a page that is drawn, and returns a sentence for each fault.
(async function () {
  "use strict";
  const SLACK = 1.5, faults = [], all = (root, what) => Array.from(root.querySelectorAll(what));
  const wait = milliseconds => new Promise(done => setTimeout(done, milliseconds));
  const plots = all(document, ".plot"), started = Date.now();
  let before = "", calm = 0;
  while (calm < 3 && Date.now() - started < 60000) {
    await wait(150);
    const now = plots.map(plot => plot.querySelectorAll("text").length + ":" + plot.offsetHeight).join();
    const drawn = plots.every(plot => plot.querySelector(".main-svg"));
    calm = drawn && now === before ? calm + 1 : 0;
    before = now;
  }
  if (calm < 3) { faults.push("the figures are not drawn after a minute"); }

  // The page itself: nothing lies beyond its sides unless it is in something that scrolls.
  const wide = document.documentElement.clientWidth, scrolls = ".scroll, pre";
  if (document.documentElement.scrollWidth > wide) {
    faults.push(`the page is ${document.documentElement.scrollWidth} wide`);
  }
  for (const element of all(document.body, "*")) {
    if (element.closest("svg, script, .plot") || element.parentElement.closest(scrolls)) { continue; }
    const box = element.getBoundingClientRect();
    if (box.width && (box.left < -SLACK || box.right > wide + SLACK)) {
      faults.push(`${name(element)} lies from ${Math.round(box.left)} to ${Math.round(box.right)}`);
    }
  }
  for (const element of all(document.body, "th, td, p, li, dt, dd, h1, h2, h3, button, summary, figcaption, .card")) {
    if (element.clientWidth && element.scrollWidth > element.clientWidth + SLACK) {
      faults.push(`the text of ${name(element)} is wider than its box`);
    }
  }
  for (const element of all(document, ".scroll")) {
    if (element.scrollWidth > element.clientWidth + SLACK && !element.classList.contains("wide")) {
      faults.push(`${name(element)} scrolls and does not say so`);
    }
  }

  // Figures: texts lie within the figure and do not overprint one another; a turned text has a turned box.
  function name(element) {
    return `<${element.tagName.toLowerCase()}> "${element.textContent.trim().replace(/\s+/g, " ").slice(0, 40)}"`;
  }
  function corners(text) {
    const box = text.getBBox(), matrix = text.getScreenCTM();
    return [[0, 0], [1, 0], [1, 1], [0, 1]].map(([right, down]) =>
      new DOMPoint(box.x + right * box.width, box.y + down * box.height).matrixTransform(matrix));
  }
  function apart(first, second) {
    return [first, second].some(points => [0, 1].some(side => {
      const along = { x: points[side + 1].x - points[side].x, y: points[side + 1].y - points[side].y };
      const length = Math.hypot(along.x, along.y) || 1;
      const [a, b] = [first, second].map(every =>
        every.map(point => (point.x * along.x + point.y * along.y) / length));
      return Math.max(...a) <= Math.min(...b) + SLACK || Math.max(...b) <= Math.min(...a) + SLACK;
    }));
  }
  for (const plot of plots) {
    const figure = plot.dataset.figure, frame = plot.getBoundingClientRect();
    const texts = all(plot, "svg text").filter(text =>
      text.textContent.trim() && text.getBoundingClientRect().width && !text.closest(".hoverlayer, .modebar"));
    const shapes = texts.map(corners);
    texts.forEach((text, place) => {
      const xs = shapes[place].map(point => point.x), ys = shapes[place].map(point => point.y);
      if (Math.min(...xs) < frame.left - SLACK || Math.max(...xs) > frame.right + SLACK
          || Math.min(...ys) < frame.top - SLACK || Math.max(...ys) > frame.bottom + SLACK) {
        faults.push(`${figure}: "${text.textContent}" is cut`);
      }
      for (let other = 0; other < place; other += 1) {
        if (!apart(shapes[place], shapes[other])) {
          faults.push(`${figure}: "${text.textContent}" and "${texts[other].textContent}" overprint`);
        }
      }
    });
    if (all(plot, ".legend .scrollbar").some(bar => bar.getBoundingClientRect().height > 0)) {
      faults.push(`${figure}: the legend is cut`);
    }
  }
  return faults;
})()
