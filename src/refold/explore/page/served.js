// Starts the page with the data of the server.

import { SequenceAdder } from "./adding.js";
import { begin } from "./main.js";
import { Server } from "./server.js";

begin(new Server(), SequenceAdder);
