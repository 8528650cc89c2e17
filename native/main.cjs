// The main stage of the action.
"use strict";

require("./launch.cjs").launch("main");
