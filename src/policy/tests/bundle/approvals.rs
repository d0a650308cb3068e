//! Approvals of spenders in a bundle: which tokens have any, what they must be bounded by, and what is warned of.

use tx::{Address, EffectKind};

use super::fixture::{POLICY, errors, files, manifest, parse, replaced};

const TOKEN: &str = "0x00000000219ab540356cBB839Cbe05303d7705Fa";

/// The bundle with a token.
fn with(more: &str) -> String {
    let asset =
        format!("\n[[asset]]\nname = \"usdx\"\nasset = \"eip155:1/erc20:{TOKEN}\"\ndecimals = 6\n");
    format!("{POLICY}{asset}{more}")
}

const ALLOW: &str = "
[[allow]]
name = \"pool\"
effect = \"approval\"
account = \"eth-hot\"
asset = \"usdx\"
to = \"book:customers\"
amount_max = \"50 usdx\"
";

fn limit(effect: &str, more: &str) -> String {
    format!(
        "\n[[limit]]\nname = \"usdx-day\"\n{effect}asset = \"usdx\"\nmeasure = \"amount\"\nwindow = \"24h\"\n\
         cap = \"100 usdx\"\n{more}"
    )
}

fn warned(text: &str) -> String {
    let bundle = parse(text).unwrap_or_else(|found| panic!("{found:#?}"));
    let warnings = bundle.warnings().iter().map(ToString::to_string);
    warnings.collect::<Vec<_>>().join("\n")
}

#[test]
fn an_allow_of_approvals_is_read_and_its_asset_is_a_token() {
    let text = with(&(ALLOW.to_owned() + &limit("effect = \"approval\"\n", "")));
    assert_eq!(warned(&text), "");
    let bundle = parse(&text).unwrap();
    let policy = bundle.under(&manifest(&files(&text), "main", 1, 0));
    let allow = policy.allows.last().unwrap();
    assert_eq!(allow.selector.effects, Some([EffectKind::Approval].into()));
    let token = |text: &str| Address::parse_qualified(&format!("eip155:1:{text}")).unwrap();
    assert!(policy.functions.is_token(&token(TOKEN)));
    let other = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
    assert!(!policy.functions.is_token(&token(other)));
    assert!(policy.functions.is_empty(), "no function is declared");
}

#[test]
fn approvals_that_nobody_attends_need_a_limit_over_all_accounts() {
    let found = errors(&with(ALLOW));
    assert_eq!(found.len(), 2, "{found:#?}");
    let says = |what: &str| found.iter().any(|one| one.contains(what));
    assert!(says(
        "nothing bounds the amount of usdx approval that leaves without people"
    ));
    assert!(says("no limit bounds usdx approval over all accounts"));
    let wrong = |effect: &str, more: &str| {
        let mut found = errors(&with(&(ALLOW.to_owned() + &limit(effect, more))));
        found.retain(|one| !one.contains("warning"));
        found
    };
    let of_payments = wrong("effect = \"payment\"\n", "");
    assert_eq!(of_payments.len(), 2, "{of_payments:#?}");
    let split = wrong("effect = \"approval\"\n", "group = [\"destination\"]\n");
    assert_eq!(split.len(), 2, "{split:#?}");
    let split = wrong("effect = \"approval\"\n", "group = [\"account\"]\n");
    assert_eq!(split.len(), 1, "{split:#?}");
    for effect in ["effect = [\"payment\", \"approval\"]\n", ""] {
        assert_eq!(warned(&with(&(ALLOW.to_owned() + &limit(effect, "")))), "");
    }
    // People who attend do in place of the first, and not of the second.
    let require = "\n[[require]]\nname = \"asked\"\neffect = \"approval\"\nasset = \"usdx\"\n\
                   need = { threshold = 1, people = [\"ann\"] }\n";
    let found = errors(&with(&(ALLOW.to_owned() + require)));
    assert_eq!(found.len(), 1, "{found:#?}");
}

/// No allow lets one happen that does not say so.
#[test]
fn an_allow_that_names_no_effect_is_refused() {
    let any = ALLOW.replace("effect = \"approval\"\n", "");
    let found = errors(&with(&(any + &limit("", ""))));
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].contains("names no effect and would allow every kind"));
}

#[test]
fn approvals_that_no_transaction_makes_are_warned_of() {
    let bounds = limit("effect = \"approval\"\n", "");
    let why =
        "allow \"pool\": can never match: tokens alone have spenders, and nothing of ours is one";
    let own = replaced(ALLOW, "book:customers", "own-account:eth-hot");
    let warnings = warned(&with(&(own + &bounds)));
    assert!(warnings.contains(why), "{warnings}");
    let native = replaced(ALLOW, "asset = \"usdx\"", "asset = \"eth\"");
    let native = replaced(&native, "50 usdx", "5 eth");
    let in_eth = bounds
        .replace("\"usdx\"", "\"eth\"")
        .replace("100 usdx", "9 eth");
    let warnings = warned(&with(&(native + &in_eth)));
    assert!(warnings.contains(why), "{warnings}");
}
