//! Each kind of change is found by a request that is made up, and none where nothing changed.

use std::sync::Arc;

use policy::Policy;
use serde_json::Value;

use super::super::fixture::{BUNDLE, bundle_of};
use super::Compared;

fn compared(old: &str, new: &str) -> Value {
    let of = |text: &str| -> Arc<Policy> { bundle_of(text) };
    let (old, new) = (of(old), of(new));
    let report = || {
        let mut compared = Compared::of(&old, &new);
        compared.generate();
        compared.report()
    };
    let (once, twice) = (report(), report());
    assert_eq!(once.to_string(), twice.to_string());
    assert!(once.generated > 10);
    serde_json::to_value(&once).unwrap()
}

const MORE: &str = r#"
[[book]]
name = "customers"
chain = "eip155:1"
addresses = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
[[hours]]
name = "office"
zone = "UTC"
open = "mon-fri 08:00-18:00"
[[person]]
name = "ben"
keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g"]
[[deny]]
name = "strangers"
effect = "payment"
to_except = "book:customers"
[[deny]]
name = "night"
effect = "payment"
hours_except = "office"
amount_over = "8 eth"
asset = "eth"
[[require]]
name = "large"
effect = "payment"
asset = "eth"
amount_over = "5 eth"
need = { threshold = 1, people = ["ann", "ben"] }
[[limit]]
name = "few"
effect = "payment"
measure = "count"
window = "1h"
cap = "3"
"#;

#[test]
fn a_bundle_and_itself_decide_alike_and_are_narrow() {
    let bundle = [BUNDLE, MORE].concat();
    let report = compared(&bundle, &bundle);
    assert_eq!(
        (&report["changed"], &report["narrower"]),
        (&0.into(), &true.into())
    );
    assert!(report["incomparable"].as_u64() < report["generated"].as_u64());
}

/// What is replaced by what, and a verdict that becomes another by that.
const CHANGES: [(&str, &str, &str, &str); 12] = [
    ("cap = \"10 eth\"", "cap = \"12 eth\"", "refuse", "pending"),
    ("cap = \"10 eth\"", "cap = \"4 eth\"", "permit", "refuse"),
    (
        "window = \"24h\"\ncap = \"10 eth\"",
        "window = \"23h\"\ncap = \"10 eth\"",
        "refuse",
        "pending",
    ),
    ("window = \"1h\"", "window = \"2h\"", "permit", "refuse"),
    ("cap = \"3\"", "cap = \"4\"", "refuse", "permit"),
    (
        "amount_over = \"5 eth\"",
        "amount_over = \"6 eth\"",
        "pending",
        "permit",
    ),
    (
        "threshold = 1, people",
        "threshold = 2, people",
        "pending",
        "pending",
    ),
    (
        "mon-fri 08:00-18:00",
        "mon-fri 08:00-17:00",
        "pending",
        "refuse",
    ),
    (
        "to_except = \"book:customers\"",
        "tag = \"7\"",
        "refuse",
        "permit",
    ),
    (
        "addresses = \"0x70997970C51812dc3A010C7d01b50e0d17dc79C8\"",
        "addresses = [\"0x70997970C51812dc3A010C7d01b50e0d17dc79C8\", \"0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC\"]",
        "refuse",
        "permit",
    ),
    (
        "source = \"payouts\"\naccount",
        "client = \"walletd\"\nsource = \"none\"\naccount",
        "permit",
        "refuse",
    ),
    (
        "effect = \"fee\"\nasset = \"eth\"\n[[limit]]",
        "effect = \"fee\"\nasset = \"eth\"\nfee_rate_max = \"50 gwei\"\n[[limit]]",
        "permit",
        "refuse",
    ),
];

#[test]
fn changes_of_statements_and_books_have_an_example() {
    let bundle = [BUNDLE, MORE].concat();
    for (part, by, before, after) in CHANGES {
        assert_eq!(bundle.matches(part).count(), 1, "{part}");
        let report = compared(&bundle, &bundle.replace(part, by));
        let changes = report["changes"].as_array().unwrap();
        let found = changes.iter().any(|change| {
            (change["before"].as_str(), change["after"].as_str()) == (Some(before), Some(after))
        });
        assert!(found, "{part} -> {by}: {report:#}");
        assert_eq!(
            report["narrower"],
            report["widenings"].as_array().unwrap().is_empty()
        );
        if report["narrower"] == true {
            let wider = |change: &Value| change["after"] == "permit";
            assert!(!changes.iter().any(wider), "{part} -> {by}: {report:#}");
        }
    }
}

const STANDING: &str = r#"
[[account]]
name = "vault"
class = "cold"
chains = "eip155:1"
keys = "vault-1"
[[sequence]]
key = "vault-1"
chain = "eip155:1"
next = 0
finalized = 0
[[edge]]
from = "hot"
to = "cold"
[[person]]
name = "ben"
keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g"]
[[allow]]
name = "move"
effect = "own-transfer"
asset = "eth"
to = "own-account:vault"
[[evacuate]]
name = "to-vault"
effect = "own-transfer"
asset = "eth"
amount_max = "6 eth"
need = { threshold = 1, people = ["ann", "ben"] }
[[evacuate]]
name = "its-fee"
effect = "fee"
asset = "eth"
need = { threshold = 1, people = "ann" }
[[allow]]
name = "again"
effect = "reissue"
asset = "eth"
amount_max = "2 eth"
[[require]]
name = "again-people"
effect = "reissue"
dead = false
need = { threshold = 1, people = ["ann", "ben"] }
[attested]
currency = "usd"
head = 1
dead = 1
reconciled = 1
[[attester]]
name = "watch"
keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHHjK4YRpcAeup/AguSu1wQVH6uyWsImmOikB4op0fUA"]
says = ["head", "dead", "reconciled"]
[[require]]
name = "fresh-head"
effect = "payment"
asset = "eth"
amount_over = "3 eth"
need = { attested = "head", within = "10m" }
"#;

/// Under a freeze, as a re-issue of the dead or of what is alive, and without what attesters say.
#[test]
fn changes_of_what_else_is_so_are_found() {
    let bundle = [BUNDLE, STANDING].concat();
    assert_eq!(compared(&bundle, &bundle)["changed"], 0);
    for (part, by, narrower, told) in [
        (
            "amount_max = \"6 eth\"",
            "amount_max = \"5 eth\"",
            true,
            "under a freeze",
        ),
        (
            "amount_max = \"6 eth\"",
            "amount_max = \"7 eth\"",
            false,
            "under a freeze",
        ),
        (
            "amount_max = \"2 eth\"",
            "amount_max = \"1 eth\"",
            true,
            "again, as what",
        ),
        ("dead = false\n", "dead = true\n", false, "may be included"),
        (
            "amount_over = \"3 eth\"",
            "amount_over = \"4 eth\"",
            false,
            "without head attested",
        ),
        (
            "{ attested = \"head\"",
            "{ attested = \"reconciled\"",
            false,
            "without reconciled attested",
        ),
    ] {
        assert_eq!(bundle.matches(part).count(), 1, "{part}");
        let report = compared(&bundle, &bundle.replace(part, by));
        assert!(
            report["changes"].to_string().contains(told),
            "{part} -> {by}: {report:#}"
        );
        assert_eq!(report["narrower"], narrower, "{part} -> {by}: {report:#}");
    }
}

const CALLS: &str = r#"
[[function]]
name = "stake"
contract = "eip155:1:0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"
signature = "stake(bytes key, (address owner, uint256 amount) of, uint8[2][] list)"
[[allow]]
name = "stake"
effect = "call"
asset = "eth"
function = "stake"
args."of.owner" = "own-account:hot"
args."of.amount" = { over = "0", max = "2 eth" }
args.key = ["0x00", "0x01"]
[[limit]]
name = "calls"
effect = "call"
asset = "eth"
measure = "amount"
window = "24h"
cap = "3 eth"
[[limit]]
name = "calls-count"
effect = "call"
asset = "eth"
measure = "count"
window = "24h"
cap = "2"
"#;

const APPROVALS: &str = r#"
[[asset]]
name = "usdx"
asset = "eip155:1/erc20:0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"
decimals = 6
[[allow]]
name = "pool"
effect = "approval"
asset = "usdx"
to = "address:eip155:1:0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
amount_max = "5 usdx"
[[limit]]
name = "approved"
effect = "approval"
asset = "usdx"
measure = "amount"
window = "24h"
cap = "8 usdx"
"#;

#[test]
fn changes_of_approvals_are_found() {
    let with = |change: (&str, &str)| {
        assert_eq!(APPROVALS.matches(change.0).count(), 1, "{}", change.0);
        [BUNDLE, &APPROVALS.replace(change.0, change.1)].concat()
    };
    let old = with(("\"pool\"", "\"pool\""));
    assert_eq!(compared(&old, &old)["changed"], 0);
    let changes = [
        ("max = \"5 usdx\"", "max = \"6 usdx\"", false),
        ("max = \"5 usdx\"", "max = \"4 usdx\"", true),
        ("cap = \"8 usdx\"", "cap = \"9 usdx\"", false),
        ("cap = \"8 usdx\"", "cap = \"7 usdx\"", true),
        (
            "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            false,
        ),
    ];
    for (was, is, narrower) in changes {
        let report = compared(&old, &with((was, is)));
        assert_ne!(report["changed"], 0, "{is}: {report:#}");
        assert_eq!(report["narrower"], narrower, "{is}: {report:#}");
    }
    // One that begins to allow approvals allows more.
    let (asset, rest) = APPROVALS.split_once("[[allow]]").unwrap();
    let (_, limit) = rest.split_once("[[limit]]").unwrap();
    let none = format!("{BUNDLE}{asset}[[limit]]{limit}");
    let report = compared(&none, &old);
    assert_ne!(report["changed"], 0, "{report:#}");
    assert_eq!(report["narrower"], false);
    let examples = report["changes"].to_string();
    assert!(examples.contains("by approving the spender"), "{examples}");
}

#[test]
fn changes_of_calls_are_found() {
    let with = |change: (&str, &str)| {
        assert!(CALLS.contains(change.0), "{}", change.0);
        [BUNDLE, &CALLS.replace(change.0, change.1)].concat()
    };
    let old = with(("stake(", "stake("));
    assert_eq!(compared(&old, &old)["changed"], 0);
    let changes = [
        ("max = \"2 eth\"", "max = \"2.1 eth\"", false),
        ("over = \"0\"", "over = \"1\"", true),
        (
            "\"own-account:hot\"",
            "\"address:eip155:1:0x70997970C51812dc3A010C7d01b50e0d17dc79C8\"",
            false,
        ),
        ("[\"0x00\", \"0x01\"]", "\"0x01\"", true),
        ("cap = \"3 eth\"", "cap = \"2 eth\"", true),
        ("cap = \"2\"", "cap = \"3\"", false),
    ];
    for (was, is, narrower) in changes {
        let report = compared(&old, &with((was, is)));
        assert_ne!(report["changed"], 0, "{is}: {report:#}");
        assert_eq!(report["narrower"], narrower, "{is}: {report:#}");
    }
    let declared = compared(BUNDLE, &old);
    assert_ne!(declared["changed"], 0, "{declared:#}");
    assert_eq!(declared["narrower"], false);
}
