// Numbers as text for readers: whole ones in full, others with a few significant digits.
// _support/number_text.py has the same rule, and one table of cases tests both.

export const FULL_DIGITS = 5;
export const SHORT_DIGITS = 3;
const [SMALLEST, LARGEST] = [-5, 14]; // powers of ten of numbers that are written without an exponent

// A whole number in full, another one rounded, but to no less than one decimal.
export function numberText(value, digits = FULL_DIGITS) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "-∞";
  const power = value === 0 ? 0 : Number(value.toExponential().split("e")[1]);
  if (power < SMALLEST || power > LARGEST) return value.toExponential(digits - 1).replace(/\.?0+e/, "e");
  if (Number.isInteger(value)) return String(value);
  return value.toFixed(Math.max(1, digits - 1 - power)).replace(/\.?0+$/, "");
}

// An error, a p-value or a distance.
export const shortNumber = (value) => numberText(value, SHORT_DIGITS);

// Numbers as text, with more digits if different ones would look the same.
export function numberTexts(values, digits = FULL_DIGITS) {
  const texts = values.map((value) => numberText(value, digits));
  if (digits < 17 && new Set(texts).size < new Set(values).size) return numberTexts(values, digits + 1);
  return texts;
}

// The value of a field: exact, unless it was computed.
export function fieldText(field, value) {
  if (field.type === "category") return field.categories[value] ?? "–";
  return field.exact && Number.isFinite(value) ? String(value) : shortNumber(value);
}
