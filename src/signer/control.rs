//! Between supervisor and server: a sequenced-packet socket that also carries the key child's.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, OwnedFd},
};

use keys::MemberId;
use rustix::{
    io::Errno,
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
    },
};
use tokio::{io::Interest, net::UnixDatagram};

/// What the two tell one another. `member` is the device; `generation` numbers its key children, from 1.
#[derive(Debug)]
pub enum Message {
    /// To the server: a key child was started; this is its socket, on which the greeting with the
    /// PIN has been sent already.
    Device {
        /// The device.
        member: MemberId,
        /// The child.
        generation: u32,
        /// Its socket.
        socket: OwnedFd,
    },
    /// To the server: no child is started, because the device rejected the PIN before.
    PinRejectedBefore {
        /// The device.
        member: MemberId,
    },
    /// To the supervisor: the server takes requests.
    Serving,
    /// To the supervisor: the child is logged in.
    DeviceReady {
        /// The device.
        member: MemberId,
        /// The child.
        generation: u32,
    },
    /// To the supervisor: the child hangs or lies; kill it.
    KillDevice {
        /// The device.
        member: MemberId,
        /// The child.
        generation: u32,
    },
    /// To the supervisor: the device rejected the PIN; start no other child.
    PinRejected {
        /// The device.
        member: MemberId,
        /// The child.
        generation: u32,
    },
}

/// One end. The type is that of datagrams, whose calls are the same; the socket keeps order and
/// tells when the other end is gone.
#[derive(Debug)]
pub struct Control(UnixDatagram);

/// Both ends: one for this process, one to be another's standard input.
///
/// # Errors
/// As the operating system reports them.
pub fn pair() -> io::Result<(Control, OwnedFd)> {
    let flags = SocketFlags::CLOEXEC;
    let (own, other) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    Ok((Control::new(own)?, other))
}

impl Control {
    /// Takes one end of a [`pair`].
    ///
    /// # Errors
    /// As the operating system reports them.
    pub fn new(socket: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&socket, true)?;
        UnixDatagram::from_std(socket.into()).map(Self)
    }

    /// Sends a message.
    ///
    /// # Errors
    /// When the other end is gone.
    pub async fn send(&self, message: Message) -> io::Result<()> {
        let (bytes, socket) = encode(message);
        let send = || {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            let fds = socket.as_ref().map(|socket| [socket.as_fd()]);
            if let Some(fds) = &fds {
                ancillary.push(SendAncillaryMessage::ScmRights(fds));
            }
            let flags = SendFlags::NOSIGNAL;
            sendmsg(&self.0, &[IoSlice::new(&bytes)], &mut ancillary, flags)
                .map_err(io::Error::from)
        };
        self.0.async_io(Interest::WRITABLE, send).await.map(|_| ())
    }

    /// Receives a message; `None` when the other end is gone.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] for what is no message.
    pub async fn receive(&self) -> io::Result<Option<Message>> {
        let mut bytes = [0; 8];
        let mut socket = None;
        let received = self
            .0
            .async_io(Interest::READABLE, || {
                receive(&self.0, &mut bytes, &mut socket)
            })
            .await?;
        if received == 0 {
            return Ok(None);
        }
        let invalid = || io::Error::new(io::ErrorKind::InvalidData, "no control message");
        let message = bytes
            .get(..received)
            .and_then(|bytes| decode(bytes, socket));
        message.map(Some).ok_or_else(invalid)
    }
}

fn receive(
    control: &UnixDatagram,
    bytes: &mut [u8],
    socket: &mut Option<OwnedFd>,
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let slices = &mut [IoSliceMut::new(bytes)];
    let received = match recvmsg(control, slices, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
        Ok(message) => message.bytes,
        // The other end was killed with something unread.
        Err(Errno::CONNRESET) => 0,
        Err(errno) => return Err(errno.into()),
    };
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(fds) = message {
            *socket = fds.last();
        }
    }
    Ok(received)
}

fn encode(message: Message) -> (Vec<u8>, Option<OwnedFd>) {
    let numbered = |kind: u8, member: MemberId, generation: u32| {
        let mut bytes = vec![kind, member.0];
        bytes.extend_from_slice(&generation.to_be_bytes());
        bytes
    };
    match message {
        Message::Device {
            member,
            generation,
            socket,
        } => (numbered(b'D', member, generation), Some(socket)),
        Message::PinRejectedBefore { member } => (vec![b'X', member.0], None),
        Message::Serving => (vec![b'S'], None),
        Message::DeviceReady { member, generation } => (numbered(b'R', member, generation), None),
        Message::KillDevice { member, generation } => (numbered(b'K', member, generation), None),
        Message::PinRejected { member, generation } => (numbered(b'P', member, generation), None),
    }
}

fn decode(bytes: &[u8], socket: Option<OwnedFd>) -> Option<Message> {
    let (kind, rest) = bytes.split_first()?;
    if rest.is_empty() {
        return (*kind == b'S').then_some(Message::Serving);
    }
    let (member, rest) = rest.split_first()?;
    let member = MemberId(*member);
    if rest.is_empty() {
        return (*kind == b'X').then_some(Message::PinRejectedBefore { member });
    }
    let generation = u32::from_be_bytes(rest.try_into().ok()?);
    match kind {
        b'D' => Some(Message::Device {
            member,
            generation,
            socket: socket?,
        }),
        b'R' => Some(Message::DeviceReady { member, generation }),
        b'K' => Some(Message::KillDevice { member, generation }),
        b'P' => Some(Message::PinRejected { member, generation }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use super::*;

    #[tokio::test]
    async fn carries_messages_and_a_socket() {
        let (own, other) = pair().unwrap();
        let other = Control::new(other).unwrap();
        let (mut near, far) = UnixStream::pair().unwrap();
        own.send(Message::Device {
            member: MemberId(3),
            generation: 7,
            socket: far.into(),
        })
        .await
        .unwrap();
        own.send(Message::KillDevice {
            member: MemberId(255),
            generation: u32::MAX,
        })
        .await
        .unwrap();
        let Some(Message::Device {
            member: MemberId(3),
            generation: 7,
            socket,
        }) = other.receive().await.unwrap()
        else {
            panic!("not the device");
        };
        let Some(Message::KillDevice {
            member: MemberId(255),
            generation: u32::MAX,
        }) = other.receive().await.unwrap()
        else {
            panic!("not the kill");
        };
        UnixStream::from(socket).write_all(b"hello").unwrap();
        let mut text = [0; 5];
        near.read_exact(&mut text).unwrap();
        assert_eq!(&text, b"hello");
        drop(own);
        assert!(other.receive().await.unwrap().is_none());
    }

    #[test]
    fn refuses_what_is_no_message() {
        let short: [&[u8]; 6] = [b"", b"Q", b"R", b"R\0", b"R\0\0\0\0", b"S\0"];
        let wrong: [&[u8]; 4] = [b"X", b"Q\0", b"D\0\0\0\0\x01", b"R\0\0\0\0\x01\0"];
        for bytes in short.into_iter().chain(wrong) {
            assert!(decode(bytes, None).is_none(), "{bytes:?}");
        }
    }
}
