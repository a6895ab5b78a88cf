// Sequences that the reader adds, as JSON or CSV.

import { Failure } from "../api.js";

const MOST = 500;

// Reads sequences: a list of { id, values }, values (steps, columns) in the units of the data.
export function readPasted(text, name, info, { columns, missing }) {
  const ending = /\.[^.]*$/.exec(name)?.[0].toLowerCase() ?? "";
  if (![...["", ".json", ".jsonl", ".csv"]].includes(ending)) {
    throw new Failure(`A file ${ending} cannot be read in a page without a server. Use JSON or CSV.`);
  }
  if (!text.trim()) throw new Failure("There is nothing to read. Paste sequences as JSON or CSV.");
  const json = ending.startsWith(".json") || (ending === "" && '[{"'.includes(text.trim()[0]));
  const found = json ? fromJson(text, info, columns) : fromCsv(text, info, columns);
  if (!found.length) throw new Failure("There is no sequence in this. Paste sequences as JSON or CSV.");
  if (found.length > MOST) {
    throw new Failure(`There are ${found.length} sequences, and the page places ${MOST} at once. Paste fewer.`);
  }
  return found.map(({ id, steps }, i) => ({ id: id ?? i, values: valuesOf(steps, columns, missing) }));
}

function fromJson(text, info, columns) {
  let given = null;
  try {
    given = JSON.parse(text);
  } catch (error) {
    try {
      given = text.split("\n").filter((line) => line.trim()).map((line) => JSON.parse(line));
    } catch {
      throw new Failure(`This is not JSON: ${error.message}.`);
    }
  }
  if (given?.sequences) given = given.sequences;
  if (typeof given === "string" || (given && !Array.isArray(given))) given = [given];
  if (!Array.isArray(given) || !given.length) {
    throw new Failure("Expected a list of sequences, such as [[0.1, 0.9], [0.5]].");
  }
  const isRecord = (one) => one !== null && typeof one === "object" && !Array.isArray(one);
  if (given.every(isRecord)) return fromRecords(given, info);
  const isRow = (one) => Array.isArray(one) && one.length === columns.length && !one.some(Array.isArray);
  const flat = !given.some((one) => Array.isArray(one) || typeof one === "string");
  const tokens = ["tokens", "words"].includes(info.layout) && given.every((one) => typeof one === "string");
  if (flat || tokens || (info.layout === "array" && given.every(isRow))) given = [given];
  return given.map((one) => ({ steps: stepsOf(one, info) }));
}

// The steps of a sequence, each a list with a value for every column.
function stepsOf(one, info) {
  const steps = typeof one === "string" ? [...one] : one;
  if (!Array.isArray(steps)) throw new Failure("Expected lists of numbers, of tokens, or of rows.");
  return steps.map((step) => {
    const row = Array.isArray(step) ? step : [step];
    if (row.length !== info.columns.length) {
      throw new Failure(`A step has ${row.length} values. The model has ${info.columns.length} columns.`);
    }
    return row;
  });
}

// Objects: one per sequence with a list per column, or one per step of one sequence.
function fromRecords(records, info) {
  const whole = records.map((record) => info.columns.map(({ name }) => record[name]));
  const missing = info.columns.find((_, i) => whole.some((row) => row[i] === undefined));
  if (missing) throw new Failure(`An object lacks '${missing.name}', a column of the model.`);
  if (!whole.flat().some(Array.isArray)) return [{ steps: whole }];
  return whole.map((columns, i) => {
    const lists = columns.map((column) => (typeof column === "string" ? [...column] : column));
    if (lists.some((list) => !Array.isArray(list) || list.length !== lists[0].length)) {
      throw new Failure("The columns of an object must be lists of equal length.");
    }
    return { id: records[i].id, steps: lists[0].map((_, step) => lists.map((list) => list[step])) };
  });
}

// A table with a header, or lines of numbers without one.
function fromCsv(text, info, columns) {
  const lines = cellsOf(text);
  const numeric = columns.every((column) => column.type !== "categorical");
  const plain = numeric && lines.flat().every((cell) => !cell.trim() || Number.isFinite(Number(cell)));
  if (plain) {
    if (columns.length > 1) return [{ steps: lines.map((line) => stepsOf([line], info)[0]) }];
    if (lines.every((line) => line.length === 1)) return [{ steps: lines }];
    return lines.map((line) => {
      let { length } = line;
      while (length > 1 && !line[length - 1].trim()) length--; // cells that fill the line
      return { steps: line.slice(0, length).map((cell) => [cell]) };
    });
  }
  const [head, ...rows] = lines;
  const places = info.columns.map(({ name }) => head.indexOf(name));
  const lacking = places.indexOf(-1);
  if (lacking >= 0) throw new Failure(`The table lacks '${info.columns[lacking].name}', a column of the model.`);
  const [id, time] = [info.id_name ?? "id", info.time_name ?? "time"].map((name) => head.indexOf(name));
  const groups = new Map();
  for (const row of rows) {
    const key = id >= 0 ? row[id] : "0";
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(row);
  }
  return [...groups].map(([key, own]) => {
    const inOrder = time >= 0 && own.every((row) => Number.isFinite(Number(row[time])));
    if (inOrder) own.sort((a, b) => a[time] - b[time]);
    return { id: key, steps: own.map((row) => places.map((place) => row[place] ?? "")) };
  });
}

function cellsOf(text) {
  const lines = [[]];
  const cell = /(?:"((?:[^"]|"")*)"|([^,\r\n]*))(,|\r\n?|\n|$)/y;
  while (cell.lastIndex < text.length) {
    const found = cell.exec(text);
    if (!found) throw new Failure(`Line ${lines.length} is not CSV: a quotation mark is not closed.`);
    lines.at(-1).push(found[1]?.replaceAll('""', '"') ?? found[2]);
    if (found[3] !== ",") lines.push([]);
    else if (cell.lastIndex === text.length) lines.at(-1).push("");
  }
  return lines.filter((line) => line.some((one) => one.trim()));
}

function valuesOf(steps, columns, missing) {
  const values = new Float64Array(steps.length * columns.length);
  steps.forEach((row, step) => {
    columns.forEach(({ type, names, name }, i) => {
      const given = row[i];
      const empty = given === null || given === undefined || (typeof given === "string" && !given.trim() && type !== "categorical");
      let value = NaN;
      if (!empty && type === "categorical") {
        const index = names.indexOf(String(given));
        value = index < 0 ? names.length : index;
      } else if (!empty) {
        value = Number(given);
        if (!Number.isFinite(value)) throw new Failure(`${JSON.stringify(given)} in '${name}' is not a finite number.`);
        const marks = missing.includes(value) && (type === "numeric" || value < 0 || value > 1);
        if (marks) value = NaN;
      }
      values[step * columns.length + i] = value;
    });
  });
  return values;
}
