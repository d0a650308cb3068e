//! Addresses that no other test uses.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::atomic::{AtomicU16, Ordering},
};

/// The first port; below those that the system gives to clients.
const FIRST: u16 = 20_000;

/// The loopback address of this process: all of 127.0.0.0/8 is loopback, so that tests in several
/// processes cannot take each other's ports.
pub fn ip() -> IpAddr {
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    // 127.0.0.1 is everybody's; .0 and .255 at the end look like networks to some programs.
    Ipv4Addr::new(127, 64 | (high & 0x3f), middle, low).into()
}

/// An address that was not given before.
pub fn free() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(FIRST);
    SocketAddr::new(ip(), NEXT.fetch_add(1, Ordering::Relaxed))
}
