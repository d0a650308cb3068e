//! What a signer's metrics say of its devices and their self-tests.

use std::fmt;

use serde::Serialize;
use tx::Time;

/// The devices of a signer, as it sees them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Devices {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    devices: Vec<Device>,
    #[serde(skip_serializing_if = "Option::is_none")]
    self_test: Option<SelfTest>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Device {
    name: String,
    /// Whether it is asked for signatures.
    asked: bool,
    /// Whether it is logged in to and answers.
    attached: bool,
    /// Whether it failed again and again, and is asked by probes alone.
    breaker_open: bool,
    /// That were verified and released, since the start.
    signatures: u64,
}

/// How self-tests stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct SelfTest {
    keys: u64,
    /// Whether the last one was not passed, or there are none.
    trouble: bool,
    /// When one was passed the last time, since the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    passed: Option<Time>,
}

/// A sample of the text format of Prometheus: `name 1`, or `name{device="main"} 1`.
fn sample<'a>(line: &'a str, name: &str) -> Option<(&'a str, u64)> {
    let (labels, value) = line.strip_prefix(name)?.rsplit_once(' ')?;
    let device = match labels {
        "" => "",
        labels => labels.strip_prefix("{device=\"")?.strip_suffix("\"}")?,
    };
    Some((device, value.parse().ok()?))
}

impl Devices {
    /// By the text of `/metrics`. A sealed signer says nothing of them.
    pub fn of_metrics(text: &str) -> Self {
        let value = |name: &str, device: &str| {
            let mut samples = text.lines().filter_map(|line| sample(line, name));
            samples.find_map(|(of, value)| (of == device).then_some(value))
        };
        let all = text.lines();
        let all = all.filter_map(|line| sample(line, "signerd_device_usable"));
        let devices = all.map(|(name, asked)| {
            let says = |what| value(what, name).unwrap_or_default();
            Device {
                name: name.to_owned(),
                asked: asked > 0,
                attached: says("signerd_device_attached") > 0,
                breaker_open: says("signerd_device_breaker_open") > 0,
                signatures: says("signerd_device_signatures_total"),
            }
        });
        let keys = value("signerd_self_test_keys", "");
        let passed = value("signerd_self_test_passed_timestamp_seconds", "");
        let passed = passed.filter(|secs| *secs > 0);
        Self {
            devices: devices.collect(),
            self_test: keys.map(|keys| SelfTest {
                keys,
                trouble: value("signerd_self_test_trouble", "").is_none_or(|trouble| trouble > 0),
                passed: passed.map(|secs| Time::from_millis(secs.saturating_mul(1000))),
            }),
        }
    }
}

impl fmt::Display for Devices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for device in &self.devices {
            let how = match device {
                Device { asked: true, .. } => "asked",
                Device {
                    attached: false, ..
                } => "NOT ASKED: it is not logged in to, or does not answer",
                Device {
                    breaker_open: true, ..
                } => "NOT ASKED: it failed again and again, and has probes alone",
                Device { .. } => "NOT ASKED",
            };
            writeln!(f, "device {}", device.name)?;
            writeln!(
                f,
                "  {how}; {} signatures since the start",
                device.signatures
            )?;
        }
        match &self.self_test {
            None => Ok(()),
            Some(SelfTest { keys: 0, .. }) => {
                writeln!(
                    f,
                    "self-test NONE: the configuration names no self_test_keys"
                )
            }
            Some(SelfTest { trouble: true, .. }) => writeln!(f, "self-test NOT PASSED"),
            Some(SelfTest {
                passed: Some(passed),
                keys,
                ..
            }) => writeln!(f, "self-test passed at {passed}, by {keys} keys"),
            Some(SelfTest { .. }) => writeln!(f, "self-test not made yet"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const METRICS: &str = "\
# HELP signerd_device_usable 1 when this device is asked
# TYPE signerd_device_usable gauge
signerd_device_usable{device=\"main\"} 1
signerd_device_usable{device=\"second\"} 0
signerd_device_attached{device=\"main\"} 1
signerd_device_attached{device=\"second\"} 1
signerd_device_breaker_open{device=\"main\"} 0
signerd_device_breaker_open{device=\"second\"} 1
signerd_device_signatures_total{device=\"main\"} 12
signerd_device_signatures_total{device=\"second\"} 0
signerd_self_test_keys 2
signerd_self_test_trouble 0
signerd_self_test_passed_timestamp_seconds 1790000000
";

    #[test]
    fn each_device_and_the_self_test_are_as_the_metrics_say() {
        let shown = Devices::of_metrics(METRICS).to_string();
        let expected = "\
device main
  asked; 12 signatures since the start
device second
  NOT ASKED: it failed again and again, and has probes alone; 0 signatures since the start
self-test passed at 2026-09-21T14:13:20Z, by 2 keys
";
        assert_eq!(shown, expected);
        let gone = METRICS.replace(
            "attached{device=\"second\"} 1",
            "attached{device=\"second\"} 0",
        );
        assert!(
            Devices::of_metrics(&gone)
                .to_string()
                .contains("not logged in to")
        );
        let failed = METRICS.replace("trouble 0", "trouble 1");
        assert!(
            Devices::of_metrics(&failed)
                .to_string()
                .contains("self-test NOT PASSED")
        );
        let none = METRICS.replace("keys 2", "keys 0");
        assert!(
            Devices::of_metrics(&none)
                .to_string()
                .contains("self-test NONE")
        );
        assert_eq!(
            Devices::of_metrics("signerd_sealed 1\n"),
            Devices::default()
        );
    }
}
