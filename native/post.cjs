// The post stage of the action. It has nothing to do unless the main stage has left a DAG run.
"use strict";

if (process.env.STATE_RUNS && !process.env.STATE_ENDED) require("./launch.cjs").launch("post");
