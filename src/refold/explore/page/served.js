// Starts the page with a server as its source of data.

import { SequenceAdder } from "./adding.js";
import { begin } from "./main.js";
import { Server } from "./server.js";

begin(new Server(), SequenceAdder);
