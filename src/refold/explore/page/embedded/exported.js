// Starts a page that works without a server. In its console, `atlas` decodes, too.

import { begin } from "../main.js";
import { AddingHint } from "./adding_hint.js";
import { Atlas } from "./atlas.js";

globalThis.atlas = new Atlas();
begin(globalThis.atlas, AddingHint);
