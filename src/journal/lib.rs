//! The journal: one durable, append-only history of every decision.
