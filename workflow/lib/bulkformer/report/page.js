// Sorts a table by a column, filters its rows by words, and marks the section in view.
for (const table of document.querySelectorAll("table[data-sortable]")) {
  const body = table.tBodies[0], original = [...body.rows];
  table.querySelectorAll("thead th").forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => {
      const was = head.getAttribute("aria-sort");
      const numeric = head.classList.contains("n");
      const next = numeric
        ? { null: "descending", descending: "ascending", ascending: null }[was]
        : { null: "ascending", ascending: "descending", descending: null }[was];
      table.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
      if (!next) return body.append(...original);
      head.setAttribute("aria-sort", next);
      const key = (row) => {
        const shown = row.cells[column].firstChild.textContent; // without the small print below
        if (shown === "—") return "";
        return numeric ? Number(shown.replaceAll(",", "").replace("−", "-")) : shown;
      };
      const sign = next === "ascending" ? 1 : -1;
      body.append(...[...original].sort((a, b) => {
        const [x, y] = [key(a), key(b)];
        if (x === "" || y === "") return (x === "") - (y === ""); // missing values stay last
        return sign * (numeric ? x - y : x.localeCompare(y, undefined, { numeric: true }));
      }));
    });
  });
}
for (const input of document.querySelectorAll("input[data-filters]")) {
  const rows = [...document.getElementById(input.dataset.filters).tBodies[0].rows];
  const shown = input.parentElement.querySelector("output");
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let n = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      n += !row.hidden;
    }
    shown.textContent = `${n} of ${rows.length} rows`;
  });
}
const links = new Map([...document.querySelectorAll("nav a")].map((a) => [a.hash.slice(1), a]));
const watch = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting) continue;
    links.forEach((link) => link.classList.remove("here"));
    links.get(entry.target.id)?.classList.add("here");
  }
}, { rootMargin: "-10% 0px -80% 0px" });
document.querySelectorAll("main section").forEach((section) => watch.observe(section));
