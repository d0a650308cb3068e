//! Ages of destinations and signers of intents in a bundle: what is read, and what is warned of.

use strongroom_policy::{Policy, SignerSelector};

use super::fixture::{POLICY, errors, files, line, manifest, parse, replaced};

fn with(statement: &str) -> String {
    format!("{POLICY}\n{statement}")
}

/// The policy of a bundle of which nothing is warned.
fn governing(text: &str) -> Policy {
    assert_eq!(warnings(text), [""; 0]);
    let manifest = manifest(&files(text), "main", 1, 0);
    parse(text).unwrap().under(&manifest)
}

fn warnings(text: &str) -> Vec<String> {
    let bundle = parse(text).unwrap_or_else(|found| panic!("{found:#?}"));
    bundle.warnings().iter().map(ToString::to_string).collect()
}

fn limit(name: &str, conditions: &str) -> String {
    format!(
        "[[limit]]\nname = {name:?}\neffect = \"payment\"\nasset = \"eth\"\nmeasure = \"amount\"\n\
         window = \"24h\"\ncap = \"1 eth\"\n{conditions}\n"
    )
}

#[test]
fn ages_are_lengths_of_time() {
    let conditions = "age_below = \"7d\"\nage_min = \"1m\"";
    let mut bundle = governing(&with(&limit("young", conditions)));
    let young = bundle.limits.pop().unwrap().selector;
    assert_eq!(young.age_below, Some(7 * 86_400_000));
    assert_eq!(young.age_min, Some(60_000));
    for wrong in ["0m", "7", "1w", "91d", "-1d"] {
        let found = errors(&with(&limit("young", &format!("age_below = {wrong:?}"))));
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(found[0].contains("is no length of time from 1m to 90d"));
    }
}

#[test]
fn signers_are_people_groups_and_keys() {
    let signers = format!("signers = [{:?}, {:?}]", line(4), line(9));
    let text = replaced(
        &with("[[group]]\nname = \"desk\"\nmembers = [\"dan\", \"cem\"]\n"),
        "name = \"payouts\"\n",
        &format!("name = \"payouts\"\n{signers}\n"),
    );
    let by =
        |signed_by: &str| format!("{text}{}", limit("by", &format!("signed_by = {signed_by}")));
    let read = |signed_by: &str| {
        let mut governing = governing(&by(signed_by));
        governing.limits.pop().unwrap().selector.signed_by.unwrap()
    };
    let person = |name: &str| SignerSelector::Person(name.parse().unwrap());
    assert_eq!(read("\"dan\""), [person("dan")].into());
    assert_eq!(
        read("\"group:desk\""),
        [person("cem"), person("dan")].into()
    );
    let key = line(9);
    assert_eq!(read(&format!("{key:?}")), [SignerSelector::Key(key)].into());
    let unknown = errors(&by("[\"dam\"]"));
    assert!(unknown[0].contains("no person is called \"dam\"\n  help: did you mean \"dan\"?"));
    let key = errors(&by("\"ssh-rsa AAAA\""));
    assert!(key[0].contains("not a public key"), "{key:#?}");
}

/// Whoever splits over new destinations or clients has the cap of each.
#[test]
fn a_limit_of_young_destinations_that_splitting_defeats_is_warned_of() {
    let grouped = |group: &str| {
        let conditions = format!("age_below = \"7d\"\ngroup = [{group:?}]");
        limit("young", &conditions)
    };
    for group in ["destination", "client"] {
        let found = warnings(&with(&grouped(group)));
        assert_eq!(found.len(), 1, "{found:#?}");
        let says = format!("limit \"young\": each {group} has the whole cap of its own");
        assert!(found[0].contains(&says), "{found:#?}");
        // Together with one for all of them it is what it says.
        let together = limit("all-young", "age_below = \"7d\"").replace("1 eth", "2 eth");
        assert!(warnings(&with(&(grouped(group) + &together))).is_empty());
        let younger = limit("all-young", "age_below = \"1d\"").replace("1 eth", "2 eth");
        assert_eq!(warnings(&with(&(grouped(group) + &younger))).len(), 1);
    }
    assert!(warnings(&with(&grouped("account"))).is_empty());
    assert!(warnings(&with(&limit("young", "age_below = \"7d\""))).is_empty());
}

#[test]
fn a_deny_by_which_nobody_ever_becomes_old_is_warned_of() {
    let deny = |conditions: &str| {
        let deny = "[[deny]]\nname = \"young\"\neffect = \"payment\"\nasset = \"eth\"\n";
        warnings(&with(&format!("{deny}age_below = \"7d\"\n{conditions}")))
    };
    let found = deny("");
    assert!(
        found[0].contains("deny \"young\": nobody can be paid first"),
        "{found:#?}"
    );
    assert!(deny("amount_over = \"0.1 eth\"\n").is_empty());
}
