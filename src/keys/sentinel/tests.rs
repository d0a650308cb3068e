//! Biased devices of our own are seen, honest ones are not.

use std::{
    ops::ControlFlow,
    sync::mpsc::{RecvTimeoutError, channel},
    time::Duration,
};

use bitcoin::secp256k1::{Message, PublicKey, Secp256k1, SecretKey, XOnlyPublicKey, schnorr};
use ruint::aliases::U256;
use tx::Scheme;

use super::{
    Alarm, End, Finding, Sentinel, Sighting, Width, biased,
    equation::{Equation, ORDER, minus, negated, over, plus, times},
    related,
    watch::{Look, Watches},
};
use crate::key::{KeyId, KeyPurpose};

/// SplitMix64: a seed is a test.
struct Random(u64);

impl Random {
    fn limb(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn bits(&mut self) -> U256 {
        U256::from_limbs([self.limb(), self.limb(), self.limb(), self.limb()])
    }

    fn scalar(&mut self) -> U256 {
        self.bits().reduce_mod(ORDER)
    }
}

/// A device whose nonces a test makes.
struct Device {
    random: Random,
    secret: U256,
    constant: U256,
}

impl Device {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed.wrapping_mul(0xd6e8_feb8_6659_fd93));
        Self {
            secret: random.scalar(),
            constant: random.bits(),
            random,
        }
    }

    /// With these bits always those of a constant.
    fn biased(&mut self, bits: usize, end: End) -> U256 {
        let free = self.random.bits();
        let nonce = match end {
            End::Top => (self.constant >> (256 - bits) << (256 - bits)) | (free >> bits),
            End::Bottom => (free << bits) | (self.constant >> (256 - bits)),
        };
        nonce.reduce_mod(ORDER)
    }

    fn public(&self) -> [u8; 33] {
        point(self.secret)
    }

    fn sign(&mut self, nonce: U256) -> Sighting {
        let digest = self.random.bits();
        let x: [u8; 32] = point(nonce)[1..].try_into().unwrap();
        self.sign_with(digest, nonce, x)
    }

    fn sign_with(&self, digest: U256, nonce: U256, x: [u8; 32]) -> Sighting {
        let r = U256::from_be_bytes(x).reduce_mod(ORDER);
        let sum = plus(digest.reduce_mod(ORDER), times(r, self.secret));
        Sighting {
            key: key("hot-1"),
            scheme: Scheme::Ecdsa,
            public: self.public(),
            digest: digest.to_be_bytes(),
            r: r.to_be_bytes(),
            s: over(sum, nonce).unwrap().to_be_bytes(),
        }
    }

    /// As BIP-340 has it: secret and nonce are those of points with an even y.
    fn sign_bip340(&mut self, nonce: U256) -> Sighting {
        const ODD: u8 = 3;

        let message = self.random.bits();
        let even = |number: U256| match point(number) {
            [ODD, ..] => negated(number),
            _ => number,
        };
        let (secret, nonce) = (even(self.secret), even(nonce));
        let r: [u8; 32] = point(nonce)[1..].try_into().unwrap();
        let mut sighting = Sighting {
            key: key("hot-1"),
            scheme: Scheme::Bip340,
            public: point(secret),
            digest: message.to_be_bytes(),
            r,
            s: [0; 32],
        };
        // With s = 0 the nonce would be -e × secret, which is what s is made of.
        let zero = Equation::of(&sighting).unwrap();
        let s = minus(nonce, times(zero.share, secret));
        sighting.s = s.to_be_bytes();
        sighting
    }

    /// Without the cost of a point: `r` is any number, as nothing that is looked for depends on it.
    fn equation(&mut self, nonce: U256) -> Equation {
        let share = self.random.scalar();
        let known = minus(nonce, times(share, self.secret));
        Equation { known, share }
    }

    fn equations(
        &mut self,
        width: Width,
        mut nonce: impl FnMut(&mut Self) -> U256,
    ) -> Vec<Equation> {
        (0..width.signatures())
            .map(|_| {
                let nonce = nonce(self);
                self.equation(nonce)
            })
            .collect()
    }
}

pub(super) fn key(name: &str) -> KeyId {
    KeyId {
        purpose: KeyPurpose::Spend,
        name: name.parse().unwrap(),
    }
}

fn point(scalar: U256) -> [u8; 33] {
    let secret = SecretKey::from_slice(&scalar.to_be_bytes::<32>()).unwrap();
    PublicKey::from_secret_key(&Secp256k1::signing_only(), &secret).serialize()
}

/// Signatures with nonces that nobody knows.
pub(super) fn honest(key: &KeyId, count: usize) -> Vec<Sighting> {
    let mut device = Device::new(3);
    let sign = |_| {
        let nonce = device.random.scalar();
        Sighting {
            key: key.clone(),
            ..device.sign(nonce)
        }
    };
    (0..count).map(sign).collect()
}

/// As many with biased nonces as it takes to see that.
pub(super) fn biased(key: &KeyId, width: Width) -> Vec<Sighting> {
    let mut device = Device::new(4);
    let sign = |_| {
        let nonce = device.biased(width.bits() as usize, End::Top);
        Sighting {
            key: key.clone(),
            ..device.sign(nonce)
        }
    };
    (0..width.signatures()).map(sign).collect()
}

fn find(equations: &[Equation], width: Width, public: &[u8; 33]) -> Option<End> {
    biased::find(equations, width, public, &mut || ControlFlow::Continue(()))
}

fn look_at(watches: &mut Watches, look: &Look) -> Option<Alarm> {
    let finding = watches
        .begin(look)?
        .carry_out(&mut || ControlFlow::Continue(()));
    watches.alarm(look, finding?)
}

/// In how many of so many seeds the bias is found, in exactly as many signatures as are stated.
fn found(width: Width, seeds: u64) -> u64 {
    let is_found = |seed: &u64| {
        let end = End::ALL[(seed % 2) as usize];
        let mut device = Device::new(*seed);
        let bits = width.bits() as usize;
        let equations = device.equations(width, |device| device.biased(bits, end));
        find(&equations, width, &device.public()) == Some(end)
    };
    (0..seeds).filter(is_found).count() as u64
}

#[test]
fn sixteen_biased_bits_are_seen_in_20_signatures() {
    assert_eq!(Width::Sixteen.signatures(), 20);
    assert!(found(Width::Sixteen, 100) >= 99);
}

#[test]
fn eight_biased_bits_are_seen_in_44_signatures() {
    assert_eq!(Width::Eight.signatures(), 44);
    assert!(found(Width::Eight, 100) >= 99);
}

/// `SENTINEL_SEEDS=100` is for hand: a seed takes seconds.
#[test]
fn four_biased_bits_are_seen_in_112_signatures() {
    assert_eq!(Width::Four.signatures(), 112);
    let seeds = number("SENTINEL_SEEDS", 6);
    let found = found(Width::Four, seeds);
    println!("4 biased bits are seen with {found} of {seeds} seeds");
    assert!(found >= seeds - seeds / 100, "{found} of {seeds}");
}

/// A number of the environment, for hand.
fn number(variable: &str, usual: u64) -> u64 {
    let set = std::env::var(variable);
    set.map_or(usual, |text| text.parse().expect("a number"))
}

/// Each signature is held against what anybody would try and against the three before it, and all are searched for
/// 16 and 8 biased bits in windows that do not overlap; for 4 one window of a hundred, which takes as long as all
/// others. `SENTINEL_HONEST=1000000` is for hand.
#[test]
fn honest_signatures_raise_no_alarm() {
    let signatures = number("SENTINEL_HONEST", 2_000);
    let mut device = Device::new(77);
    let public = device.public();
    let mut latest: Vec<Equation> = Vec::new();
    let mut searched = [0_u64; 3];
    for seen in 1..=signatures {
        let nonce = device.random.scalar();
        let sighting = device.sign(nonce);
        assert!(!is_known(&sighting), "signature {seen}");
        latest.push(Equation::of(&sighting).unwrap());
        if let Some(four) = latest.last_chunk() {
            assert!(!related::are_affine(four, &public), "signature {seen}");
        }
        for (searched, width) in searched.iter_mut().zip(Width::ALL) {
            let count = width.signatures() as u64;
            let each = if width == Width::Four { 100 } else { 1 };
            if seen % (each * count) != 0 {
                continue;
            }
            let window = &latest[latest.len() - width.signatures()..];
            assert_eq!(find(window, width, &public), None, "signature {seen}");
            *searched += 1;
        }
        if latest.len() > 2 * Width::Four.signatures() {
            latest.drain(..Width::Four.signatures());
        }
    }
    println!("{signatures} honest signatures, {searched:?} windows searched, no alarm");
}

/// A device that makes each `s` low gives half of all nonces the other sign.
#[test]
fn highest_bits_that_are_zero_are_seen_under_low_s() {
    for (width, seed) in [Width::Sixteen, Width::Eight]
        .into_iter()
        .flat_map(|width| (0..20).map(move |seed| (width, seed)))
    {
        let mut device = Device::new(seed);
        device.constant = U256::ZERO;
        let equations = device.equations(width, |device| {
            let nonce = device.biased(width.bits() as usize, End::Top);
            if device.random.limb().is_multiple_of(2) {
                nonce
            } else {
                negated(nonce)
            }
        });
        let found = find(&equations, width, &device.public());
        assert_eq!(found, Some(End::Top), "{width:?} {seed}");
    }
}

/// More bits than a width's own are found as that width: also all of them but a few, as of a counter.
#[test]
fn wider_bias_is_seen_as_well() {
    for bits in [17, 24, 32, 64, 128, 200, 240] {
        for end in End::ALL {
            let mut device = Device::new(bits as u64);
            let width = Width::Sixteen;
            let equations = device.equations(width, |device| device.biased(bits, end));
            let found = find(&equations, width, &device.public());
            assert!(found.is_some(), "{bits} {end:?}");
        }
    }
}

#[test]
fn honest_nonces_and_other_keys_are_not_found() {
    for seed in 0..10 {
        for width in [Width::Sixteen, Width::Eight] {
            let mut device = Device::new(seed);
            let equations = device.equations(width, |device| device.random.scalar());
            assert_eq!(find(&equations, width, &device.public()), None);
            // Biased, but it is the secret of another public key.
            let equations = device.equations(width, |device| device.biased(16, End::Top));
            assert_eq!(find(&equations, width, &Device::new(99).public()), None);
            assert!(find(&equations, width, &device.public()).is_some());
        }
    }
}

#[test]
fn affine_nonces_are_seen_in_four_signatures() {
    for seed in 0..20 {
        let mut device = Device::new(seed);
        let (factor, offset) = (device.random.scalar(), device.random.scalar());
        let mut nonce = device.random.scalar();
        let equations = [(); 4].map(|()| {
            nonce = plus(times(nonce, factor), offset);
            let equation = device.equation(nonce);
            // As with a low `s`.
            if device.random.limb().is_multiple_of(2) {
                equation
            } else {
                equation.negated()
            }
        });
        assert!(related::are_affine(&equations, &device.public()), "{seed}");
        let other = Device::new(seed + 1000).public();
        assert!(!related::are_affine(&equations, &other));
        let honest = [(); 4].map(|()| {
            let nonce = device.random.scalar();
            device.equation(nonce)
        });
        assert!(!related::are_affine(&honest, &device.public()));
    }
}

fn is_known(sighting: &Sighting) -> bool {
    let Sighting {
        public, digest, r, ..
    } = sighting;
    related::is_known(&Equation::of(sighting).unwrap(), digest, r, public)
}

#[test]
fn nonces_that_anybody_would_try_are_seen_at_once() {
    let mut device = Device::new(1);
    let half = U256::from(2).inv_mod(ORDER).unwrap();
    let small = [U256::from(1), half, U256::from(2), U256::from(4096)];
    for nonce in small.into_iter().chain([device.secret]) {
        let sighting = device.sign(nonce);
        assert!(is_known(&sighting), "{nonce}");
        let sighting = device.sign(negated(nonce));
        assert!(is_known(&sighting), "-{nonce}");
    }
    let digest = device.random.scalar();
    let x: [u8; 32] = point(digest)[1..].try_into().unwrap();
    assert!(is_known(&device.sign_with(digest, digest, x)));
    let nonce = device.random.scalar();
    assert!(!is_known(&device.sign(nonce)));
}

/// The signatures that the sentinel reads are those that libsecp256k1 takes.
#[test]
fn a_bip_340_signature_is_read_as_others_read_it() {
    let secp = Secp256k1::verification_only();
    let mut device = Device::new(340);
    for _ in 0..50 {
        let nonce = device.random.scalar();
        let sighting = device.sign_bip340(nonce);
        let signature = [sighting.r, sighting.s].concat();
        let signature = schnorr::Signature::from_slice(&signature).unwrap();
        let message = Message::from_digest(sighting.digest);
        let key = XOnlyPublicKey::from_slice(&sighting.public[1..]).unwrap();
        secp.verify_schnorr(&signature, &message, &key).unwrap();
    }
}

/// Half of all nonces have lost their sign, as under a low `s`.
#[test]
fn bip_340_nonces_are_looked_at_too() {
    for (width, seed) in [Width::Sixteen, Width::Eight]
        .into_iter()
        .flat_map(|width| (0..20).map(move |seed| (width, seed)))
    {
        let mut device = Device::new(seed);
        device.constant = U256::ZERO;
        let sightings: Vec<_> = (0..width.signatures())
            .map(|_| {
                let nonce = device.biased(width.bits() as usize, End::Top);
                device.sign_bip340(nonce)
            })
            .collect();
        let equations: Vec<_> = sightings.iter().filter_map(Equation::of).collect();
        let found = find(&equations, width, &sightings[0].public);
        assert_eq!(found, Some(End::Top), "{width:?} {seed}");
        let honest: Vec<_> = (0..width.signatures())
            .map(|_| {
                let nonce = device.random.scalar();
                Equation::of(&device.sign_bip340(nonce)).unwrap()
            })
            .collect();
        assert_eq!(find(&honest, width, &sightings[0].public), None);
    }
    let mut device = Device::new(1);
    for nonce in [U256::from(1), U256::from(4096), device.secret] {
        assert!(is_known(&device.sign_bip340(nonce)), "{nonce}");
        assert!(is_known(&device.sign_bip340(negated(nonce))), "-{nonce}");
    }
    let nonce = device.random.scalar();
    assert!(!is_known(&device.sign_bip340(nonce)));
}

/// What a key does is found as soon as the stated number of its signatures was seen, though others sign in
/// between, and not before.
#[test]
fn a_window_is_looked_at_when_it_is_full() {
    let (mut biased, mut honest) = (Device::new(5), Device::new(6));
    let mut watches = Watches::default();
    let mut alarms = Vec::new();
    for number in 0..44 {
        let nonce = biased.biased(8, End::Bottom);
        watches.take(biased.sign(nonce));
        let nonce = honest.random.scalar();
        let mut other = honest.sign(nonce);
        other.key.name = "hot-2".parse().unwrap();
        watches.take(other);
        while let Some(look) = watches.next() {
            alarms.extend(look_at(&mut watches, &look).map(|alarm| (number, alarm)));
        }
    }
    let finding = Finding::Biased {
        width: Width::Eight,
        end: End::Bottom,
    };
    let alarm = Alarm {
        key: key("hot-1"),
        finding,
    };
    assert_eq!(alarms, [(43, alarm)]);
}

#[test]
fn a_look_under_way_raises_no_second_alarm() {
    let key = key("hot-1");
    let mut watches = Watches::default();
    for sighting in biased(&key, Width::Sixteen) {
        watches.take(sighting);
    }
    let look = Look::Search(key.clone(), Width::Sixteen);
    let task = watches.begin(&look).unwrap();
    let finding = task.carry_out(&mut || ControlFlow::Continue(())).unwrap();
    assert!(watches.alarm(&look, finding).is_some());
    assert_eq!(watches.alarm(&look, finding), None);
    for sighting in honest(&key, Width::Four.signatures()) {
        watches.take(sighting);
    }
    assert!(watches.alarm(&look, finding).is_some(), "much later");
}

/// A device that signs a digest twice with one nonce, as by RFC 6979, adds nothing by that.
#[test]
fn the_same_signature_counts_once() {
    let mut device = Device::new(7);
    let mut watches = Watches::default();
    let nonce = device.random.scalar();
    let sighting = device.sign(nonce);
    for _ in 0..200 {
        watches.take(sighting.clone());
    }
    let mut looks = 0;
    while let Some(look) = watches.next() {
        assert_eq!(look_at(&mut watches, &look), None);
        looks += 1;
    }
    assert_eq!(looks, 1);
}

#[test]
fn the_thread_tells_of_what_it_found_and_ends_with_the_sentinel() {
    let (tell, told) = channel();
    let sentinel = Sentinel::default();
    sentinel
        .start(move |alarm| tell.send(alarm).unwrap())
        .unwrap();
    let mut device = Device::new(8);
    for _ in 0..Width::Sixteen.signatures() {
        let nonce = device.biased(16, End::Top);
        sentinel.see(device.sign(nonce));
    }
    let alarm = told.recv_timeout(Duration::from_secs(60)).unwrap();
    let finding = Finding::Biased {
        width: Width::Sixteen,
        end: End::Top,
    };
    assert_eq!(
        alarm,
        Alarm {
            key: key("hot-1"),
            finding
        }
    );
    let text = alarm.to_string();
    assert!(text.contains("highest 16 bits of 20 nonces"), "{text}");
    let counters = sentinel.counters();
    assert_eq!(
        (counters.seen, counters.skipped, counters.alarms),
        (20, 0, 1)
    );
    drop(sentinel);
    let end = told.recv_timeout(Duration::from_secs(60));
    assert_eq!(end, Err(RecvTimeoutError::Disconnected));
}

/// Wherever a search is ended, nothing is found, and it does not go on.
#[test]
fn a_search_ends_where_it_is_told_to() {
    let mut device = Device::new(9);
    let mut watches = Watches::default();
    for _ in 0..Width::Sixteen.signatures() {
        let nonce = device.biased(16, End::Top);
        watches.take(device.sign(nonce));
    }
    let looks = [
        Look::New(key("hot-1")),
        Look::Search(key("hot-1"), Width::Sixteen),
    ];
    for (look, is_found) in looks.into_iter().zip([false, true]) {
        let task = watches.begin(&look).unwrap();
        let mut whole = 0;
        let finding = task.carry_out(&mut || {
            whole += 1;
            ControlFlow::Continue(())
        });
        assert_eq!(finding.is_some(), is_found);
        assert!(whole > 10, "{look:?}: {whole}");
        for end in 1..=whole {
            let mut calls = 0;
            let finding = task.carry_out(&mut || {
                calls += 1;
                if calls < end {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            });
            assert_eq!(finding, None, "{look:?}: {end} of {whole}");
            // The search for the other end begins and ends, too.
            assert!(
                (end..=end + 1).contains(&calls),
                "{look:?}: {calls} of {end}"
            );
        }
    }
}
