//! Which places each process needs, by the configuration.

use std::path::{Path, PathBuf};

use keys::{Profile, Quirks, softhsm_tokens};

use crate::config::{Config, Device, Place};

/// What a process may open; what is not here it may not, whoever it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// Files, and folders with all that is below them, that it reads.
    pub reads: Vec<PathBuf>,
    /// Those that it writes as well.
    pub writes: Vec<PathBuf>,
    /// What it does with TCP.
    pub tcp: Tcp,
}

/// What a process does with TCP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tcp {
    /// It listens on these ports, and connects to nobody.
    Listens(Vec<u16>),
    /// It connects to wherever its device is.
    Connects,
}

impl Default for Tcp {
    fn default() -> Self {
        Self::Listens(Vec::new())
    }
}

/// What modules and the libraries that they are linked with read of the system. No secret is among it.
const SYSTEM: [&str; 21] = [
    "/etc/group",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/ssl/openssl.cnf",
    "/dev/random",
    "/dev/urandom",
    "/lib",
    "/lib32",
    "/lib64",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/sys/crypto",
    "/proc/sys/kernel",
    "/sys/devices/system/cpu",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/local/lib",
    "/usr/share/zoneinfo",
];

/// What everybody writes to.
const NOWHERE: &str = "/dev/null";

/// Which start of the machine this is.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

impl Places {
    /// Those of the server: its data, and what it reads again while it runs.
    ///
    /// Certificates are replaced by new files of the same names, so that their folder is what it reads. Of the bundle and the
    /// books it is the folder, in which files are replaced. The PIN file is not among them: whoever starts
    /// the key children reads it.
    pub fn of_server(config: &Config) -> Self {
        let api = &config.api;
        let tls = [&api.certificate, &api.key].into_iter().chain(&api.crls);
        let mut reads: Vec<_> = tls.flat_map(|file| folders_of(file)).collect();
        reads.extend(config.books.clone());
        reads.extend([config.policy.clone(), BOOT_ID.into()]);
        let profiles = config.device.members();
        reads.extend(profiles.map(|(_, device)| device.profile.clone()));
        reads.sort();
        reads.dedup();
        let officers = config.officers.iter().map(|officers| officers.listen);
        let listens = [api.listen, config.health.listen];
        let listens = listens.into_iter().chain(officers);
        Self {
            reads,
            writes: vec![config.data.clone()],
            tcp: Tcp::Listens(listens.map(|address| address.port()).collect()),
        }
    }

    /// Those of the key child of a device: the module with what it is linked with, its configuration and its tokens; or the
    /// keystore; and what the configuration adds.
    pub fn of_key_child(device: &Device, profile: &Profile) -> Self {
        let mut places = match &device.place {
            Place::Token { module, .. } => Self::of_module(module, device, profile),
            Place::Keystore(folder) => Self {
                reads: vec![folder.clone()],
                ..Self::default()
            },
        };
        places.reads.extend(device.reads.iter().cloned());
        places.writes.extend(device.writes.iter().cloned());
        if device.network {
            places.tcp = Tcp::Connects;
        }
        places
    }

    fn of_module(module: &Path, device: &Device, profile: &Profile) -> Self {
        let mut reads: Vec<PathBuf> = SYSTEM.map(PathBuf::from).into();
        reads.extend(folders_of(module));
        // `SOFTHSM2_CONF` and what others call theirs.
        let named = device.environment.values().map(PathBuf::from);
        reads.extend(named.filter(|path| path.is_absolute() && path.is_file()));
        let mut writes = vec![NOWHERE.into()];
        let quirks = profile.essentials().map(|essentials| essentials.quirks);
        if quirks.is_ok_and(|quirks| quirks.contains(Quirks::SYNC_SOFTHSM_FILES)) {
            let config = device.environment.get("SOFTHSM2_CONF").map(Path::new);
            // Where there is none SoftHSM says so itself.
            writes.extend(softhsm_tokens(config));
        }
        Self {
            reads,
            writes,
            tcp: Tcp::default(),
        }
    }

    /// Whether a file lies in what is read or written.
    pub fn include(&self, file: &Path) -> bool {
        let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let file = real(file);
        let mut all = self.reads.iter().chain(&self.writes);
        all.any(|place| file.starts_with(real(place)))
    }
}

/// The folder of a file: as it is named, and where a link leads.
fn folders_of(file: &Path) -> impl Iterator<Item = PathBuf> {
    let real = file.canonicalize().ok();
    let both = [Some(file.to_owned()), real].into_iter().flatten();
    both.filter_map(|file| {
        let folder = file.parent()?;
        Some(match folder.as_os_str().is_empty() {
            true => ".".into(),
            false => folder.to_owned(),
        })
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{config::PinFrom, hardening::notes};

    const CONFIG: &str = r#"
data = "data"
policy = "policy"
genesis = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
[api]
listen = "127.0.0.1:8443"
certificate = "tls/server.pem"
key = "tls/server.key"
crls = ["crls/crl.pem"]
[health]
listen = "127.0.0.1:9464"
[device]
module = "module/module.so"
token = "strongroom"
pin_file = "first/pin"
profile = "profile.toml"
reads = ["vendor"]
environment = { SOFTHSM2_CONF = "FOLDER/first/softhsm2.conf" }
[[device.replica]]
name = "second"
pin_file = "second/pin"
environment = { SOFTHSM2_CONF = "FOLDER/second/softhsm2.conf" }
network = true
[[device.replica]]
name = "third"
keystore = "keys"
pin_file = "third/pin"
"#;

    /// A folder with a configuration of three devices, and what they name.
    fn world() -> (tempfile::TempDir, Config) {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["tls", "crls", "module", "first", "second", "third"] {
            fs::create_dir(path(name)).unwrap();
        }
        for name in ["first", "second"] {
            let tokens = path(name).join("tokens");
            let text = format!("directories.tokendir = {}\n", tokens.display());
            fs::write(path(name).join("softhsm2.conf"), text).unwrap();
        }
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let profile = repository.join("firmware-profiles/softhsm-2.6.toml");
        fs::copy(profile, path("profile.toml")).unwrap();
        let text = CONFIG.replace("FOLDER", &folder.path().display().to_string());
        fs::write(path("signerd.toml"), text).unwrap();
        let config = Config::read(&path("signerd.toml")).unwrap();
        (folder, config)
    }

    fn of_key_children(config: &Config) -> Vec<Places> {
        let members = config.device.members();
        let places = members.map(|(_, device)| {
            let profile = Profile::read(&device.profile).unwrap();
            Places::of_key_child(device, &profile)
        });
        places.collect()
    }

    #[test]
    fn a_server_reads_no_pin_and_no_token_and_writes_its_data_alone() {
        let (folder, config) = world();
        let server = Places::of_server(&config);
        let at = |name: &str| folder.path().join(name);
        assert_eq!(server.writes, [at("data")]);
        assert_eq!(server.tcp, Tcp::Listens(vec![8443, 9464]));
        for name in [
            "first/pin",
            "second/tokens",
            "keys",
            "signerd.toml",
            "module/module.so",
        ] {
            assert!(!server.include(&at(name)), "{name}");
        }
        for name in [
            "tls/server.key",
            "crls/other.pem",
            "policy/manifest",
            "profile.toml",
        ] {
            assert!(server.include(&at(name)), "{name}");
        }
    }

    #[test]
    fn a_pin_file_beside_certificates_is_one_that_the_server_reads() {
        let (folder, mut config) = world();
        let pin_file = folder.path().join("tls/pin");
        config.device.pin = PinFrom::File(pin_file.clone());
        let server = Places::of_server(&config);
        assert!(server.include(&pin_file));
    }

    #[test]
    fn a_certificate_among_the_files_of_the_system_is_noted_and_a_keystore_beside_it() {
        let (folder, mut config) = world();
        let noted = |config: &Config, part: &str| {
            let notes = notes::of(config);
            notes.iter().any(|note| note.contains(part))
        };
        assert!(!noted(&config, "/etc/shadow") && !noted(&config, "keystore"));
        config.api.certificate = "/etc/signerd.pem".into();
        assert!(noted(&config, "may read /etc/shadow"));
        assert!(!noted(&config, "may read /root"));
        config.api.certificate = folder.path().join("keys/signerd.pem");
        config.device.place = Place::Keystore(folder.path().join("keys/a"));
        assert!(noted(&config, "the keystore"));
    }

    #[test]
    fn each_member_of_a_pool_has_its_own_token_and_no_other() {
        let (folder, config) = world();
        let at = |name: &str| folder.path().join(name);
        let [first, second, third] = of_key_children(&config).try_into().unwrap();
        for (own, others) in [
            (&first, ["second/tokens", "second/softhsm2.conf", "keys/a"]),
            (&second, ["first/tokens", "first/softhsm2.conf", "keys/a"]),
            (
                &third,
                ["first/tokens", "second/tokens", "module/module.so"],
            ),
        ] {
            let places = [
                "data",
                "policy",
                "tls",
                "first/pin",
                "second/pin",
                "third/pin",
            ];
            for name in others.into_iter().chain(places) {
                assert!(!own.include(&at(name)), "{name}");
            }
        }
        assert!(first.writes.contains(&at("first/tokens")));
        assert!(second.writes.contains(&at("second/tokens")));
        assert_eq!(third.writes, Vec::<PathBuf>::new());
        for name in ["module/module.so", "vendor/a", "first/softhsm2.conf"] {
            assert!(first.include(&at(name)), "{name}");
        }
        assert!(third.include(&at("keys/a")));
        assert_eq!(first.tcp, Tcp::Listens(Vec::new()));
        assert_eq!(second.tcp, Tcp::Connects);
    }
}
