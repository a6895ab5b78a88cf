// Starts an exported page, which needs no server. In the console of the browser, `atlas` can be
// called, too.

import { begin } from "../main.js";
import { AddingHint } from "./adding_hint.js";
import { Atlas } from "./atlas.js";

globalThis.atlas = new Atlas();
begin(globalThis.atlas, AddingHint);
