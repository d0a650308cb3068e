//! The real daemons against SoftHSM and real nodes. Each test says in its name what it proves.

mod attacks;
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
mod engines;
mod evm;
mod governance;
mod lifecycle;
mod malformed;
mod nodes;
mod quickstart;
mod races;
mod refusals;
mod replay;
mod sealed;
mod storage;
mod support;
mod transparency;
mod walkthrough;
