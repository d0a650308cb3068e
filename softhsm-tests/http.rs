//! HTTP/1.1 by hand, over any stream: a hostile client writes what no library would.

use std::io::{self, Read, Write};

use serde::de::DeserializeOwned;

/// The largest answer that is read.
const ANSWER_MAX: usize = 16 << 20;

/// An answer, to the byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The head, as it was sent.
    pub head: String,
    /// The body, as it was sent.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body's JSON.
    ///
    /// # Panics
    /// When it is not of this form.
    pub fn json<T: DeserializeOwned>(&self) -> T {
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(error) => panic!("{error}: {} {}", self.status, self.text()),
        }
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The value of a header field.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// The bytes of a request with a JSON body.
pub fn request(method: &str, path: &str, body: Option<&[u8]>) -> Vec<u8> {
    let mut bytes = format!("{method} {path} HTTP/1.1\r\nhost: signer\r\n").into_bytes();
    if let Some(body) = body {
        let fields = "content-type: application/json\r\ncontent-length";
        bytes.extend(format!("{fields}: {}\r\n", body.len()).bytes());
    }
    bytes.extend(b"\r\n");
    bytes.extend(body.unwrap_or_default());
    bytes
}

/// Sends a request and reads its answer.
///
/// # Errors
/// Those of the stream.
pub fn exchange(stream: &mut (impl Read + Write), request: &[u8]) -> io::Result<Answer> {
    stream.write_all(request)?;
    stream.flush()?;
    read_answer(stream)
}

/// Reads one answer, with a length or until the end.
///
/// # Errors
/// Those of the stream, and [`io::ErrorKind::InvalidData`] for what is no answer.
pub fn read_answer(stream: &mut impl Read) -> io::Result<Answer> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if !read_some(stream, &mut bytes)? {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "no whole head",
            ));
        }
    };
    let body = bytes.split_off(head_end);
    let head = String::from_utf8_lossy(&bytes).into_owned();
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|digits| digits.parse().ok());
    let invalid = || io::Error::new(io::ErrorKind::InvalidData, "no status");
    let mut answer = Answer {
        status: status.ok_or_else(invalid)?,
        head,
        body,
    };
    let length = match answer.status {
        // It has no body (RFC 9110 §15.3.5).
        204 => Some(0),
        _ => answer
            .header("content-length")
            .and_then(|digits| digits.parse().ok()),
    };
    while length.is_none_or(|length: usize| answer.body.len() < length) {
        if !read_some(stream, &mut answer.body)? {
            break;
        }
    }
    match length {
        Some(length) if answer.body.len() != length => Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "no whole body",
        )),
        _ => Ok(answer),
    }
}

fn read_some(stream: &mut impl Read, bytes: &mut Vec<u8>) -> io::Result<bool> {
    let mut buffer = [0; 16 * 1024];
    let read = stream.read(&mut buffer)?;
    bytes.extend_from_slice(&buffer[..read]);
    if bytes.len() > ANSWER_MAX {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the answer is endless",
        ));
    }
    Ok(read > 0)
}
