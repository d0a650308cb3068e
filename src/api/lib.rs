//! Wire types of the signing API.
//!
//! JSON over HTTP, for ever: a field is only ever added as optional, and what is not known is
//! refused. The types say what is on the wire and nothing about how it is decided.

pub mod problem;
pub mod signing;
