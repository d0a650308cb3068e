//! Bitcoin and Litecoin through the public doors.

mod address;
mod attacks;
mod bip174;
mod consensus;
mod effects;
mod mutation;
mod refusals;
mod support;
mod taproot;
