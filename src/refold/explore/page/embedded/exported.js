// Starts an exported page, which needs no server. The console of the browser has it as `atlas`.

import { begin } from "../main.js";
import { AddingHint } from "./adding_hint.js";
import { Atlas } from "./atlas.js";

globalThis.atlas = new Atlas();
begin(globalThis.atlas, AddingHint);
