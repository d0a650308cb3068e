//! What a test does with a device, whichever kind it is. A test that holds of every device takes one
//! and stands in [`on_each_device`].

use std::{
    env,
    os::{fd::OwnedFd, unix::net::UnixStream},
    process::{Command, Stdio},
};

use tokio::sync::mpsc;

use super::{
    child,
    softhsm::{self, ChildProcess, Part, next, soon},
};
use crate::{
    KeyAlgorithm, KeyId, KeyPool, PoolConfig, PoolEvent, Told, pool::AttachError, protocol::Hello,
};

/// A device of its own for each test.
pub(crate) trait TestDevice {
    /// With nothing on it.
    fn new() -> Self;

    /// A program with what the device wants of its environment.
    fn command(&self, program: &std::ffi::OsStr) -> Command;

    /// How a key child is greeted.
    fn hello(&self, sessions: u16) -> Hello;

    /// This test binary again, to play one part.
    fn part(&self, part: &Part) -> Command {
        let mut command = self.command(env::current_exe().unwrap().as_os_str());
        part.of_command(&mut command);
        command
    }

    /// Starts a key child, its socket as its standard input.
    fn start_child(&self) -> (ChildProcess, UnixStream) {
        start(self.part(&child::part()))
    }

    /// Starts a key child and attaches it.
    async fn attach(&self, pool: &KeyPool, sessions: u16) -> Result<ChildProcess, AttachError> {
        let (child, socket) = self.start_child();
        soon(softhsm::attach(pool, socket, self.hello(sessions))).await?;
        Ok(child)
    }

    /// A pool with a child, and with generated and registered keys.
    async fn pool(
        &self,
        config: PoolConfig,
        sessions: u16,
        keys: &[&KeyId],
    ) -> (KeyPool, mpsc::Receiver<Told>, ChildProcess) {
        let (pool, mut events) = KeyPool::new(config);
        let child = self.attach(&pool, sessions).await.unwrap();
        assert!(matches!(next(&mut events).await, Some(PoolEvent::Ready(_))));
        for key in keys {
            let made = pool.generate(key, KeyAlgorithm::Secp256k1).await.unwrap();
            pool.register(made.key, made.public).unwrap();
        }
        (pool, events, child)
    }
}

/// Starts a key child, its socket as its standard input.
pub(crate) fn start(mut command: Command) -> (ChildProcess, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let child = command
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    (ChildProcess::new(child), ours)
}

/// Runs tests that take a device once for each kind.
macro_rules! on_each_device {
    ($($test:ident),+ $(,)?) => {
        mod on_softhsm {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    super::$test(<$crate::tests::softhsm::SoftHsm as $crate::tests::device::TestDevice>::new()).await;
                }
            )+
        }

        mod on_keystore {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    super::$test(<$crate::tests::keystore::KeystoreFolder as $crate::tests::device::TestDevice>::new()).await;
                }
            )+
        }
    };
}

pub(crate) use on_each_device;
