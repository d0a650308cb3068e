//! The real daemons against SoftHSM and real nodes. Each test says in its name what it proves.

mod attacks;
mod audit;
mod bad_answers;
mod bounds;
mod chaos;
mod checkpoints;
mod clients;
mod clock;
mod coins;
mod coordinator;
mod crashes;
mod device;
mod disk_faults;
mod engines;
mod epoch;
mod epoch_kills;
mod evm;
mod governance;
mod kept_bodies;
mod lifecycle;
mod malformed;
mod nodes;
mod quickstart;
mod races;
mod refusals;
mod replay;
mod sealed;
#[path = "../../src/policy/tests/security_key.rs"]
mod security_key;
mod storage;
mod support;
mod transparency;
mod unseal;
mod walkthrough;
mod witness_server;
mod witnesses;
