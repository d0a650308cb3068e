//! A person's browser: Debian's Chromium without a window, with a client certificate and a device that holds
//! passkeys, driven over the DevTools protocol by a pipe.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    pki::Pki,
    program::{PATIENCE, Running, run},
};

/// A running browser with one page; it ends with this.
#[derive(Debug)]
pub struct Chromium {
    _running: Running,
    commands: File,
    messages: BufReader<File>,
    session: Option<String>,
    device: String,
    next: u64,
}

/// A site, and how it is reached.
#[derive(Debug)]
pub struct Site<'a> {
    /// The name in its certificate.
    pub host: &'a str,
    /// Where it is.
    pub address: SocketAddr,
}

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// The browser reads commands from its file 3 and writes to 4.
const SHELL: &str = "exec chromium \"$@\" 3<\"$COMMANDS\" 4>\"$MESSAGES\"";

impl Chromium {
    /// Starts it in a folder of its own, for a person who has a client's certificate of this authority.
    ///
    /// # Panics
    /// When it does not start: softhsm-tests/run installs what is missing.
    pub fn start(folder: &Path, pki: &Pki, client: &str, site: &Site<'_>) -> Self {
        fs::create_dir_all(folder).expect("a folder");
        certificates(folder, pki, client);
        preferences(folder, site);
        let (commands, messages) = (folder.join("commands"), folder.join("messages"));
        run(Command::new("mkfifo").arg(&commands).arg(&messages));
        let resolved = format!("MAP {} {}", site.host, site.address.ip());
        let mut command = Command::new("sh");
        command
            .args([
                "-c",
                SHELL,
                "sh",
                "--headless",
                "--disable-gpu",
                "--no-sandbox",
            ])
            .args([
                "--no-first-run",
                "--disable-dev-shm-usage",
                "--remote-debugging-pipe",
            ])
            .arg(format!(
                "--user-data-dir={}",
                folder.join("profile").display()
            ))
            .arg(format!("--host-resolver-rules={resolved}"))
            .arg("about:blank")
            .env("COMMANDS", &commands)
            .env("MESSAGES", &messages)
            .env("HOME", folder);
        let running = Running::start(&mut command, &folder.join("log"));
        let commands = File::options().write(true).open(commands);
        let mut browser = Self {
            _running: running,
            commands: commands.expect("the browser reads commands"),
            messages: BufReader::new(File::open(messages).expect("the browser answers")),
            session: None,
            device: String::new(),
            next: 0,
        };
        browser.attach();
        browser
    }

    fn attach(&mut self) {
        let page = self.command("Target.createTarget", json!({"url": "about:blank"}));
        let attach = json!({"targetId": page["targetId"], "flatten": true});
        let attached = self.command("Target.attachToTarget", attach);
        self.session = attached["sessionId"].as_str().map(str::to_owned);
        self.command("Page.enable", json!({}));
        // A passkey is used by a page that a person looks at.
        self.command(
            "Emulation.setFocusEmulationEnabled",
            json!({"enabled": true}),
        );
        self.command("WebAuthn.enable", json!({}));
        let options = json!({
            "protocol": "ctap2", "transport": "internal", "hasResidentKey": true,
            "hasUserVerification": true, "isUserVerified": true,
            "automaticPresenceSimulation": true,
        });
        let device = self.command(
            "WebAuthn.addVirtualAuthenticator",
            json!({"options": options}),
        );
        device["authenticatorId"]
            .as_str()
            .expect("a device")
            .clone_into(&mut self.device);
    }

    /// Carries out a command, and gives its result.
    ///
    /// # Panics
    /// When the browser refuses it, or is gone.
    pub fn command(&mut self, method: &str, params: Value) -> Value {
        let answer = self.ask(method, params);
        answer.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    fn ask(&mut self, method: &str, params: Value) -> Result<Value, String> {
        self.next += 1;
        let mut command = json!({"id": self.next, "method": method, "params": params});
        if let Some(session) = &self.session {
            command["sessionId"] = session.clone().into();
        }
        let mut bytes = serde_json::to_vec(&command).expect("a command");
        bytes.push(0);
        self.commands.write_all(&bytes).expect("a browser");
        loop {
            let mut bytes = Vec::new();
            self.messages.read_until(0, &mut bytes).expect("a browser");
            assert_eq!(bytes.pop(), Some(0), "the browser has ended");
            let message: Value = serde_json::from_slice(&bytes).expect("a message");
            // What it tells of by itself is not looked at.
            if message["id"] == self.next {
                return match &message["error"] {
                    Value::Null => Ok(message["result"].clone()),
                    error => Err(error.to_string()),
                };
            }
        }
    }

    /// The value of an expression in the page, once it is there.
    ///
    /// # Errors
    /// What it throws, or that the page is another one by then.
    pub fn evaluate(&mut self, expression: &str) -> Result<Value, String> {
        let params = json!({
            "expression": expression, "awaitPromise": true, "returnByValue": true, "userGesture": true,
        });
        let mut result = self.ask("Runtime.evaluate", params)?;
        match result["exceptionDetails"].take() {
            Value::Null => Ok(result["result"]["value"].take()),
            thrown => Err(thrown["exception"]["description"].to_string()),
        }
    }

    /// Goes to an address, and waits until its page is there.
    ///
    /// # Panics
    /// When it cannot be reached.
    pub fn visit(&mut self, url: &str) {
        // Anew, also where only what follows # is another.
        self.command("Page.navigate", json!({"url": "about:blank"}));
        let arrived = self.command("Page.navigate", json!({"url": url}));
        assert!(arrived["errorText"].is_null(), "{url}: {arrived}");
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'");
    }

    /// Waits until an expression in the page is true.
    ///
    /// # Panics
    /// When it is not in time, with what the page shows.
    pub fn wait(&mut self, expression: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.evaluate(&format!("!!({expression})")) != Ok(true.into()) {
            if Instant::now() > deadline {
                let shown = self.text("body");
                panic!("{expression}: not within {PATIENCE:?}: {shown}");
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Waits for an element, and clicks it.
    pub fn click(&mut self, selector: &str) {
        let element = format!("document.querySelector({selector:?})");
        self.wait(&element);
        self.evaluate(&format!("{element}.click()"))
            .expect("a click");
    }

    /// What an element shows, once it is there.
    pub fn text(&mut self, selector: &str) -> String {
        let element = format!("document.querySelector({selector:?})");
        if selector != "body" {
            self.wait(&element);
        }
        let text = self.evaluate(&format!("{element}.textContent"));
        text.expect("a text")
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// Whether the device's owner shows it who they are.
    pub fn verify_user(&mut self, verified: Verified) {
        let params = json!({
            "authenticatorId": self.device, "isUserVerified": verified == Verified::Yes,
        });
        self.command("WebAuthn.setUserVerified", params);
    }

    /// The passkeys on the device.
    pub fn passkeys(&mut self) -> usize {
        let device = json!({"authenticatorId": self.device});
        let held = self.command("WebAuthn.getCredentials", device);
        held["credentials"].as_array().map_or(0, Vec::len)
    }

    /// Takes every passkey from the device.
    pub fn forget(&mut self) {
        let device = json!({"authenticatorId": self.device});
        self.command("WebAuthn.clearCredentials", device);
    }
}

/// Whether a device knows who uses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verified {
    /// It does.
    Yes,
    /// It does not.
    No,
}

/// The authority, and the client's certificate with its key, where Chromium looks for them.
fn certificates(home: &Path, pki: &Pki, client: &str) {
    let store = home.join(".pki/nssdb");
    fs::create_dir_all(&store).expect("a folder");
    let database = format!("sql:{}", store.display());
    let certutil = || Command::new("certutil");
    run(certutil().args(["-N", "--empty-password", "-d", &database]));
    run(certutil()
        .args(["-A", "-n", "authority", "-t", "C,,", "-d", &database, "-i"])
        .arg(pki.authority()));
    let (certificate, key) = pki.files(client);
    let both = home.join("client.p12");
    run(Command::new("openssl")
        .args([
            "pkcs12",
            "-export",
            "-passout",
            "pass:tests",
            "-name",
            client,
            "-in",
        ])
        .arg(certificate)
        .arg("-inkey")
        .arg(key)
        .arg("-out")
        .arg(&both));
    run(Command::new("pk12util")
        .args(["-W", "tests", "-d", &database, "-i"])
        .arg(&both));
}

/// The choice of a client certificate, which a person makes once in a window.
fn preferences(home: &Path, site: &Site<'_>) {
    let profile = home.join("profile/Default");
    fs::create_dir_all(&profile).expect("a folder");
    let origin = format!("https://{}:{},*", site.host, site.address.port());
    let chosen = json!({"auto_select_certificate": {origin: {"setting": {"filters": [{}]}}}});
    let preferences = json!({"profile": {"content_settings": {"exceptions": chosen}}});
    fs::write(profile.join("Preferences"), preferences.to_string()).expect("preferences");
}
