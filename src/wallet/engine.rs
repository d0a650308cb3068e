//! Runs the lanes: executes effects and returns what came of them.
