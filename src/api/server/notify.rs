//! systemd's notification protocol (`sd_notify(3)`): one datagram.

use std::os::{
    linux::net::SocketAddrExt,
    unix::{
        ffi::OsStrExt,
        net::{SocketAddr, UnixDatagram},
    },
};

/// The daemon takes requests.
pub fn ready() {
    send("READY=1");
}

/// The daemon is stopping.
pub fn stopping() {
    send("STOPPING=1");
}

fn send(state: &str) {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else {
        return;
    };
    let address = match path.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&path),
    };
    let sent = address.and_then(|address| {
        UnixDatagram::unbound()?
            .send_to_addr(state.as_bytes(), &address)
            .map(|_| ())
    });
    if let Err(error) = sent {
        tracing::warn!(error = %error, "systemd could not be notified");
    }
}
