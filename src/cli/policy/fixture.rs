//! A bundle for tests.

use std::collections::BTreeMap;
use std::sync::Arc;

use policy::{Policy, bundle};

/// A small bundle, of which tests replace parts.
pub const BUNDLE: &str = r#"
[governance]
threshold = 1
officers = "ann"
delay = "24h"
[[person]]
name = "ann"
keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIqI46aHoe2yQcMMVbPmwlUyBlSyLcpDbEdxrCE+zqN0"]
[[chain]]
chain = "eip155:1"
max_ahead = 100
[[asset]]
name = "eth"
asset = "eip155:1/native"
decimals = 18
[[account]]
name = "hot"
class = "hot"
chains = "eip155:1"
keys = "hot-1"
[[sequence]]
key = "hot-1"
chain = "eip155:1"
next = 0
finalized = 0
[[client]]
name = "walletd"
uri = "urn:strongroom:client:walletd"
verbs = "sign"
accounts = "hot"
[[source]]
name = "payouts"
clients = "walletd"
[[allow]]
name = "pay"
effect = "payment"
source = "payouts"
account = "hot"
asset = "eth"
[[allow]]
name = "fees"
effect = "fee"
asset = "eth"
[[limit]]
name = "fees-day"
effect = "fee"
asset = "eth"
measure = "amount"
window = "24h"
cap = "1 eth"
[[limit]]
name = "day"
effect = "payment"
asset = "eth"
measure = "amount"
window = "24h"
cap = "10 eth"
"#;

/// The policy of a bundle with one file.
pub fn bundle_of(text: &str) -> Arc<Policy> {
    let root = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
    let files = BTreeMap::from([
        ("a.toml".to_owned(), text.as_bytes().to_vec()),
        ("roots/a.pem".to_owned(), root.into()),
    ]);
    let parsed = bundle::parse(&files).unwrap_or_else(|found| panic!("{found:#?}"));
    let manifest = bundle::Manifest::of(&files, "main".parse().unwrap(), 1, 0);
    Arc::new(parsed.under(&manifest))
}
