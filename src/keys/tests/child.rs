//! The key child as a process of its own, and how it ends.

use std::{
    io::{self, Read, Write},
    os::{fd::AsFd, unix::net::UnixStream},
};

use super::{
    device::TestDevice,
    softhsm::{self, Part, SoftHsm},
};
use crate::{child, pool::greeting};

/// Played as `signerd --role key-child` does it: the socket is the standard input.
pub(crate) fn part() -> Part {
    Part::of(&a_child_ends_with_its_owner)
}

fn key_child() {
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned().unwrap());
    std::process::exit(child::serve(socket, || {}) as i32);
}

#[test]
fn a_child_ends_with_its_owner() {
    if part().is_played_here() {
        return key_child();
    }
    let softhsm = SoftHsm::with_token();
    let (child, socket) = softhsm.start_child();
    drop(socket);
    assert_eq!(child.ended().code(), Some(0));
}

/// A Unix socket that is closed with answers in it is reset: its owner is gone, no more.
#[test]
fn an_owner_that_leaves_answers_unread_breaks_no_protocol() {
    let softhsm = SoftHsm::with_token();
    let (child, mut socket) = softhsm.start_child();
    let hello = softhsm::hello(softhsm::PIN, 1);
    socket.write_all(&greeting(hello)).unwrap();
    socket.read_exact(&mut [0]).unwrap();
    drop(socket);
    assert_eq!(child.ended().code(), Some(0));
}
