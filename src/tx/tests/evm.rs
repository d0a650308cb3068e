//! EVM transactions through the public doors.

mod fixture;
mod mutation;
mod oracle;
mod refusals;
mod transfers;
mod vectors;
