// Puts the charts and tables of the page in their places. Values of samples are only ever set as text.
const data = JSON.parse(document.getElementById("page-data").textContent);
const dark = window.matchMedia("(prefers-color-scheme: dark)");

function recolour() {
  document.documentElement.classList.toggle("dark", dark.matches); // DataTables' own style
  const style = getComputedStyle(document.documentElement);
  const [text, line] = ["--text", "--line"].map((name) => style.getPropertyValue(name).trim());
  for (const root of (window.Bokeh?.documents ?? []).flatMap((one) => one.roots())) {
    root.setv({ outline_line_color: line });
    for (const part of [...root.below, ...root.left, ...root.above, ...root.right, ...root.center]) {
      const wanted = {
        axis_label_text_color: text, major_label_text_color: text, axis_line_color: line, title_text_color: text,
        major_tick_line_color: line, minor_tick_line_color: line, grid_line_color: line, text_color: text,
        label_text_color: text,
      };
      for (const [name, value] of Object.entries(wanted)) if (name in part.properties) part[name] = value;
    }
  }
}

// A picture is an address that holds it: letters of base64, so nothing of it can be markup.
const isPicture = (value) => typeof value === "string" && /^data:image\/png;base64,[A-Za-z0-9+/]+=*$/.test(value);

function picture(value) {
  const made = document.createElement("img");
  made.src = value;
  return made;
}

function open(names, row) {
  const place = document.getElementById("sample-text");
  place.replaceChildren(...names.flatMap((name, at) => {
    const title = document.createElement("h4");
    title.textContent = name;
    if (isPicture(row[at])) return [title, picture(row[at])];
    const text = document.createElement("pre");
    text.textContent = row[at] === null ? "-" : String(row[at]);
    return [title, text];
  }));
  document.getElementById("sample").showModal();
}

const MOST = 240; // characters of a text in a table
const escaped = window.DataTable?.render.text().display;
const shown = {
  num: (value) => (value === null ? "-" : Number.isInteger(value) ? String(value) : value.toPrecision(4)),
  text: (value) => {
    const text = value === null ? "-" : String(value);
    return escaped(text.length > MOST ? text.slice(0, MOST - 1) + "…" : text);
  },
};

const width = (lengths) => (lengths.some((one) => one > 80) ? "long" : lengths.every((one) => one < 25) ? "short" : "");

for (const table of data.tables) {
  const target = document.getElementById(table.target);
  const made = new window.DataTable(target, {
    data: table.rows,
    columns: table.columns.map((name, at) => ({
      title: escaped(name),
      type: table.kinds[at] === "num" ? "num" : "string",
      className: `${table.kinds[at]} ${width(table.rows.map((row) => (isPicture(row[at]) ? 1 : String(row[at]).length)))}`,
      render: (value, what, row, where) => {
        if (what !== "display") return value === null || isPicture(value) ? "" : value;
        const text = isPicture(value) ? `<img src="${value}" alt="a picture">` : shown[table.kinds[at]](value);
        return table.links && at === 0 ? `<a href="${escaped(table.links[where.row])}">${text}</a>` : text;
      },
    })),
    order: [],
    pageLength: 10,
    lengthMenu: [10, 25, 50, 100],
    deferRender: true,
    autoWidth: false,
    columnControl: ["order", ["search"]],
    ordering: { indicators: false },
    layout: { topStart: "search", topEnd: "pageLength" },
    language: { search: "filter:", lengthMenu: "_MENU_ rows" },
  });
  target.addEventListener("click", (event) => {
    const row = event.target.closest("a") ? null : event.target.closest("tbody tr");
    if (row && made.row(row).data()) open(table.columns, made.row(row).data());
  });
}

Promise.all(data.charts.map((chart) => window.Bokeh.embed.embed_item(chart.item, chart.target))).then(() => {
  recolour();
  document.documentElement.dataset.ready = "true";
});
dark.addEventListener("change", recolour);
