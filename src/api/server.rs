//! What both daemons' APIs stand on: TLS 1.3 with client certificates, bounded connections, bodies
//! of a bounded size and time, answers in JSON; metrics, and what systemd is told. What a daemon answers is its own: [`Host`].

mod answer;
mod body;
mod bounds;
mod connection;
mod credentials;
mod metrics;
pub mod notify;
mod rate;
mod tls;

pub use self::{
    answer::Answer,
    body::{Length, body},
    bounds::Bounds,
    connection::{Happened, Host, Peer, serve},
    credentials::Credentials,
    metrics::{Counter, Exposition, Histogram},
    rate::Rates,
    tls::{Files, Tls, TlsError},
};
