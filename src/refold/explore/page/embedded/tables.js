// Files about selected sequences, as the server writes them.

function toCsv(header, rows) {
  const quoteCell = (value) => {
    const text = value === null || value === undefined ? "" : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [header, ...rows].map((row) => `${row.map(quoteCell).join(",")}\n`).join("");
}

// atlas: the source of the page, see atlas.js.
export const TABLES = {
  table: (atlas, rows) => {
    const names = atlas.info.fields.map((field) => field.name);
    const cells = rows.map((row) => [atlas.ids[row], ...Object.values(atlas.fieldsOf(row))]);
    return toCsv(["id", ...names], cells);
  },
  codes: (atlas, rows) => {
    const header = Array.from({ length: atlas.width }, (_, i) => `code${i}`);
    const cells = rows.map((row) => [atlas.ids[row], ...atlas.codeOf(row)]);
    return toCsv(["id", ...header], cells);
  },
  sequences: (atlas, rows) => JSON.stringify(rows.map((row) => toLayout(atlas, row))),
};

// Returns a sequence in the layout of the data, for JSON.
function toLayout(atlas, row) {
  const { columns } = atlas.model;
  const [, scale] = atlas.model.errorScaler.shiftAndScale();
  const convert = columns.map(({ categories }, i) => {
    // values are stored in single precision, in standard deviations, so only some digits are exact
    const digits = Math.max(0, Math.min(20, 6 - Math.floor(Math.log10(scale[i]))));
    return (value) => {
      if (Number.isNaN(value)) return null;
      if (categories) return categories[value] ?? "<unknown>";
      return Number(value.toFixed(digits));
    };
  });
  const values = atlas.valuesOf(row);
  const steps = Array.from({ length: values.length / columns.length }, (_, step) =>
    convert.map((toText, i) => toText(values[step * columns.length + i])),
  );
  const { layout } = atlas.info;
  if (layout === "array") return steps;
  const flat = steps.map(([value]) => value);
  return layout === "characters" ? flat.join("") : flat;
}
