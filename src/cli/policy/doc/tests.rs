//! A page says every condition, and is the same for the same bundle.

use std::collections::BTreeMap;

use policy::bundle;
use tlog::cosignature::WitnessKey;
use tx::EffectKind;

use super::super::schema::conditions;
use super::sentences::{effects, noun};
use super::{page, render};

const BUNDLE: &str = r#"
[governance]
threshold = 1
officers = "ann"
delay = "24h"
[[person]]
name = "ann"
keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIqI46aHoe2yQcMMVbPmwlUyBlSyLcpDbEdxrCE+zqN0"]
[[chain]]
chain = "eip155:1"
max_ahead = 8
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
[[book]]
name = "customers"
chain = "eip155:1"
addresses = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
[[function]]
name = "stake"
contract = "eip155:1:0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"
signature = "stake(address owner, uint256 amount)"
[[hours]]
name = "office"
zone = "UTC"
open = "mon-fri 08:00-18:00"
[[limit]]
name = "fees"
effect = "fee"
asset = "eth"
measure = "amount"
window = "24h"
cap = "1 eth"
"#;

fn parsed(more: &str) -> policy::Policy {
    let text = format!("{BUNDLE}{more}");
    let root = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
    let files = BTreeMap::from([
        ("a.toml".to_owned(), text.into_bytes()),
        ("roots/a.pem".to_owned(), root.into()),
    ]);
    let bundle = bundle::parse(&files).unwrap_or_else(|found| panic!("{more}: {found:#?}"));
    bundle.policy().clone()
}

/// A value of each condition, and what its sentence says of it.
fn example(condition: &str) -> (&'static str, &'static str) {
    match condition {
        "client" => ("\"walletd\"", "asked for by `walletd`"),
        "source" => (
            "[\"payouts\", \"none\"]",
            "without an intent of one source or for intents of `payouts`",
        ),
        "account" => ("\"hot\"", "from account `hot`"),
        "class" => ("\"hot\"", "from accounts of class `hot`"),
        "chain" => ("\"eip155:1\"", "on `eip155:1`"),
        "asset" => ("\"eth\"", "of `eth`"),
        "effect" => ("[\"fee\", \"payment\"]", "a payment or a fee"),
        "to" => (
            "[\"book:customers\", \"own-class:cold\", \"own-account:hot\", \"address:eip155:1:0x70997970C51812dc3A010C7d01b50e0d17dc79C8\"]",
            "to `eip155:1:0x70997970C51812dc3A010C7d01b50e0d17dc79C8`, the book `customers` (1 address), own accounts of class `cold` or the own account `hot`",
        ),
        "to_except" => (
            "\"book:customers\"",
            "to anywhere but the book `customers` (1 address)",
        ),
        "function" => (
            "\"stake\"",
            "a call of a contract of `stake` (`stake(address,uint256)` of eip155:1:0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC)",
        ),
        "args" => (
            "{ owner = \"own-account:hot\", amount = { over = \"0\", max = \"5 eth\" } }",
            " where `owner` is the own account `hot` and `amount` is above 0 and at most 5000000000000000000",
        ),
        "tag" => ("\"77\"", "with the tag `77`"),
        "age_min" => ("\"7d\"", "first paid at least 7 days ago"),
        "age_below" => ("\"36h\"", "first paid less than 36 h ago, or never"),
        "signed_by" => ("\"ann\"", "signed by `ann`"),
        "hours" => ("\"office\"", "in the hours `office`"),
        "hours_except" => ("\"office\"", "outside the hours `office`"),
        "amount_max" => ("\"0.5 eth\"", "up to 0.5 eth"),
        "amount_over" => ("\"0.5 eth\"", "above 0.5 eth"),
        "fee_rate_max" => ("\"50 gwei\"", "at up to 50 gwei a gas"),
        "fee_rate_over" => ("\"7 wei\"", "at more than 7 wei a gas"),
        "dead" => ("true", "after attempts all of which can never be included"),
        other => panic!("give {other} an example"),
    }
}

#[test]
fn every_condition_that_the_parser_takes_is_in_its_sentence() {
    for condition in conditions() {
        let (value, says) = example(condition);
        let beside = match condition {
            "effect" => "",
            "function" => "effect = \"call\"",
            "args" => "effect = \"call\"\nfunction = \"stake\"",
            "fee_rate_max" | "fee_rate_over" => "effect = \"fee\"\nasset = \"eth\"",
            "amount_max" | "amount_over" => "effect = \"payment\"\nasset = \"eth\"",
            _ => "effect = \"payment\"",
        };
        let text = format!("[[deny]]\nname = \"x\"\n{condition} = {value}\n{beside}\n");
        let policy = parsed(&text);
        let sentence = effects(&policy, &policy.denies[0].selector);
        assert!(sentence.contains(says), "{condition}: {sentence}");
    }
}

#[test]
fn every_kind_of_effect_has_words() {
    for kind in EffectKind::ALL {
        assert_ne!(noun(kind), format!("{kind:?}"));
    }
}

const STATEMENTS: &str = r#"
[[allow]]
name = "pay"
effect = "payment"
asset = "eth"
account = "hot"
to = "book:customers"
[[deny]]
name = "tags"
effect = "payment"
tag = "<b>`"
[[require]]
name = "large"
effect = "payment"
asset = "eth"
amount_over = "5 eth"
need = { threshold = 1, people = "ann" }
[[limit]]
name = "day"
effect = "payment"
asset = "eth"
measure = "amount"
window = "24h"
cap = "20 eth"
[[limit]]
name = "many"
effect = "payment"
measure = "count"
window = "30d"
cap = "100"
group = ["destination", "client", "source", "account"]
over = { threshold = 1, people = "ann" }
[[attester]]
name = "watch"
keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOmRdIJNTONc/FmMYTZ4GK2H/UIxwHTRC8ouCSyMyVjI"]
says = "final"
[[limit]]
name = "at-risk"
effect = "payment"
asset = "eth"
measure = "amount"
window = "48h"
cap = "10 eth"
outstanding = true
[[evacuate]]
name = "out"
effect = "own-transfer"
need = { threshold = 1, people = "ann" }
"#;

#[test]
fn the_statements_are_sentences() {
    let text = render::markdown(&page(&parsed(STATEMENTS)));
    for sentence in [
        "- `pay`: A payment of `eth` from account `hot` to the book `customers` (1 address) may happen. (`a.toml:",
        "- `tags`: A payment with the tag `<b>'` is refused. (",
        "- `large`: A payment above 5 eth of `eth` waits until `ann` agrees. (",
        "- `day`: At most 20 eth in any 24 h, counted over a payment of `eth`. More is refused. (",
        "- `at-risk`: At most 10 eth outstanding at any time, counted over a payment of `eth`, of what was signed in the last 2 days and attesters have not called final, nor all of a set dead. More is refused. (",
        "- `many`: At most 100 effects in any 30 days for each destination address, client, source and account that pays, counted over a payment. More waits until `ann` agrees. (",
        "- `out`: Under a freeze, a transfer between own accounts may happen once `ann` agrees. (",
        "- Another bundle needs the signatures of 1 of `ann`.",
        "- One that is not shown to allow less governs after 24 h;",
        "- `walletd` (`urn:strongroom:client:walletd`) may have transactions signed, of `hot`.",
        "- Intents of `payouts` are brought by `walletd`. They are not signed: who brings one is believed.",
        "- The hot account `hot` on `eip155:1`, signed for by `hot-1`.",
        "- `customers` has `0x70997970C51812dc3A010C7d01b50e0d17dc79C8`.",
        "- `office` is mon 08:00-18:00, tue 08:00-18:00, wed 08:00-18:00, thu 08:00-18:00 and fri 08:00-18:00, by the clocks of UTC.",
        "- `stake` is `stake(address,uint256)` of the contract `eip155:1:0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC`, with the arguments `address owner, uint256 amount`.",
        "- Never a call of a contract.",
        "- Never a transfer between own accounts.",
    ] {
        assert!(text.contains(sentence), "{sentence}\n{text}");
    }
    assert!(!text.contains("Never a payment."));
    assert!(!text.contains("`eth` never leaves"));
    let none = render::markdown(&page(&parsed("")));
    assert!(none.contains("- `eth` never leaves."));
    assert!(none.contains("- Nothing leaves `hot` but to own accounts."));
}

const QUORUMS: &str = r#"
[[person]]
name = "rita"
keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHHjK4YRpcAeup/AguSu1wQVH6uyWsImmOikB4op0fUA"]
[[person]]
name = "roy"
keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"]
[recovery]
people = ["rita", "roy"]
threshold = 2
delay = "14d"
[heartbeat]
within = "72h"
people = "ann"
[[attester]]
name = "watch-1"
keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOmRdIJNTONc/FmMYTZ4GK2H/UIxwHTRC8ouCSyMyVjI"]
says = ["price", "head", "final", "reconciled", "time", "dead"]
[[attester]]
name = "watch-2"
keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAMwtAE7tAzr6pHyUfJ2lF9Vj0nZpjZ8SG4ySGDzjM9q"]
says = ["price", "head"]
[attested]
currency = "usd"
price = 2
head = 2
[[price]]
asset = "eth"
haircut = "10%"
floor = "1000 usd"
max_age = "15m"
[[require]]
name = "watched"
effect = "payment"
asset = "eth"
need = { attested = "head", within = "10m" }
[[require]]
name = "slow"
effect = "payment"
asset = "eth"
need = { threshold = 1, people = ["ann", "rita"], delay = "2h", valid = "4h", rejection = "final" }
"#;

/// Who stands by, who has to be there, and what attesters say.
#[test]
fn quorums_and_what_attesters_say_are_sentences() {
    let mut lines = QUORUMS.lines().filter(|line| line.starts_with("keys = "));
    let witnesses = [1, 2, 3].map(|number| {
        let line = lines
            .next()
            .and_then(|line| line.split('"').nth(1))
            .unwrap();
        let key = ssh_key::PublicKey::from_openssh(line).unwrap();
        let key = key.key_data().ed25519().unwrap().0;
        let name = format!("w{number}.example").parse().unwrap();
        WitnessKey::new(name, &key).unwrap().to_string()
    });
    let witnesses = format!("[witnesses]\nkeys = {witnesses:?}\n");
    let text = render::markdown(&page(&parsed(&format!("{QUORUMS}{witnesses}"))));
    for sentence in [
        "- What is signed is released once 2 of 3 witnesses cosigned the log.",
        "- While everything is frozen, 2 of `rita` and `roy` can replace people, after 14 days in which any one officer can veto it; nothing else.",
        "- Everything freezes unless 1 of `ann` said within 3 days that they are there and have seen the log.",
        "- `watch-2` attests prices and the heads of chains, signed with `ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAMwtAE7tAzr6pHyUfJ2lF9Vj0nZpjZ8SG4ySGDzjM9q`.",
        "- Of those who attest prices, 2 are needed.",
        "- Of those who attest the heads of chains, 2 are needed.",
        "- Of those who attest what is final, 1 are needed.",
        "- Of those who attest that the journal agrees with the chains, 1 are needed.",
        "- Of those who attest what time it is at least, 1 are needed.",
        "- Of those who attest which attempts are dead, 1 are needed.",
        "- One `eip155:1/native` is worth what attesters say, the middle one of them, and 10.00% more; at least 1000 `usd`.",
        "What they say holds for 15 min; without it, whatever a limit on values counts is refused.",
        "- `watched`: A payment of `eth` waits until 2 of those who attest the heads of chains have said so within the last 10 min; nobody stands in for them. (",
        "- `slow`: A payment of `eth` waits until 1 of `ann` and `rita` agree (counts after 2 h, holds for 4 h, a rejection is final). (",
    ] {
        assert!(text.contains(sentence), "{sentence}\n{text}");
    }
}

/// Approvals are there where an allow names them, and not under a freeze by what names no effect.
#[test]
fn approvals_are_sentences_and_come_by_nothing_else() {
    let token = "
[[asset]]
name = \"usdx\"
asset = \"eip155:1/erc20:0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC\"
decimals = 6
[[limit]]
name = \"usdx-day\"
asset = \"usdx\"
measure = \"amount\"
window = \"24h\"
cap = \"9 usdx\"
";
    let pool = "
[[allow]]
name = \"pool\"
effect = \"approval\"
account = \"hot\"
asset = \"usdx\"
amount_max = \"5 usdx\"
to = \"book:customers\"
";
    let out = "
[[evacuate]]
name = \"out\"
asset = \"usdx\"
need = { threshold = 1, people = \"ann\" }
";
    let page_of = |more: &str| render::markdown(&page(&parsed(&format!("{token}{more}"))));
    let text = page_of(pool);
    let says = "- `pool`: An approval of a spender up to 5 usdx of `usdx` from account `hot` to the book \
                `customers` (1 address) may happen. (";
    assert!(text.contains(says), "{text}");
    assert!(!text.contains("Never an approval"), "{text}");
    assert!(!text.contains("`usdx` never leaves"), "{text}");
    let text = page_of(out);
    let says = "- `out`: Under a freeze, any effect that gives nobody a right of `usdx` may happen once `ann` agrees. (";
    assert!(text.contains(says), "{text}");
    assert!(text.contains("- Never an approval of a spender."), "{text}");
}

#[test]
fn the_page_of_a_bundle_is_one() {
    let policy = parsed(STATEMENTS);
    let tables: Vec<&str> = STATEMENTS.split_inclusive("\n[[").collect();
    assert!(tables.len() > 4);
    assert_eq!(
        render::markdown(&page(&policy)),
        render::markdown(&page(&policy))
    );
    let html = render::html(&page(&policy));
    assert!(html.contains("<code>&lt;b&gt;&#39;</code>"), "{html}");
    assert!(!html.contains("<b>") && !html.contains("<script") && !html.contains("src="));
    assert!(html.contains("default-src 'none'"));
}
