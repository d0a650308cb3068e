//! The policy's public API.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unreachable,
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

mod ages;
mod algebra;
mod allocations;
mod approvals;
mod authenticator;
mod books;
mod breadth;
mod bundle;
mod calls;
mod checkpoints;
mod epoch;
mod fates;
mod finality;
mod fixture;
mod freezes;
mod governing;
mod heartbeat;
mod hostile;
mod hot;
mod narrower;
mod never_forget;
mod never_twice;
mod outstanding;
mod passkeys;
mod prices;
mod reasons;
mod recounts;
mod recovery;
mod requirements;
mod restore;
mod rows;
mod rules;
mod security_key;
mod selectors;
mod spender_texts;
mod spenders;
mod state;
mod statements;
mod time;
mod times;
mod transactions;
mod unseal;
mod watched;
mod window_bound;
mod windows;
mod words;
