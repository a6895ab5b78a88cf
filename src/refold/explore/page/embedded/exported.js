// Starts a page that works without a server. In its console, `atlas` encodes and decodes, too.

import { begin } from "../main.js";
import { Atlas } from "./atlas.js";

globalThis.atlas = new Atlas();
begin(globalThis.atlas);
