//! `deploy/quickstart`, as a user runs it.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Command, Output, Stdio},
};

use rustix::process::{Pid, test_kill_process};
use serde_json::{Value, json};
use strongroom_softhsm_tests::{
    anvil::{Anvil, quantity},
    node::Node,
    program::{binary, output, repository, run},
};
use tempfile::TempDir;

/// Whom the quick start pays, on each chain. The keys are public.
const ANN: &str = Anvil::ACCOUNTS[1];
const NOTHING: [String; 0] = [];
const NOBODY: &str = "rltc1qw508d6qejxtdg4y5r3zarvary0c5xw7k693xs3";

#[test]
fn it_pays_on_both_chains_and_goes_on_where_it_was_and_leaves_nothing_behind() {
    let place = Place::new();
    place.killed_after("== the policy");
    place.stop();

    let first = place.check();
    assert_eq!(place.processes(), NOTHING, "nothing runs after --check");

    let said = place.quickstart(&[]);
    assert!(said.contains("there already"), "{said}");
    assert_eq!(place.records().len(), 5, "all of it runs");
    place.was_paid(&first, 2);

    place.stop();
    let second = place.check();
    for (chain, key) in [("evm", "txid"), ("utxo", "txid")] {
        assert_ne!(
            first[chain][key], second[chain][key],
            "a payment of its own"
        );
    }
    assert_eq!(place.processes(), NOTHING, "nothing runs after --check");
}

#[test]
fn it_stops_no_process_that_took_the_number_of_one_of_its_own() {
    let place = Place::new();
    let mut stranger = Command::new("sleep").arg("600").spawn().expect("a process");
    let records = place.folder.path().join("processes");
    fs::create_dir_all(&records).expect("a folder");
    let record = format!("{} {} 1\n", stranger.id(), boot());
    fs::write(records.join("signerd"), record).expect("a record");
    place.stop();
    let lives = stranger.try_wait().expect("a child of ours").is_none();
    stranger.kill().expect("a child of ours");
    stranger.wait().expect("a child of ours");
    assert!(lives, "it was someone else's");
    assert_eq!(place.records().len(), 0);
}

#[test]
fn an_unknown_argument_is_an_error_of_usage() {
    let place = Place::new();
    let output = output(place.command().arg("--now"));
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(!place.folder.path().join("lock").exists());
}

/// A folder for the quick start; what it started is stopped when this goes away.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("quickstart-").tempdir();
        Self {
            folder: folder.expect("a folder"),
        }
    }

    fn command(&self) -> Command {
        let signerd = binary("signerd");
        let binaries = signerd.parent().expect("a target folder");
        assert!(binary("walletd").starts_with(binaries));
        let mut command = Command::new(repository("deploy/quickstart"));
        command
            .env("STRONGROOM_RUN", self.folder.path())
            .env("STRONGROOM_BIN", binaries)
            .env_remove("BITCOIND_EXE");
        command
    }

    fn quickstart(&self, arguments: &[&str]) -> String {
        let output = run(self.command().args(arguments));
        String::from_utf8(output.stdout).expect("text")
    }

    /// `--check`; its last line.
    fn check(&self) -> Value {
        let said = self.quickstart(&["--check"]);
        let last = said.lines().last().unwrap_or_default();
        let result: Value = serde_json::from_str(last).unwrap_or_else(|_| panic!("{said}"));
        for chain in ["evm", "utxo"] {
            let confirmations = result[chain]["confirmations"].as_u64();
            assert!(confirmations.is_some_and(|count| count >= 3), "{last}");
            assert!(result[chain]["txid"].is_string(), "{last}");
        }
        let reason = result["refused"]["reason"].as_str().unwrap_or_default();
        assert_eq!(reason, "uncovered", "{last}");
        result
    }

    fn stop(&self) {
        self.quickstart(&["--stop"]);
        assert_eq!(self.records().len(), 0);
        assert_eq!(self.processes(), NOTHING);
    }

    /// Starts it and kills it behind a line of its output.
    fn killed_after(&self, line: &str) {
        let mut command = self.command();
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("a process");
        let stdout = child.stdout.take().expect("its output");
        let found = BufReader::new(stdout)
            .lines()
            .map_while(Result::ok)
            .any(|said| said.starts_with(line));
        child.kill().expect("a child of ours");
        child.wait().expect("a child of ours");
        assert!(found, "it never said {line:?}");
    }

    /// The processes on record that run.
    fn records(&self) -> Vec<Pid> {
        let entries = fs::read_dir(self.folder.path().join("processes"));
        let pid = |path: &Path| {
            let text = fs::read_to_string(path).ok()?;
            Pid::from_raw(text.split(' ').next()?.parse().ok()?)
        };
        entries
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| pid(&entry.path()))
            .filter(|pid| test_kill_process(*pid).is_ok())
            .collect()
    }

    /// Every process of the machine that was started for the folder, by its command line: what the
    /// script starts has the folder in its environment.
    fn processes(&self) -> Vec<String> {
        let folder = self.folder.path().to_str().expect("text");
        let variable = format!("STRONGROOM_RUN={folder}");
        let started_for = |process: &Path| {
            let environment = fs::read(process.join("environ")).unwrap_or_default();
            environment
                .split(|byte| *byte == 0)
                .any(|one| one == variable.as_bytes())
        };
        let entries = fs::read_dir("/proc").expect("processes").flatten();
        entries
            .map(|entry| entry.path())
            .filter(|process| started_for(process))
            .filter_map(|process| fs::read(process.join("cmdline")).ok())
            .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
            .collect()
    }

    /// That the nodes themselves show the two payments, once each. `runs` have paid until now.
    fn was_paid(&self, result: &Value, runs: u64) {
        let evm = Node::open(self.address("evm.url"));
        let receipt: Value = evm.call("eth_getTransactionReceipt", json!([result["evm"]["txid"]]));
        assert_eq!(receipt["status"], "0x1", "{receipt}");
        assert_eq!(receipt["to"], json!(ANN.to_lowercase()), "{receipt}");
        let balance: Value = evm.call("eth_getBalance", json!([ANN, "latest"]));
        // anvil's accounts begin with 10,000 ETH; each run pays 0.05.
        let milli = quantity(&balance) / quantity(&json!("0x38d7ea4c68000"));
        assert_eq!(milli.to::<u64>(), 10_000_000 + runs * 50);

        let login = fs::read_to_string(self.folder.path().join("node/password"));
        let password = login.expect("a password");
        let utxo = Node::with_password(self.address("utxo.url"), "quickstart", password.trim());
        let found: Value = utxo.call("getrawtransaction", json!([result["utxo"]["txid"], true]));
        let before = result["utxo"]["confirmations"].as_u64();
        assert!(found["confirmations"].as_u64() >= before, "{found}");
        let coins: Value = utxo.call(
            "scantxoutset",
            json!(["start", [format!("addr({NOBODY})")]]),
        );
        let unspents = coins["unspents"].as_array().expect("coins");
        assert_eq!(unspents.len() as u64, runs, "{coins}");
        assert!(
            unspents.iter().all(|coin| coin["amount"] == json!(0.25)),
            "{coins}"
        );
        assert!(
            unspents
                .iter()
                .any(|coin| coin["txid"] == result["utxo"]["txid"]),
            "{coins}"
        );
    }

    fn address(&self, file: &str) -> SocketAddr {
        let url = fs::read_to_string(self.folder.path().join(file)).expect("an address");
        let address = url.trim().strip_prefix("http://").expect("http");
        address.parse().expect("an address")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // After a failure too, so that nothing is left of it.
        let stopped = output(self.command().arg("--stop"));
        if !std::thread::panicking() {
            assert!(stopped.status.success(), "{}", text(&stopped));
        }
    }
}

fn boot() -> String {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("the kernel's");
    id.trim().to_owned()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
