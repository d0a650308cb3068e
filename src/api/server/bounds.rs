//! Bounds on what clients may do.

use serde::Deserialize;

/// Bounds on what clients may do.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Bounds {
    /// Connections at the same time.
    pub connections: usize,
    /// Requests a second and client; twice as many at once.
    pub requests_per_second: u32,
    /// Seconds for the TLS handshake, for a request's head, and for its body.
    pub receive_secs: u64,
    /// Seconds after which an idle connection is closed.
    pub idle_secs: u64,
    /// Seconds after which a connection takes no further request.
    pub connection_secs: u64,
    /// Requests at the same time on one HTTP/2 connection.
    pub streams: u32,
    /// Requests at the same time over all connections.
    pub in_flight: usize,
}

impl Bounds {
    /// The key of each value, the value, and the least and the most that it can be.
    pub fn ranges(&self) -> [(&'static str, u64, u64, u64); 7] {
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        [
            ("bounds.connections", count(self.connections), 1, 65_536),
            (
                "bounds.requests_per_second",
                u64::from(self.requests_per_second),
                1,
                1_000_000,
            ),
            ("bounds.receive_secs", self.receive_secs, 1, 300),
            ("bounds.idle_secs", self.idle_secs, 1, 3600),
            ("bounds.connection_secs", self.connection_secs, 1, 86_400),
            ("bounds.streams", u64::from(self.streams), 1, 1024),
            ("bounds.in_flight", count(self.in_flight), 1, 900),
        ]
    }
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections: 512,
            requests_per_second: 200,
            receive_secs: 10,
            idle_secs: 60,
            connection_secs: 600,
            streams: 128,
            in_flight: 512,
        }
    }
}
