// Files of selected sequences.

function csv(head, rows) {
  const cell = (value) => {
    const text = value === null || value === undefined ? "" : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [head, ...rows].map((row) => `${row.map(cell).join(",")}\n`).join("");
}

// atlas: the source of the page, see atlas.js.
export const TABLES = {
  table: (atlas, rows) => {
    const names = atlas.info.fields.map((field) => field.name);
    return csv(["id", ...names], rows.map((row) => [atlas.ids[row], ...Object.values(atlas.fieldsOf(row))]));
  },
  codes: (atlas, rows) => {
    const head = Array.from({ length: atlas.width }, (_, i) => `code${i}`);
    return csv(["id", ...head], rows.map((row) => [atlas.ids[row], ...atlas.codeOf(row)]));
  },
  sequences: (atlas, rows) => JSON.stringify(rows.map((row) => form(atlas, row))),
};

// A sequence in the layout of the data.
function form(atlas, row) {
  const { columns } = atlas.model;
  const [, scale] = atlas.model.units.scales();
  const raw = columns.map(({ categories }, i) => {
    // values are kept in single precision, in standard deviations
    const digits = Math.max(0, Math.min(20, 6 - Math.floor(Math.log10(scale[i]))));
    return (value) => {
      if (Number.isNaN(value)) return null;
      if (categories) return categories[value] ?? "<unknown>";
      return Number(value.toFixed(digits));
    };
  });
  const values = atlas.valuesOf(row);
  const steps = Array.from({ length: values.length / columns.length }, (_, step) =>
    columns.map((_, i) => raw[i](values[step * columns.length + i])),
  );
  const { layout } = atlas.info;
  if (layout === "array") return steps;
  const flat = steps.map(([value]) => value);
  return layout === "characters" ? flat.join("") : flat;
}
