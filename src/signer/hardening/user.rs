//! Who a process is: a user of its own where it was started as root, and without capabilities in any case.

use std::{fs, io};

use rustix::{
    io::Errno,
    process::{Gid, Uid, getuid},
    thread::{
        CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set,
        clear_ambient_capability_set, remove_capability_from_bounding_set, set_capabilities,
        set_thread_gid, set_thread_groups, set_thread_uid,
    },
};
use thiserror::Error;

use crate::config::Config;

/// The system's users and groups, as they are in files: a signer asks no directory who it is.
const USERS: &str = "/etc/passwd";
const GROUPS: &str = "/etc/group";

/// Why a process is not who it should be.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum UserError {
    /// There is no such user.
    #[error("{USERS} has no user {name}")]
    Unknown {
        /// The name.
        name: String,
    },
    /// Only root becomes somebody else.
    #[error("it must be started as root to become the user {name}")]
    NotRoot {
        /// The name.
        name: String,
    },
    /// It would stay root.
    #[error("the user {name} is root")]
    Root {
        /// The name.
        name: String,
    },
    /// A file or call of the system.
    #[error("{what}")]
    System {
        /// What failed.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
}

/// A user of the system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    name: String,
    uid: Uid,
    gid: Gid,
    /// The groups that name it as a member.
    groups: Vec<Gid>,
}

impl User {
    /// The user of this name.
    ///
    /// # Errors
    /// [`UserError::Unknown`], [`UserError::Root`], [`UserError::System`].
    pub fn of(name: &str) -> Result<Self, UserError> {
        let read = |path, what| {
            fs::read_to_string(path).map_err(|source| UserError::System { what, source })
        };
        let users = read(USERS, "the system's users cannot be read")?;
        let groups = read(GROUPS, "the system's groups cannot be read")?;
        let user = Self::among(name, &users, &groups);
        let user = user.ok_or_else(|| UserError::Unknown { name: name.into() })?;
        match user.uid.is_root() {
            true => Err(UserError::Root { name: name.into() }),
            false => Ok(user),
        }
    }

    /// As passwd(5) and group(5) say it.
    fn among(name: &str, users: &str, groups: &str) -> Option<Self> {
        let number = |field: Option<&str>| field?.parse::<u32>().ok();
        let mut user = users.lines().find_map(|line| {
            let mut fields = line.split(':');
            (fields.next() == Some(name)).then_some(fields)
        })?;
        let uid = number(user.nth(1))?;
        let gid = number(user.next())?;
        let member_of = groups.lines().filter_map(|line| {
            let mut fields = line.split(':').skip(2);
            let gid = number(fields.next())?;
            let members = fields.next()?;
            let is_member = members.split(',').any(|member| member == name);
            is_member.then(|| Gid::from_raw(gid))
        });
        Some(Self {
            name: name.into(),
            uid: Uid::from_raw(uid),
            gid: Gid::from_raw(gid),
            groups: member_of.collect(),
        })
    }

    /// Only root becomes somebody else.
    fn check(&self) -> Result<(), UserError> {
        let own = getuid();
        match own.is_root() || own == self.uid {
            true => Ok(()),
            false => Err(UserError::NotRoot {
                name: self.name.clone(),
            }),
        }
    }

    /// Of this thread, which is the only one.
    fn take(&self) -> Result<(), UserError> {
        self.check()?;
        if getuid() == self.uid {
            return Ok(());
        }
        set_thread_groups(&self.groups).map_err(system("the groups cannot be set"))?;
        set_thread_gid(self.gid).map_err(system("the group cannot be set"))?;
        set_thread_uid(self.uid).map_err(system("the user cannot be set"))
    }
}

/// Whether the users of a configuration are there, and this process can start others as them.
///
/// # Errors
/// [`UserError`].
pub fn check(config: &Config) -> Result<(), UserError> {
    names(config).try_for_each(|name| User::of(name)?.check())
}

/// Becomes a user, if one is named, and gives up every capability. While the process has one thread.
///
/// # Errors
/// [`UserError`].
pub fn become_user(name: Option<&str>) -> Result<(), UserError> {
    let user = name.map(User::of).transpose()?;
    limit(CapabilitySet::empty())?;
    if let Some(user) = user {
        user.take()?;
    }
    keep(CapabilitySet::empty())
}

/// Gives up what a supervisor does not need: all, but where it starts others as users of their own. Then it
/// reads PIN files and leaves marks whoever has the folder.
///
/// # Errors
/// [`UserError::System`].
pub fn keep_for_others(config: &Config) -> Result<(), UserError> {
    let needed = match getuid().is_root() && names(config).next().is_some() {
        true => {
            CapabilitySet::SETUID
                | CapabilitySet::SETGID
                | CapabilitySet::SETPCAP
                | CapabilitySet::KILL
                | CapabilitySet::DAC_OVERRIDE
        }
        false => CapabilitySet::empty(),
    };
    limit(needed)?;
    keep(needed)
}

fn names(config: &Config) -> impl Iterator<Item = &str> {
    let devices = config.device.members();
    let devices = devices.filter_map(|(_, device)| device.user.as_deref());
    config.user.as_deref().into_iter().chain(devices)
}

/// Takes all others out of what any program that is run from here could ever get. Who may not do
/// that has `no_new_privs` all the same.
fn limit(kept: CapabilitySet) -> Result<(), UserError> {
    let failed = system("the capabilities cannot be limited");
    let own = capabilities(None).map_err(&failed)?;
    if !own.effective.contains(CapabilitySet::SETPCAP) {
        return Ok(());
    }
    for capability in CapabilitySet::all().difference(kept) {
        match capability_is_in_bounding_set(capability) {
            Ok(true) => remove_capability_from_bounding_set(capability).map_err(&failed)?,
            // One that this kernel does not know.
            Ok(false) | Err(Errno::INVAL) => {}
            Err(errno) => return Err(failed(errno)),
        }
    }
    Ok(())
}

fn keep(kept: CapabilitySet) -> Result<(), UserError> {
    let failed = system("the capabilities cannot be given up");
    let own = capabilities(None).map_err(&failed)?;
    let kept = own.permitted & kept;
    clear_ambient_capability_set().map_err(&failed)?;
    let sets = CapabilitySets {
        effective: kept,
        permitted: kept,
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, sets).map_err(failed)
}

fn system(what: &'static str) -> impl Fn(Errno) -> UserError {
    move |errno| UserError::System {
        what,
        source: errno.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str =
        "root:x:0:0:root:/root:/bin/bash\nsigner:x:900:901::/:/usr/sbin/nologin\nbroken:x\n";
    const GROUPS: &str =
        "pkcs11:x:70:other,signer\nsigner:x:901:\nplugdev:x:46:signerd\ntss:x:71:signer\n";

    #[test]
    fn a_user_is_read_with_its_groups() {
        let user = User::among("signer", USERS, GROUPS).unwrap();
        assert_eq!(user.uid.as_raw(), 900);
        assert_eq!(user.gid.as_raw(), 901);
        assert_eq!(user.groups, [70, 71].map(Gid::from_raw));
        assert_eq!(User::among("nobody", USERS, GROUPS), None);
        assert_eq!(User::among("broken", USERS, GROUPS), None);
        assert_eq!(User::among("sign", USERS, GROUPS), None);
    }

    #[test]
    fn nobody_becomes_root_or_a_user_that_is_not_there() {
        assert!(matches!(User::of("root"), Err(UserError::Root { .. })));
        assert!(matches!(
            User::of("no such user"),
            Err(UserError::Unknown { .. })
        ));
    }
}
