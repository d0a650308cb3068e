//! EVM transactions through the public doors.

mod approvals;
mod calls;
mod fixture;
mod mutation;
mod oracle;
mod refusals;
mod transfers;
mod vectors;
