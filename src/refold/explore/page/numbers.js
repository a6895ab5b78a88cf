// Numbers as text: whole numbers in full, others with a few significant digits.
// _support/output.py has the same rules, and one table of cases tests both.

// Significant digits of exact values.
export const FULL_DIGITS = 5;
// Significant digits of computed values, such as errors.
export const SHORT_DIGITS = 3;
// Numbers outside of these powers of ten are written with an exponent.
const [MIN_POWER, MAX_POWER] = [-5, 14];

// Returns a whole number in full, and any other number rounded, with at least one decimal.
export function numberText(value, digits = FULL_DIGITS) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "-∞";
  const power = value === 0 ? 0 : Number(value.toExponential().split("e")[1]);
  if (power < MIN_POWER || power > MAX_POWER) return value.toExponential(digits - 1).replace(/\.?0+e/, "e");
  if (Number.isInteger(value)) return String(value);
  return value.toFixed(Math.max(1, digits - 1 - power)).replace(/\.?0+$/, "");
}

// Returns an error, a p-value or a distance as text.
export const shortNumber = (value) => numberText(value, SHORT_DIGITS);

// Returns numbers as text, with more digits if different numbers would look the same.
export function numberTexts(values, digits = FULL_DIGITS) {
  const texts = values.map((value) => numberText(value, digits));
  if (digits < 17 && new Set(texts).size < new Set(values).size) return numberTexts(values, digits + 1);
  return texts;
}

// Returns the value of a field as text: in full if it is metadata, rounded if it is computed.
export function fieldText(field, value) {
  if (field.type === "category") return field.categories[value] ?? "–";
  return field.exact && Number.isFinite(value) ? String(value) : shortNumber(value);
}
