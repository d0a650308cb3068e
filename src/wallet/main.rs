//! walletd.

fn main() {}
