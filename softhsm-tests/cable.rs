//! What stands between two programs and can be cut.

use std::{
    io,
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

/// A way to an address that carries bytes as they come. It ends when it is dropped.
#[derive(Debug)]
pub struct Cable {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// Whether nobody gets through.
    cut: bool,
    ended: bool,
    /// Both ends of all connections so far.
    ends: Vec<TcpStream>,
}

impl Cable {
    /// Listens at the same host, on another port.
    ///
    /// # Panics
    /// When it cannot listen.
    pub fn to(address: SocketAddr) -> Self {
        let listener = TcpListener::bind((address.ip(), 0)).expect("a port");
        let cable = Self {
            address: listener.local_addr().expect("an address"),
            state: Arc::default(),
        };
        let state = Arc::clone(&cable.state);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
                if state.ended {
                    break;
                }
                if state.cut {
                    continue;
                }
                // Who cannot be carried is closed.
                if let Ok(ends) = stream.and_then(|stream| carry(stream, address)) {
                    state.ends.extend(ends);
                }
            }
        });
        cable
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends all connections, and takes no further ones.
    pub fn cut(&self) {
        let mut state = self.state();
        state.cut = true;
        for end in state.ends.drain(..) {
            // One that is closed already is cut.
            let _closed = end.shutdown(Shutdown::Both);
        }
    }

    /// Takes connections again.
    pub fn mend(&self) {
        self.state().cut = false;
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.cut();
        self.state().ended = true;
        // It looks once it has somebody to serve.
        let _ = TcpStream::connect(self.address);
    }
}

/// Carries in both directions, on threads that end with the connection. Gives both ends.
fn carry(near: TcpStream, address: SocketAddr) -> io::Result<[TcpStream; 2]> {
    let far = TcpStream::connect(address)?;
    for stream in [&near, &far] {
        stream.set_nodelay(true)?;
    }
    for (from, to) in [(&near, &far), (&far, &near)] {
        let (mut from, mut to) = (from.try_clone()?, to.try_clone()?);
        thread::spawn(move || {
            let _carried = io::copy(&mut from, &mut to);
            let _closed = to.shutdown(Shutdown::Both);
        });
    }
    Ok([near, far])
}
