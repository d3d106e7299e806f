// Tables that sort by a click on a head, and long ones that unfold. Without scripts everything is shown, in the matrix's order.
for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0];
  const shown = Number(table.dataset.shown || 0);
  const fold = () => [...body.rows].forEach((row, i) => row.classList.toggle("folded", shown > 0 && !table.unfolded && i >= shown));
  if (shown > 0 && body.rows.length > shown + 2) {
    const more = document.createElement("button");
    more.className = "more";
    more.textContent = `Show all ${body.rows.length}`;
    more.dataset.rest = `${body.rows.length - shown} more rows on the page itself`;  // printed in its place
    more.onclick = () => { table.unfolded = true; fold(); more.remove(); };
    table.parentElement.after(more);
    fold();
  }
  if (!table.classList.contains("sortable")) continue;
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    head.tabIndex = 0;
    head.onkeydown = (event) => { if (event.key === "Enter") head.click(); };
    head.onclick = () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      table.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = (row) => row.cells[column].dataset.sort;
      const text = (row) => row.cells[column].textContent;
      const order = (a, b) => {
        const x = key(a), y = key(b);
        if (x === undefined && y === undefined) return text(a).localeCompare(text(b)) * (down ? -1 : 1);
        if (x === undefined || y === undefined) return x === undefined ? 1 : -1;   // no value: last, whatever the direction
        return (Number(x) - Number(y)) * (down ? -1 : 1);
      };
      [...body.rows].sort(order).forEach((row) => body.append(row));
      fold();
    };
  });
}
