//! EVM chains: a lane is one address, and its conflict key the nonce.

mod build;
mod config;
mod draft;
mod fees;
mod gate;
mod lane;
mod observer;
mod question;
mod replace;
mod sends;
mod sets;
mod settle;
mod signing;
mod supply;
#[cfg(test)]
mod tests;
mod trial;
mod watch;

pub use self::{
    config::{Config, ConfigError},
    fees::Market,
    lane::EvmLane,
    observer::Observer,
    question::{Answer, Head, Mined, Question, Used},
    trial::trial,
};
