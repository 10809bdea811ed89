// Draws a long table from the data beside it: filters by words and lists, sorts, shows rows in steps.
const STEP = 100;
const make = (tag, more = {}, ...inside) => {
  const element = Object.assign(document.createElement(tag), more);
  element.append(...inside);
  return element;
};
const written = (value, digits) => value === null ? "—"
  : value.toLocaleString("en-US", Math.abs(value) < 1000
    ? { minimumFractionDigits: digits, maximumFractionDigits: digits }
    : { maximumFractionDigits: 0 }).replace("-", "−");
for (const box of document.querySelectorAll("[data-grid]")) {
  const { rows, columns } = JSON.parse(box.querySelector("script").textContent);
  const chosen = new Map(); // column -> set of codes
  let words = [], order = null, descending = false, limit = STEP, texts = null;
  const text = (row) => columns.map((c) => c.words
    ? c.words[c.codes[row]].slice(0, 2).join(" ") : written(c.numbers[row], c.digits))
    .join(" ").toLowerCase();
  const fits = (row) => {
    for (const [column, codes] of chosen) if (!codes.has(column.codes[row])) return false;
    if (!words.length) return true;
    texts ??= Array.from({ length: rows }, (_, row) => text(row));
    return words.every((word) => texts[row].includes(word));
  };
  const cell = (column, row) => {
    const td = make("td", { className: column.words ? "" : "n" });
    if (column.words) {
      const [word, note, mark] = column.words[column.codes[row]];
      td.append(mark ? make("span", { className: `chip ${mark}`, textContent: word }) : word);
      if (note) td.append(make("small", { textContent: note }));
    } else {
      td.append(written(column.numbers[row], column.digits));
      const low = column.low[row] ?? null, high = column.high[row] ?? null;
      if (low !== null && high !== null) td.append(make("small", {
        textContent: `[${written(low, column.digits)}, ${written(high, column.digits)}]` }));
    }
    return td;
  };
  const key = (row) => order.words ? order.words[order.codes[row]][0] : order.numbers[row];
  const body = make("tbody"), shown = make("output"), more = make("button", { type: "button", className: "more" });
  const draw = () => {
    let found = Array.from({ length: rows }, (_, row) => row).filter(fits);
    if (order) {
      const sign = descending ? -1 : 1;
      found.sort((a, b) => {
        const [x, y] = [key(a), key(b)];
        const [noX, noY] = [x === null || x === "—", y === null || y === "—"];
        if (noX || noY) return noX - noY; // missing values stay last
        return sign * (order.words ? x.localeCompare(y, undefined, { numeric: true }) : x - y);
      });
    }
    body.replaceChildren(...found.slice(0, limit).map((row) =>
      make("tr", {}, ...columns.map((column) => cell(column, row)))));
    const n = (value) => value.toLocaleString("en-US");
    shown.textContent = `${n(Math.min(limit, found.length))} of ${n(found.length)} rows shown`
      + (found.length < rows ? `, chosen from ${n(rows)}` : "");
    more.hidden = found.length <= limit;
  };
  const restart = () => { limit = STEP; draw(); };
  const name = box.closest("section").id;
  const search = make("input", { type: "search", id: `${name}-filter`, placeholder: "words that a row holds" });
  search.addEventListener("input", () => {
    words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    restart();
  });
  const filters = make("p", { className: "filter" },
    make("label", { htmlFor: search.id, textContent: "Show rows with" }), search);
  for (const column of columns.filter((c) => c.choose)) {
    const names = [...new Set(column.words.map((word) => word[0]))];
    const list = make("select", { ariaLabel: column.label }, make("option", { value: "", textContent: `${column.label}: any` }),
      ...names.map((value) => make("option", { value, textContent: value })));
    list.addEventListener("change", () => {
      if (list.value === "") chosen.delete(column);
      else chosen.set(column, new Set(column.words.flatMap((word, code) => word[0] === list.value ? [code] : [])));
      restart();
    });
    filters.append(list);
  }
  filters.append(shown);
  const heads = columns.map((column) => {
    const button = make("button", { type: "button", textContent: column.label });
    const head = make("th", { scope: "col", title: column.help, className: column.words ? "" : "n" }, button);
    button.addEventListener("click", () => {
      const first = !column.words; // numbers: the highest first
      if (order !== column) [order, descending] = [column, first];
      else if (descending === first) descending = !first;
      else order = null;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      if (order) head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      restart();
    });
    return head;
  });
  more.textContent = `Show ${STEP} more rows`;
  more.addEventListener("click", () => { limit += STEP; draw(); });
  const scroll = make("div", { className: "scroll", tabIndex: 0, role: "region", ariaLabel: name },
    make("table", { id: `${name}-rows` }, make("thead", {}, make("tr", {}, ...heads)), body));
  box.append(filters, scroll, more);
  draw();
}
