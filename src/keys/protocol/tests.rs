//! The codec is the identity on what it wrote and refuses everything else.

use proptest::prelude::*;

use super::*;
use tx::Name;

use crate::{
    device::{
        Algorithms, Backend, EdwardsParams, Essentials, FirmwareVersion, IdentityFault, Quirks,
        TokenIdentity, TokenSelector, Wrapping,
    },
    key::{KeyAlgorithm, KeyId, KeyPurpose, PublicKey},
};

fn text<const MAX: usize>() -> impl Strategy<Value = Text<MAX>> {
    "[ -~äß]{0,40}".prop_map(|text| Text::cut(&text))
}

fn bytes<const MAX: usize>() -> impl Strategy<Value = Bytes<MAX>> {
    prop::collection::vec(any::<u8>(), 0..=MAX).prop_map(|bytes| Bytes::new(&bytes).unwrap())
}

fn name() -> impl Strategy<Value = Name> {
    "[a-z0-9._-]{1,64}".prop_map(|text| text.parse().unwrap())
}

fn key() -> impl Strategy<Value = KeyId> {
    (prop::sample::select(KeyPurpose::ALL.to_vec()), name())
        .prop_map(|(purpose, name)| KeyId { purpose, name })
}

fn algorithm() -> impl Strategy<Value = KeyAlgorithm> {
    prop_oneof![
        Just(KeyAlgorithm::Secp256k1),
        Just(KeyAlgorithm::Ed25519),
        Just(KeyAlgorithm::Bip340)
    ]
}

fn residence() -> impl Strategy<Value = Residence> {
    prop_oneof![Just(Residence::Token), Just(Residence::Session)]
}

fn public() -> impl Strategy<Value = PublicKey> {
    ([1..=255u8, 1..=255u8], algorithm()).prop_map(|([a, b], algorithm)| {
        let seed = [a, b].repeat(16);
        match algorithm {
            KeyAlgorithm::Secp256k1 | KeyAlgorithm::Bip340 => {
                let secret = k256::ecdsa::SigningKey::from_slice(&[&[0], &seed[1..]].concat());
                let point = secret.unwrap().verifying_key().to_encoded_point(true);
                let is_whole = algorithm == KeyAlgorithm::Secp256k1;
                let from = usize::from(!is_whole);
                PublicKey::new(algorithm, &point.as_bytes()[from..]).unwrap()
            }
            KeyAlgorithm::Ed25519 => {
                let secret = ed25519_dalek::SigningKey::from_bytes(&seed.try_into().unwrap());
                PublicKey::new(algorithm, secret.verifying_key().as_bytes()).unwrap()
            }
        }
    })
}

fn version() -> impl Strategy<Value = FirmwareVersion> {
    any::<(u8, u8)>().prop_map(|(major, minor)| FirmwareVersion { major, minor })
}

fn essentials() -> impl Strategy<Value = Essentials> {
    let range = (version(), version(), version());
    let bits = (any::<u16>(), 0..4u8, 0..64u32, any::<Option<u32>>());
    let ways = (
        prop_oneof![
            Just(EdwardsParams::PrintableString),
            Just(EdwardsParams::ObjectIdentifier)
        ],
        prop_oneof![Just(Wrapping::NotClaimed), Just(Wrapping::AesKeyWrapPad)],
    );
    (text(), text(), range, bits, ways).prop_map(|(manufacturer, model, range, bits, ways)| {
        Essentials {
            manufacturer,
            model,
            firmware_min: range.0,
            firmware_max: range.1,
            firmware_safe: range.2,
            sessions_max: bits.0,
            algorithms: Algorithms::from_bits(bits.1).unwrap(),
            quirks: Quirks::from_bits(bits.2).unwrap(),
            message_bytes_max: bits.3,
            edwards_params: ways.0,
            wrapping: ways.1,
        }
    })
}

fn hello() -> impl Strategy<Value = Hello> {
    let selector = (prop::option::of(text()), prop::option::of(text()))
        .prop_map(|(label, serial)| TokenSelector { label, serial });
    let backend = prop_oneof![
        text().prop_map(Backend::Module),
        text().prop_map(Backend::Keystore),
    ];
    (
        backend,
        selector,
        "[ -~]{0,255}",
        any::<u16>(),
        essentials(),
    )
        .prop_map(|(backend, token, pin, sessions, profile)| Hello {
            backend,
            token,
            pin: Pin::new(&pin).unwrap(),
            sessions,
            profile,
        })
}

fn sign() -> impl Strategy<Value = Sign> {
    let input = prop_oneof![
        any::<[u8; 32]>().prop_map(SignInput::Digest),
        bytes().prop_map(SignInput::Message),
        any::<[u8; 32]>().prop_map(SignInput::Bip340),
    ];
    (any::<u64>(), key(), input).prop_map(|(call, key, input)| Sign { call, key, input })
}

fn request() -> impl Strategy<Value = Request> {
    prop_oneof![
        hello().prop_map(Request::Hello),
        key().prop_map(|key| Request::Find { key }),
        key().prop_map(|key| Request::Public { key }),
        sign().prop_map(Request::Sign),
        (key(), algorithm(), residence()).prop_map(|(key, algorithm, residence)| {
            Request::Generate {
                key,
                algorithm,
                residence,
            }
        }),
        (key(), name()).prop_map(|(key, under)| Request::Wrap { key, under }),
        (key(), public(), name(), bytes()).prop_map(|(key, public, under, blob)| {
            Request::Unwrap {
                key,
                public,
                under,
                blob,
            }
        }),
        key().prop_map(|key| Request::Destroy { key }),
        Just(Request::Health),
    ]
}

fn identity() -> impl Strategy<Value = TokenIdentity> {
    (text(), text(), text(), text(), version()).prop_map(
        |(label, manufacturer, model, serial, firmware)| TokenIdentity {
            label,
            manufacturer,
            model,
            serial,
            firmware,
        },
    )
}

fn failure() -> impl Strategy<Value = Failure> {
    let plain = [
        Failure::PinRejected,
        Failure::PinLocked,
        Failure::PinExpired,
        Failure::TokenUnknown,
        Failure::TokenAmbiguous,
        Failure::TokenFull,
        Failure::KeyUnknown,
        Failure::KeyAmbiguous,
        Failure::KeyExists,
        Failure::PublicKeyUnreadable,
        Failure::AlgorithmMismatch,
        Failure::SelfTestFailed,
        Failure::SyncFailed,
        Failure::DeviceGone,
        Failure::SessionLost,
        Failure::Unsupported,
        Failure::OutOfOrder,
        Failure::MemoryUnlocked,
        Failure::MessageTooLong { max: 2_000 },
    ];
    let fault = prop_oneof![
        text().prop_map(|found| IdentityFault::Manufacturer { found }),
        text().prop_map(|found| IdentityFault::Model { found }),
        version().prop_map(|found| IdentityFault::Firmware { found }),
        version().prop_map(|found| IdentityFault::Vulnerable { found }),
        Just(IdentityFault::Derives),
    ];
    let found = prop::sample::select(vec![Found::Absent, Found::False, Found::True, Found::Other]);
    let attribute = prop::sample::select(vec![KeyAttribute::Token, KeyAttribute::Curve]);
    prop_oneof![
        prop::sample::select(plain.to_vec()),
        text().prop_map(|reason| Failure::ModuleUnusable { reason }),
        text().prop_map(|reason| Failure::KeystoreUnusable { reason }),
        text().prop_map(|reason| Failure::KeyFileRefused { reason }),
        fault.prop_map(|fault| Failure::TokenRefused { fault }),
        (attribute, found).prop_map(|(attribute, found)| Failure::KeyRefused { attribute, found }),
        (text(), text()).prop_map(|(function, code)| Failure::Device { function, code }),
    ]
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        (identity(), any::<u16>())
            .prop_map(|(identity, sessions)| Answer::Ready { identity, sessions }),
        (key(), public(), residence()).prop_map(|(key, public, residence)| {
            Answer::Key(KeyDescription {
                key,
                public,
                residence,
            })
        }),
        (any::<u64>(), bytes()).prop_map(|(call, signature)| Answer::Signed { call, signature }),
        bytes().prop_map(|blob| Answer::Wrapped { blob }),
        Just(Answer::Destroyed),
        any::<u16>().prop_map(|waiting| Answer::Healthy { waiting }),
        failure().prop_map(Answer::Failed),
    ]
}

fn encode<M: Message>(frame: &Frame<M>) -> Vec<u8> {
    let mut out = Vec::new();
    frame.append_to(&mut out);
    out
}

/// What holds for every message.
fn is_strict<M: Message + PartialEq + std::fmt::Debug>(correlation: u64, message: M) {
    let frame = Frame {
        correlation,
        message,
    };
    let bytes = encode(&frame);
    assert!(bytes.len() <= FRAME_MAX);
    let body = &bytes[LENGTH_BYTES..];
    assert_eq!(
        bytes[..LENGTH_BYTES],
        u32::try_from(body.len()).unwrap().to_be_bytes()
    );
    assert_eq!(Frame::<M>::decode(body).as_ref(), Ok(&frame));
    for end in 0..body.len() {
        assert!(Frame::<M>::decode(&body[..end]).is_err(), "cut at {end}");
    }
    let longer = [body, &[0]].concat();
    assert_eq!(
        Frame::<M>::decode(&longer).unwrap_err(),
        DecodeError::Trailing { left: 1 }
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn requests_are_read_as_written(correlation: u64, request in request()) {
        is_strict(correlation, request);
    }

    #[test]
    fn answers_are_read_as_written(correlation: u64, answer in answer()) {
        is_strict(correlation, answer);
    }

    /// What was read from any bytes is written as the same bytes: no message has two spellings.
    #[test]
    fn any_bytes_read_are_written_the_same(
        kind in prop::sample::select(vec![1u8, 2, 3, 4, 5, 6, 7, 8, 9, 0x81, 0x82, 0x84, 0x86, 0x88, 0x89, 0xff]),
        fields in prop::collection::vec(0..6u8, 0..64),
    ) {
        let body = [&[VERSION, kind][..], &[0; 8], &fields].concat();
        if let Ok(frame) = Frame::<Request>::decode(&body) {
            prop_assert_eq!(&encode(&frame)[LENGTH_BYTES..], &body[..]);
        }
        if let Ok(frame) = Frame::<Answer>::decode(&body) {
            prop_assert_eq!(&encode(&frame)[LENGTH_BYTES..], &body[..]);
        }
    }

    /// However a stream is cut, the same frames come out of it.
    #[test]
    fn an_inbox_does_not_mind_cuts(
        requests in prop::collection::vec(request(), 1..12),
        cuts in prop::collection::vec(1..5000usize, 1..40),
    ) {
        let frames: Vec<_> = (0u64..).zip(requests)
            .map(|(correlation, message)| Frame { correlation, message })
            .collect();
        let stream: Vec<u8> = frames.iter().flat_map(encode).collect();
        let mut inbox = Inbox::default();
        let mut seen = Vec::new();
        let mut rest = &stream[..];
        for cut in cuts.into_iter().cycle() {
            let spare = inbox.spare();
            let length = cut.min(rest.len()).min(spare.len());
            spare[..length].copy_from_slice(&rest[..length]);
            inbox.received(length);
            rest = &rest[length..];
            while let Some(frame) = inbox.frame::<Request>().unwrap() {
                seen.push(frame);
            }
            if rest.is_empty() {
                break;
            }
        }
        prop_assert!(inbox.is_empty());
        prop_assert_eq!(seen, frames);
    }
}

#[test]
fn the_largest_messages_fit() {
    let name: Name = "a".repeat(64).parse().unwrap();
    let key = KeyId {
        purpose: KeyPurpose::Checkpoint,
        name: name.clone(),
    };
    let largest = [
        Request::Sign(Sign {
            call: u64::MAX,
            key: key.clone(),
            input: SignInput::Message(Bytes::new(&[0; 3072]).unwrap()),
        }),
        Request::Hello(Hello {
            backend: Backend::Module(Text::cut(&"m".repeat(1024))),
            token: TokenSelector {
                label: Some(Text::cut(&"l".repeat(32))),
                serial: Some(Text::cut(&"s".repeat(16))),
            },
            pin: Pin::new(&"p".repeat(255)).unwrap(),
            sessions: u16::MAX,
            profile: Essentials {
                manufacturer: Text::cut(&"m".repeat(32)),
                model: Text::cut(&"m".repeat(16)),
                firmware_min: FirmwareVersion::default(),
                firmware_max: FirmwareVersion::default(),
                firmware_safe: FirmwareVersion::default(),
                sessions_max: 1,
                message_bytes_max: Some(u32::MAX),
                algorithms: Algorithms::default(),
                edwards_params: EdwardsParams::ObjectIdentifier,
                wrapping: Wrapping::NotClaimed,
                quirks: Quirks::default(),
            },
        }),
    ];
    for message in largest {
        is_strict(u64::MAX, message);
    }
}

#[test]
fn refuses_other_versions_kinds_lengths_and_inputs() {
    let frame = Frame {
        correlation: 7,
        message: Request::Health,
    };
    let mut bytes = encode(&frame);
    assert_eq!(
        bytes,
        [0, 0, 0, 10, 1, 9, 0, 0, 0, 0, 0, 0, 0, 7],
        "the frame of version 1"
    );
    assert_eq!(
        Frame::<Answer>::decode(&bytes[4..]).unwrap_err(),
        DecodeError::Kind { found: 9 },
        "a request is no answer"
    );
    bytes[4] = 2;
    assert_eq!(
        Frame::<Request>::decode(&bytes[4..]).unwrap_err(),
        DecodeError::Version { found: 2 }
    );
    for length in [0u32, 9, 4093, u32::MAX] {
        let mut inbox = Inbox::default();
        inbox.spare()[..4].copy_from_slice(&length.to_be_bytes());
        inbox.received(4);
        assert!(matches!(
            inbox.frame::<Request>(),
            Err(DecodeError::FrameLength { .. })
        ));
    }
}

#[test]
fn a_digest_has_exactly_32_bytes() {
    let sign = Frame {
        correlation: 1,
        message: Request::Sign(Sign {
            call: 1,
            key: KeyId {
                purpose: KeyPurpose::Spend,
                name: "a".parse().unwrap(),
            },
            input: SignInput::Digest([0; 32]),
        }),
    };
    let bytes = encode(&sign);
    let at = bytes.len() - 34;
    for length in [0u16, 20, 31, 33, 64] {
        let mut wrong = bytes[LENGTH_BYTES..at].to_vec();
        wrong.extend(length.to_be_bytes());
        wrong.extend(vec![0; usize::from(length)]);
        assert_eq!(
            Frame::<Request>::decode(&wrong).unwrap_err(),
            DecodeError::Value { field: "input" }
        );
    }
}
