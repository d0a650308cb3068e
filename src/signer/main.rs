//! signerd: the signing daemon.

fn main() {}
