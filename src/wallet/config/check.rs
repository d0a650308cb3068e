//! What the form of a configuration cannot say: ranges, and what must not be there twice.

use std::{collections::BTreeSet, fmt::Display, path::Path};

use tx::Chain;

use super::{ChainConfig, Config, ConfigError, Node};

/// Checks a configuration that was parsed.
pub(super) fn check(config: &Config, path: &Path) -> Result<(), ConfigError> {
    let checking = Checking { path };
    checking.ranges(config)?;
    checking.level(config)?;
    checking.once("client", "name", config.clients.iter().map(|it| &it.name))?;
    checking.once("client", "uri", config.clients.iter().map(|it| &it.uri))?;
    checking.once("chain", "chain", config.chains.iter().map(|it| it.chain))?;
    checking.once("limit", "asset", config.limits.iter().map(|it| &it.asset))?;
    checking.limits(config)?;
    for (place, client) in config.clients.iter().enumerate() {
        if client.grants.is_empty() {
            let what = "is empty: the client could do nothing".to_owned();
            return Err(checking.value(&format!("client[{place}].grants"), what));
        }
    }
    config
        .chains
        .iter()
        .enumerate()
        .try_for_each(|(place, chain)| checking.chain(&format!("chain[{place}]"), chain))
}

struct Checking<'a> {
    path: &'a Path,
}

impl Checking<'_> {
    fn value(&self, key: &str, what: String) -> ConfigError {
        ConfigError::Value {
            path: self.path.into(),
            key: key.into(),
            what,
        }
    }

    fn range(&self, key: &str, value: u64, least: u64, most: u64) -> Result<(), ConfigError> {
        if (least..=most).contains(&value) {
            return Ok(());
        }
        Err(ConfigError::Range {
            path: self.path.into(),
            key: key.into(),
            value,
            least,
            most,
        })
    }

    fn ranges(&self, config: &Config) -> Result<(), ConfigError> {
        let lanes = &config.lanes;
        let calls = u64::from(lanes.signer_calls);
        self.range("signer.timeout_secs", config.signer.timeout_secs, 1, 300)?;
        self.range("lanes.lease_secs", lanes.lease_secs, 2, 3600)?;
        // The signer takes 128 requests at the same time on one connection.
        self.range("lanes.signer_calls", calls, 1, 128)?;
        self.range("lanes.node_calls", lanes.node_calls.into(), 1, 1024)?;
        config
            .bounds
            .ranges()
            .into_iter()
            .try_for_each(|(key, value, least, most)| self.range(key, value, least, most))
    }

    fn level(&self, config: &Config) -> Result<(), ConfigError> {
        let level = config.log.level.as_str();
        if matches!(level, "error" | "warn" | "info" | "debug") {
            return Ok(());
        }
        Err(self.value(
            "log.level",
            format!("is {level:?}, not error, warn, info or debug"),
        ))
    }

    fn once<T: Ord + Display>(
        &self,
        table: &str,
        key: &str,
        values: impl Iterator<Item = T>,
    ) -> Result<(), ConfigError> {
        let mut seen = BTreeSet::new();
        for (place, value) in values.enumerate() {
            let what = format!("is {value}, as an earlier one");
            if !seen.insert(value) {
                return Err(self.value(&format!("{table}[{place}].{key}"), what));
            }
        }
        Ok(())
    }

    fn limits(&self, config: &Config) -> Result<(), ConfigError> {
        for (place, limit) in config.limits.iter().enumerate() {
            let paid = config
                .chains
                .iter()
                .any(|chain| chain.chain == limit.asset.chain);
            if !paid {
                let what = format!("is {}, on a chain that is not configured", limit.asset);
                return Err(self.value(&format!("limit[{place}].asset"), what));
            }
        }
        Ok(())
    }

    fn chain(&self, key: &str, chain: &ChainConfig) -> Result<(), ConfigError> {
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        // A third node would need a rule for who is right.
        self.range(&format!("{key}.nodes"), count(chain.nodes.len()), 1, 2)?;
        self.range(
            &format!("{key}.accounts"),
            count(chain.accounts.len()),
            1,
            64,
        )?;
        let mut accounts = BTreeSet::new();
        for account in &chain.accounts {
            if !accounts.insert(account) {
                let what = format!("names {account} twice");
                return Err(self.value(&format!("{key}.accounts"), what));
            }
        }
        let is_evm = matches!(chain.chain, Chain::Evm(_));
        let foreign = if is_evm {
            chain.utxo.is_some().then_some("utxo")
        } else {
            chain.evm.is_some().then_some("evm")
        };
        if let Some(foreign) = foreign {
            let what = format!("does not belong to {}", chain.chain);
            return Err(self.value(&format!("{key}.{foreign}"), what));
        }
        self.family(key, chain)?;
        chain
            .nodes
            .iter()
            .enumerate()
            .try_for_each(|(place, node)| self.node(&format!("{key}.nodes[{place}]"), node))
    }

    /// The settings of a chain's family.
    fn family(&self, key: &str, chain: &ChainConfig) -> Result<(), ConfigError> {
        if let Some(evm) = &chain.evm {
            evm.check()
                .map_err(|error| self.value(&format!("{key}.evm"), format!("is wrong: {error}")))?;
        }
        match (&chain.utxo, chain.chain) {
            (Some(utxo), _) => utxo
                .check()
                .map_err(|error| self.value(&format!("{key}.utxo"), format!("is wrong: {error}"))),
            (None, Chain::Evm(_)) => Ok(()),
            (None, _) => {
                let what = "is missing: the height from which the chain is read".to_owned();
                Err(self.value(&format!("{key}.utxo.start_height"), what))
            }
        }
    }

    fn node(&self, key: &str, node: &Node) -> Result<(), ConfigError> {
        self.range(&format!("{key}.timeout_secs"), node.timeout_secs, 1, 300)?;
        if node.user.is_some() != node.password_file.is_some() {
            let what = "has one of user and password_file without the other".to_owned();
            return Err(self.value(key, what));
        }
        if node.cookie_file.is_some() && node.user.is_some() {
            let what = "has a cookie_file and a user".to_owned();
            return Err(self.value(key, what));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
data = "data"
[api]
listen = "127.0.0.1:0"
certificate = "server.pem"
key = "server.key"
roots = ["clients.pem"]
crls = ["clients.crl"]
[[client]]
name = "payouts"
uri = "urn:strongroom:client:payouts"
source = "payouts"
grants = ["withdraw", "read"]
[signer]
connect = "127.0.0.1:7001"
ca = "/etc/ca.pem"
certificate = "walletd.pem"
key = "walletd.key"
[health]
listen = "127.0.0.1:0"
[[chain]]
chain = "eip155:31337"
nodes = [{ url = "http://127.0.0.1:8545" }]
accounts = ["eth-hot"]
[[chain]]
chain = "litecoin:regtest"
nodes = [{ url = "http://127.0.0.1:19443", user = "u", password_file = "p" }]
accounts = ["ltc-hot"]
[chain.utxo]
start_height = 0
[[limit]]
asset = "eip155:31337/native"
total = "1000"
customer = "100"
"#;

    fn read(text: &str) -> Result<Config, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("walletd.toml");
        std::fs::write(&path, text).unwrap();
        Config::read(&path)
    }

    #[test]
    fn relative_paths_start_at_the_file() {
        let config = read(GOOD).unwrap();
        assert!(config.data.is_absolute());
        assert_eq!(config.signer.ca, Path::new("/etc/ca.pem"));
        assert!(config.api.roots[0].is_absolute());
        let password = config.chains[1].nodes[0].password_file.as_ref();
        assert!(password.unwrap().is_absolute());
    }

    #[test]
    fn what_is_unknown_or_contradicts_itself_is_named() {
        let changed = |from: &str, to: &str| {
            let text = GOOD.replacen(from, to, 1);
            assert_ne!(text, GOOD, "{from}");
            read(&text).unwrap_err().to_string()
        };
        for (from, to, named) in [
            ("data =", "permissive = true\ndata =", "permissive"),
            ("name = \"payouts\"", "name = \"Payouts\"", "name"),
            ("\"read\"]", "\"rule\"]", "rule"),
            ("[\"withdraw\", \"read\"]", "[]", "client[0].grants"),
            ("litecoin:regtest", "eip155:31337", "chain[1].chain"),
            ("[\"ltc-hot\"]", "[\"a\", \"a\"]", "chain[1].accounts"),
            ("[\"eth-hot\"]", "[]", "chain[0].accounts"),
            ("user = \"u\", ", "", "chain[1].nodes[0]"),
            (
                "[health]",
                "timeout_secs = 0\n[health]",
                "signer.timeout_secs is 0",
            ),
            ("eip155:31337/native", "eip155:1/native", "limit[0].asset"),
            ("[chain.utxo]\nstart_height = 0", "", "chain[1].utxo"),
            ("start_height = 0", "start = 0", "start"),
            (
                "accounts = [\"eth-hot\"]",
                "accounts = [\"eth-hot\"]\n[chain.evm]\npoll_millis = 0",
                "chain[0].evm is wrong: poll_millis is 0",
            ),
            (
                "accounts = [\"eth-hot\"]",
                "accounts = [\"eth-hot\"]\n[chain.utxo]\nstart_height = 0",
                "chain[0].utxo",
            ),
            (
                "[health]",
                "[lanes]\nlease_secs = 1\n[health]",
                "lanes.lease_secs is 1",
            ),
            ("[health]", "[log]\nlevel = \"all\"\n[health]", "log.level"),
        ] {
            let error = changed(from, to);
            assert!(error.contains(named), "{named}: {error}");
        }
        let twice = format!(
            "{GOOD}[[limit]]\nasset = \"eip155:31337/native\"\ntotal = \"1\"\ncustomer = \"1\"\n"
        );
        let error = read(&twice).unwrap_err().to_string();
        assert!(error.contains("limit[1].asset"), "{error}");
    }
}
