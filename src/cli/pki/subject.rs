//! Who a certificate is for, for how long, and under which serial number.

use std::fmt;
use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose,
    SanType, SerialNumber,
};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::error::PkiError;

/// Longest name: it is part of file names and of the common name, which X.520 ends at 64.
const NAME_MAX: usize = 64;

/// How far a certificate begins in the past, for clocks that are behind.
const CLOCK_GRACE: SignedDuration = SignedDuration::from_mins(5);

/// Which end of a connection a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// It proves a server's address.
    Server,
    /// It proves a client's name.
    Client,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Server => "server",
            Self::Client => "client",
        })
    }
}

/// Who a certificate is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// Unique in the authority.
    pub name: String,
    /// Which end of a connection.
    pub kind: Kind,
    /// A server's DNS names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<String>,
    /// A server's addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ip: Vec<IpAddr>,
}

impl Subject {
    /// A client, known to servers by `urn:strongroom:client:<name>`.
    ///
    /// # Errors
    /// [`PkiError::NameInvalid`].
    pub fn client(name: String) -> Result<Self, PkiError> {
        check_name(&name)?;
        Ok(Self {
            name,
            kind: Kind::Client,
            dns: Vec::new(),
            ip: Vec::new(),
        })
    }

    /// A server, known to clients by its DNS names and addresses.
    ///
    /// # Errors
    /// [`PkiError::NameInvalid`], [`PkiError::DnsInvalid`], [`PkiError::ServerUnnamed`].
    pub fn server(name: String, dns: Vec<String>, ip: Vec<IpAddr>) -> Result<Self, PkiError> {
        check_name(&name)?;
        if dns.is_empty() && ip.is_empty() {
            return Err(PkiError::ServerUnnamed);
        }
        if let Some(name) = dns.iter().find(|name| !is_dns_name(name)) {
            return Err(PkiError::DnsInvalid { name: name.clone() });
        }
        Ok(Self {
            name,
            kind: Kind::Server,
            dns,
            ip,
        })
    }

    /// The URI a server reads to know the client.
    pub fn uri(&self) -> Option<String> {
        match self.kind {
            Kind::Client => Some(format!("urn:strongroom:client:{}", self.name)),
            Kind::Server => None,
        }
    }

    /// The certificate's content, but for its key.
    ///
    /// # Errors
    /// [`PkiError::Encoding`].
    pub fn params(&self, span: Span, serial: &Serial) -> Result<CertificateParams, PkiError> {
        let mut params = params(&self.name, span, serial)?;
        let ia5 = |text: String| {
            text.try_into()
                .map_err(PkiError::encoding("the certificate"))
        };
        for name in &self.dns {
            params
                .subject_alt_names
                .push(SanType::DnsName(ia5(name.clone())?));
        }
        params
            .subject_alt_names
            .extend(self.ip.iter().map(|ip| SanType::IpAddress(*ip)));
        if let Some(uri) = self.uri() {
            params.subject_alt_names.push(SanType::URI(ia5(uri)?));
        }
        // It also writes the subject key identifier.
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![match self.kind {
            Kind::Server => ExtendedKeyUsagePurpose::ServerAuth,
            Kind::Client => ExtendedKeyUsagePurpose::ClientAuth,
        }];
        Ok(params)
    }
}

/// The content of an authority's own certificate: it signs end entities and lists, nothing else.
///
/// # Errors
/// [`PkiError::Encoding`].
pub fn authority_params(
    name: &str,
    span: Span,
    serial: &Serial,
) -> Result<CertificateParams, PkiError> {
    let mut params = params(name, span, serial)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn params(name: &str, span: Span, serial: &Serial) -> Result<CertificateParams, PkiError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(serial.number()?);
    params.not_before = offset(span.not_before)?;
    params.not_after = offset(span.not_after)?;
    Ok(params)
}

/// From when to when a certificate or list is valid, in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its first instant.
    pub not_before: Timestamp,
    /// Its last instant.
    pub not_after: Timestamp,
}

impl Span {
    /// The span that ends at `not_after`. Unless given, it begins a little before now, or before the
    /// end, so that an expired certificate can be made for a test.
    ///
    /// # Errors
    /// [`PkiError::SpanInvalid`].
    pub fn until(
        not_after: Timestamp,
        not_before: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Self, PkiError> {
        let start = not_before.or_else(|| now.min(not_after).checked_sub(CLOCK_GRACE).ok());
        let invalid = |not_before| PkiError::SpanInvalid {
            not_before,
            not_after,
        };
        let start = start.ok_or_else(|| invalid(not_after))?;
        // DER writes whole seconds; what is recorded is what is written.
        let whole = |instant: Timestamp| {
            Timestamp::from_second(instant.as_second()).map_err(|_| invalid(start))
        };
        let span = Self {
            not_before: whole(start)?,
            not_after: whole(not_after)?,
        };
        if span.not_before >= span.not_after {
            return Err(invalid(start));
        }
        Ok(span)
    }
}

/// The instant `days` from now, or before it.
///
/// # Errors
/// [`PkiError::DaysOutOfRange`].
pub fn days_from(now: Timestamp, days: i64) -> Result<Timestamp, PkiError> {
    let out_of_range = || PkiError::DaysOutOfRange { days };
    let hours = days.checked_mul(24).ok_or_else(out_of_range)?;
    let span = hours
        .checked_mul(3600)
        .map(SignedDuration::from_secs)
        .ok_or_else(out_of_range)?;
    now.checked_add(span).map_err(|_| out_of_range())
}

/// The same instant in the certificate library's type.
///
/// # Errors
/// [`PkiError::SpanInvalid`].
pub fn offset(instant: Timestamp) -> Result<OffsetDateTime, PkiError> {
    OffsetDateTime::from_unix_timestamp(instant.as_second()).map_err(|_| PkiError::SpanInvalid {
        not_before: instant,
        not_after: instant,
    })
}

/// A certificate's serial number: 32 lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Serial(String);

impl Serial {
    /// A random one of 128 bits.
    ///
    /// # Errors
    /// [`PkiError::Random`].
    pub fn random() -> Result<Self, PkiError> {
        let mut bytes = [0_u8; 16];
        getrandom::fill(&mut bytes).map_err(|reason| PkiError::Random { reason })?;
        // DER drops leading zeros and adds one before a high bit. With the first bits 01 the number is
        // always these 16 bytes, whoever prints it.
        if let Some(first) = bytes.first_mut() {
            *first = (*first & 0x3f) | 0x40;
        }
        Ok(Self(hex::encode(bytes)))
    }

    /// As people and other tools write it: either case, perhaps with colons.
    pub fn from_text(text: &str) -> Self {
        Self(
            text.chars()
                .filter(|c| *c != ':')
                .map(|c| c.to_ascii_lowercase())
                .collect(),
        )
    }

    /// As the certificate library wants it.
    ///
    /// # Errors
    /// [`PkiError::SerialUnknown`] when it is not hexadecimal.
    pub fn number(&self) -> Result<SerialNumber, PkiError> {
        let bytes = hex::decode(&self.0).map_err(|_| PkiError::SerialUnknown {
            serial: self.0.clone(),
        })?;
        Ok(SerialNumber::from(bytes))
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn check_name(name: &str) -> Result<(), PkiError> {
    let allowed =
        |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
    let starts = name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    if !starts || name.len() > NAME_MAX || !name.chars().all(allowed) {
        return Err(PkiError::NameInvalid {
            name: name.to_owned(),
        });
    }
    Ok(())
}

fn is_dns_name(name: &str) -> bool {
    let label = |label: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-';
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(allowed)
    };
    // A name of digits alone is an address written into the wrong option.
    name.len() <= 253
        && name.split('.').all(label)
        && name.contains(|c: char| c.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_their_folder_are_refused() {
        for name in [
            "",
            "..",
            "-a",
            "a/b",
            "a b",
            "Walletd",
            "ä",
            &"a".repeat(65),
        ] {
            assert!(Subject::client(name.to_owned()).is_err(), "{name}");
        }
        for name in ["walletd", "signerd-2", "a.b_c", "0"] {
            assert!(Subject::client(name.to_owned()).is_ok(), "{name}");
        }
    }

    #[test]
    fn dns_names_are_names() {
        for name in ["localhost", "signer.example.org", "a-1"] {
            assert!(is_dns_name(name), "{name}");
        }
        for name in [
            "",
            "127.0.0.1",
            "a..b",
            "-a",
            "a-",
            "*.example.org",
            "a b",
            "exa_mple",
        ] {
            assert!(!is_dns_name(name), "{name}");
        }
    }

    #[test]
    fn serials_keep_their_length_in_der() {
        for _ in 0..64 {
            let serial = Serial::random().unwrap();
            assert_eq!(serial.to_string().len(), 32);
            assert!(('4'..='7').contains(&serial.to_string().chars().next().unwrap()));
            assert_eq!(
                Serial::from_text(&serial.to_string().to_uppercase()),
                serial
            );
        }
    }

    #[test]
    fn spans_are_never_empty() {
        let now: Timestamp = "2026-01-01T00:00:00.5Z".parse().unwrap();
        let span = Span::until(days_from(now, -10).unwrap(), None, now).unwrap();
        assert!(span.not_before < span.not_after && span.not_after < now);
        assert!(Span::until(now, Some(now), now).is_err());
        assert!(days_from(now, i64::MAX).is_err());
    }
}
