//! The API, over TLS, on a real store.

mod bad_input;
mod connections;
mod decisions;
mod grants;
mod house;
mod lanes;
mod openapi;
mod pki;
mod raw;
mod same_again;
mod settling;
mod views;
