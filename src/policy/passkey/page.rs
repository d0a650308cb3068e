//! The one page where passkeys are used.

use std::{fmt, str::FromStr};

use thiserror::Error;

/// Where people use their passkeys: a page of one origin. What is made or asked for anywhere else counts for
/// nothing, a page of the same host on another port too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovalPage {
    origin: String,
    /// The length of the host in it.
    host: usize,
}

/// A text is no origin of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "is no origin as a browser writes it, such as \"https://approve.example.org\": https, a host's name in \
     lower case, a port unless it is 443, and nothing behind"
)]
pub struct ApprovalPageError;

const SCHEME: &str = "https://";
/// The longest name of a host (RFC 1035), and of a part of it.
const HOST_MAX: usize = 253;
const LABEL_MAX: usize = 63;
/// The port that an origin leaves out.
const DEFAULT_PORT: u16 = 443;

impl ApprovalPage {
    /// The origin, as a browser writes it.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The id of the relying party: the host. A wider one would let pages of other hosts use the passkeys.
    pub fn rp_id(&self) -> &str {
        let host = self.origin.strip_prefix(SCHEME).unwrap_or_default();
        host.get(..self.host).unwrap_or_default()
    }
}

impl FromStr for ApprovalPage {
    type Err = ApprovalPageError;

    fn from_str(text: &str) -> Result<Self, ApprovalPageError> {
        let authority = text.strip_prefix(SCHEME).ok_or(ApprovalPageError)?;
        let (host, port) = match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        };
        if is_host(host) && port.is_none_or(is_port) {
            return Ok(Self {
                origin: text.to_owned(),
                host: host.len(),
            });
        }
        Err(ApprovalPageError)
    }
}

/// A name, and no address: WebAuthn has no relying party of an address.
fn is_host(host: &str) -> bool {
    let is_label = |label: &str| {
        let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
        (1..=LABEL_MAX).contains(&label.len())
            && label.bytes().all(plain)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = host.rsplit('.').next().unwrap_or_default();
    host.len() <= HOST_MAX
        && host.split('.').all(is_label)
        && last.bytes().any(|byte| byte.is_ascii_lowercase())
}

fn is_port(port: &str) -> bool {
    let number = crate::statement::canonical::<u16>(port);
    number.is_some_and(|number| number > 0 && number != DEFAULT_PORT)
}

impl fmt::Display for ApprovalPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_one_spelling_and_its_host_is_the_relying_party() {
        for (origin, rp_id) in [
            ("https://approve.example.org", "approve.example.org"),
            ("https://approve.example.org:8443", "approve.example.org"),
            ("https://localhost:8443", "localhost"),
            (
                "https://a-1.xn--bcher-kva.example",
                "a-1.xn--bcher-kva.example",
            ),
        ] {
            let page: ApprovalPage = origin.parse().unwrap();
            assert_eq!((page.origin(), page.rp_id()), (origin, rp_id));
            assert_eq!(page.to_string(), origin);
        }
    }

    #[test]
    fn what_no_browser_writes_as_an_origin_is_none() {
        let long = format!("https://{}", "a".repeat(64));
        let longer = format!("https://{}a", "abcdefg.".repeat(32));
        for origin in [
            "",
            "https://",
            "http://approve.example.org",
            "HTTPS://approve.example.org",
            "https://Approve.example.org",
            "https://approve.example.org/",
            "https://approve.example.org/approve",
            "https://approve.example.org:443",
            "https://approve.example.org:0",
            "https://approve.example.org:08443",
            "https://approve.example.org:65536",
            "https://approve.example.org:",
            "https://ann@approve.example.org",
            "https://approve.example.org.",
            "https://approve..example.org",
            "https://-approve.example.org",
            "https://approve-.example.org",
            "https://127.0.0.1",
            "https://[::1]",
            "https://b\u{fc}cher.example",
            "https://approve.example.org ",
            &long,
            &longer,
        ] {
            let page = origin.parse::<ApprovalPage>();
            assert_eq!(page, Err(ApprovalPageError), "{origin}");
        }
    }
}
