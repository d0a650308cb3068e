//! The devices as the server sees them: children that come, and what the pool tells of them.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use keys::{KeyId, KeyPurpose, MemberId, PoolEvent, SignatureError, Told};
use policy::FreezeScope;

use crate::{
    config::Device,
    control::{Control, Message},
    device::mark_of,
    registration::{self, NewChild, RegistrationError},
    service::{Service, ask},
};

/// Takes key children into service, and acts on what is told of them.
pub struct Devices {
    service: Arc<Service>,
    /// The main device, with its replicas.
    main: Device,
    /// The supervisor.
    control: Control,
}

/// Why devices cannot be used, in words, each while it cannot.
#[derive(Debug)]
pub struct DeviceTrouble(Mutex<Vec<Trouble>>);

#[derive(Debug)]
struct Trouble {
    device: String,
    why: Option<String>,
}

impl DeviceTrouble {
    /// None is there yet.
    pub fn starting(main: &Device) -> Self {
        let devices = main.members().map(|(_, device)| Trouble {
            device: device.name.to_string(),
            why: Some("It is being started.".into()),
        });
        Self(Mutex::new(devices.collect()))
    }

    /// The devices' names, in their order.
    pub fn names(&self) -> Vec<String> {
        let devices = self.lock();
        devices.iter().map(|one| one.device.clone()).collect()
    }

    /// What is wrong, with the names where there are several devices.
    pub fn said(&self) -> Option<String> {
        let devices = self.lock();
        let several = devices.len() > 1;
        let said: Vec<_> = devices
            .iter()
            .filter_map(|one| {
                let why = one.why.as_ref()?;
                Some(match several {
                    true => format!("{}: {why}", one.device),
                    false => why.clone(),
                })
            })
            .collect();
        (!said.is_empty()).then(|| said.join(" "))
    }

    /// Says why a device cannot be used, or that it can.
    pub fn set(&self, member: MemberId, why: Option<String>) {
        if let Some(trouble) = self.lock().get_mut(member.index()) {
            trouble.why = why;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Trouble>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Devices {
    /// Those of the configuration, none of which is there yet.
    pub fn new(service: &Arc<Service>, main: &Device, control: Control) -> Arc<Self> {
        Arc::new(Self {
            service: Arc::clone(service),
            main: main.clone(),
            control,
        })
    }

    /// Tells the supervisor.
    pub async fn tell(&self, message: Message) {
        if let Err(error) = self.control.send(message).await {
            tracing::error!(error = %error, "the supervisor does not answer");
        }
    }

    /// What the supervisor tells next; `None` when it is gone.
    pub async fn told(&self) -> Option<Message> {
        match self.control.receive().await {
            Ok(Some(message)) => Some(message),
            Ok(None) | Err(_) => {
                tracing::error!("the supervisor is gone");
                None
            }
        }
    }

    /// Takes a new key child into service. One that does not fit is given back to be killed.
    pub async fn attach(self: Arc<Self>, child: NewChild) {
        let (member, generation) = (child.member, child.generation);
        self.trouble(member, "It is being started.");
        match registration::attach(&self.service, &self.main, child).await {
            Ok(()) => {
                self.service.device_trouble.set(member, None);
                self.tell(Message::DeviceReady { member, generation }).await;
            }
            Err(RegistrationError::PinRejected) => self.rejected(member, generation).await,
            Err(error) => {
                let why = crate::log::chain(&error);
                let device = self.name(member);
                tracing::error!(device, error = %why, "the device cannot be used");
                self.trouble(member, &format!("The device cannot be used: {why}."));
                self.tell(Message::KillDevice { member, generation }).await;
            }
        }
    }

    /// No child of the device is started: it rejected the PIN in an earlier life.
    pub fn rejected_before(&self, member: MemberId) {
        self.trouble(member, &self.rejection(member));
    }

    /// Acts on what the pool tells.
    pub async fn hear(&self, told: Told) {
        let Told {
            member,
            generation,
            event,
        } = told;
        let device = self.name(member);
        match event {
            PoolEvent::Ready(identity) => {
                tracing::info!(
                    device,
                    serial = identity.serial.as_str(),
                    "the device is ready"
                );
            }
            PoolEvent::PinRejected(_) => self.rejected(member, generation).await,
            PoolEvent::BadSignature { call, key, error } => {
                let why = crate::log::chain(&error);
                tracing::error!(device, call, %key, error = %why, "the device answered no valid signature");
                self.freeze_for(&key, &error).await;
                self.tell(Message::KillDevice { member, generation }).await;
            }
            PoolEvent::Alarm(alarm) => {
                tracing::error!(device, key = %alarm.key, finding = %alarm.finding, "a key gives itself away");
                self.freeze(&alarm.key, alarm.to_string()).await;
            }
            PoolEvent::BreakerOpened => {
                tracing::warn!(
                    device,
                    "the device failed again and again: it is asked by probes alone"
                );
            }
            PoolEvent::BreakerClosed => {
                tracing::info!(device, "the device is asked again, on probation");
            }
            PoolEvent::Unnamed => {
                tracing::error!(device, "the bundle that governs does not name the device");
                let why = "The bundle that governs does not name its serial number.";
                self.trouble(member, why);
                self.tell(Message::KillDevice { member, generation }).await;
            }
            lost => {
                tracing::warn!(device, event = ?lost, "the key child is lost");
                // The next one may be in service by now.
                if !self.service.pool.is_attached(member) {
                    self.trouble(member, "It hung or ended, and is being restarted.");
                }
                self.tell(Message::KillDevice { member, generation }).await;
            }
        }
    }

    async fn rejected(&self, member: MemberId, generation: u32) {
        self.tell(Message::PinRejected { member, generation }).await;
        self.trouble(member, &self.rejection(member));
    }

    fn rejection(&self, member: MemberId) -> String {
        let device = self.main.member(member).unwrap_or(&self.main);
        format!(
            "The device rejected the PIN. A person must correct the PIN file and remove the file {} in the \
             data folder, then start the daemon again.",
            mark_of(&device.name)
        )
    }

    fn trouble(&self, member: MemberId, why: &str) {
        let trouble = &self.service.device_trouble;
        trouble.set(member, Some(why.to_owned()));
    }

    fn name(&self, member: MemberId) -> &str {
        let device = self.main.member(member).unwrap_or(&self.main);
        device.name.as_str()
    }

    /// An `r` under a second digest gives the key away, and so does a second signature where there is one: nothing
    /// more is signed with it. In a self-test any wrong signature is one too many.
    async fn freeze_for(&self, key: &KeyId, error: &SignatureError) {
        let reason = format!("{key}: {}", crate::log::chain(error));
        let keys = match error {
            SignatureError::RRepeated(what) => BTreeSet::from([&what.first_key, &what.second_key]),
            SignatureError::Differs(what) => BTreeSet::from([&what.key]),
            _ if key.purpose == KeyPurpose::Test => BTreeSet::from([key]),
            _ => return,
        };
        for key in keys {
            self.freeze(key, reason.clone()).await;
        }
    }

    /// Freezes a key. One of self-tests stands for the device: everything is frozen with it.
    async fn freeze(&self, key: &KeyId, reason: String) {
        if key.purpose == KeyPurpose::Test {
            self.freeze_scope(FreezeScope::All, reason.clone()).await;
        }
        let scope = FreezeScope::Key(key.name.clone());
        self.freeze_scope(scope, reason).await;
    }

    async fn freeze_scope(&self, scope: FreezeScope, reason: String) {
        let what = scope.to_string();
        let frozen = ask(|reply| {
            self.service.journal.freeze(scope, reason, reply);
            Ok(())
        });
        match frozen.await {
            Ok(()) => tracing::warn!(scope = what, "it is frozen"),
            Err(problem) => {
                tracing::error!(
                    scope = what,
                    detail = problem.detail,
                    "it could not be frozen"
                );
            }
        }
    }
}
