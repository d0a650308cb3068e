//! A PKCS#11 module for tests: SoftHSM, with faults.
//!
//! `FAULT_FOLDER` names a folder. While its file `fault` holds the name of a [`Fault`], `C_Sign`
//! behaves so; after `once ` it does so for one call. Each `C_Login` adds a line to its file
//! `logins`, waits while the fault is `hold-login`, and adds a line to `logged-in` at its end. Each
//! signature adds a line to its file `signed`: what was signed, in hexadecimal.
//!
//! What its file `attempt` names is attempted in `C_Sign`, or at once where this library is loaded before a
//! server (`LD_PRELOAD`) with `ATTEMPT_FOLDER`: see `attempt.rs`.
//!
//! While its file `known-secrets` is there, every secp256k1 key has a secret that this module makes of its
//! label, in the place of SoftHSM's: only who knows a secret can sign with a `k` of choice.
//!
//! What its file `departures` has makes it one of the modules that firmware profiles have quirks for: see
//! `departing.rs`.

mod attempt;
mod departing;
mod known;

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::PathBuf,
    ptr,
    sync::OnceLock,
    thread,
    time::Duration,
};

use cryptoki_sys::{
    CK_BYTE_PTR, CK_FUNCTION_LIST, CK_FUNCTION_LIST_PTR_PTR, CK_RV, CK_SESSION_HANDLE, CK_ULONG,
    CK_ULONG_PTR, CK_USER_TYPE, CK_UTF8CHAR_PTR, CKR_DEVICE_ERROR, CKR_GENERAL_ERROR, CKR_OK,
    CKR_SESSION_HANDLE_INVALID, CKR_USER_NOT_LOGGED_IN,
};
use known::Nonce;
use libloading::Library;

/// The module that does the work.
const REAL: &str = "/usr/lib/softhsm/libsofthsm2.so";

/// The order of secp256k1.
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe,
    0xba, 0xae, 0xdc, 0xe6, 0xaf, 0x48, 0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x41,
];

/// How a signature goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// `CKR_DEVICE_ERROR`.
    DeviceError,
    /// `CKR_SESSION_HANDLE_INVALID`.
    SessionInvalid,
    /// `CKR_USER_NOT_LOGGED_IN`.
    LoggedOut,
    /// It takes a fifth of a second longer.
    Slow,
    /// It never ends.
    Hang,
    /// The process dies.
    Crash,
    /// One bit of `s` is another.
    Corrupt,
    /// `r` is 0.
    ZeroR,
    /// `s` is 0.
    ZeroS,
    /// It is one byte short.
    Short,
    /// `s` is always the high one of the two.
    HighS,
    /// It is over another digest.
    OtherDigest,
    /// It is by another key.
    WrongKey,
    /// It comes after a second and a half.
    Late,
    /// Every signature has another `k` than it should, where secrets are known.
    Nonce(Nonce),
    /// No signature: the login waits.
    HoldLogin,
}

impl Fault {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "device-error" => Self::DeviceError,
            "session-invalid" => Self::SessionInvalid,
            "logged-out" => Self::LoggedOut,
            "slow" => Self::Slow,
            "hang" => Self::Hang,
            "crash" => Self::Crash,
            "corrupt" => Self::Corrupt,
            "zero-r" => Self::ZeroR,
            "zero-s" => Self::ZeroS,
            "short" => Self::Short,
            "high-s" => Self::HighS,
            "other-digest" => Self::OtherDigest,
            "wrong-key" => Self::WrongKey,
            "late" => Self::Late,
            "one-k" => Self::Nonce(Nonce::One),
            "hold-login" => Self::HoldLogin,
            _ => return Self::biased(name),
        })
    }

    /// `top-8`: the highest 8 bits of each `k` are the same; `bottom-8`: the lowest.
    fn biased(name: &str) -> Option<Self> {
        let (end, bits) = name.split_once('-')?;
        let bits = bits.parse().ok()?;
        match end {
            "top" => Some(Self::Nonce(Nonce::Top(bits))),
            "bottom" => Some(Self::Nonce(Nonce::Bottom(bits))),
            _ => None,
        }
    }

    /// The fault of this call. Of several threads one alone gets what is for one call.
    fn now() -> Option<Self> {
        let path = folder()?.join("fault");
        let text = fs::read_to_string(&path).ok()?;
        match text.trim().strip_prefix("once ") {
            Some(name) => fs::remove_file(path).ok().and_then(|()| Self::parse(name)),
            None => Self::parse(text.trim()),
        }
    }
}

fn folder() -> Option<PathBuf> {
    std::env::var_os("FAULT_FOLDER").map(PathBuf::from)
}

/// The real module and the list of functions that is handed out.
struct Module {
    real: CK_FUNCTION_LIST,
    ours: CK_FUNCTION_LIST,
    /// Functions are valid while it is loaded.
    _library: Library,
}

// SAFETY: function pointers of a library that stays loaded; a PKCS#11 module is called from any
// thread.
unsafe impl Send for Module {}
// SAFETY: as above; nothing in it is written after it was made.
unsafe impl Sync for Module {}

static MODULE: OnceLock<Option<Module>> = OnceLock::new();

fn module() -> Option<&'static Module> {
    MODULE.get_or_init(load).as_ref()
}

fn load() -> Option<Module> {
    type GetFunctionList = unsafe extern "C" fn(CK_FUNCTION_LIST_PTR_PTR) -> CK_RV;
    // SAFETY: SoftHSM's constructors are those of any C++ library.
    let library = unsafe { Library::new(REAL) }.ok()?;
    let mut list = ptr::null_mut();
    // SAFETY: PKCS#11 gives the symbol this type; `list` is valid to be written to.
    let got = unsafe {
        library
            .get::<GetFunctionList>(b"C_GetFunctionList\0")
            .ok()?(&raw mut list)
    };
    if got != CKR_OK || list.is_null() {
        return None;
    }
    // SAFETY: the module answered CKR_OK, so that `list` points to its list of functions.
    let real = unsafe { *list };
    let ours = CK_FUNCTION_LIST {
        C_Sign: Some(sign),
        C_Login: Some(login),
        C_SignInit: Some(known::sign_init),
        C_GetAttributeValue: Some(departing::attribute_value),
        C_OpenSession: Some(departing::open_session),
        C_GetMechanismInfo: Some(departing::mechanism_info),
        C_GenerateKeyPair: Some(departing::generate_key_pair),
        ..real
    };
    Some(Module {
        real,
        ours,
        _library: library,
    })
}

/// PKCS#11's entry: SoftHSM's functions, but for those that are ours.
///
/// # Safety
/// As PKCS#11 says: `list` is null or valid to be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn C_GetFunctionList(list: CK_FUNCTION_LIST_PTR_PTR) -> CK_RV {
    let (Some(module), false) = (module(), list.is_null()) else {
        return CKR_GENERAL_ERROR;
    };
    // SAFETY: not null, so valid by the caller's promise. Callers do not write through it.
    unsafe { *list = (&raw const module.ours).cast_mut() };
    CKR_OK
}

unsafe extern "C" fn login(
    session: CK_SESSION_HANDLE,
    user: CK_USER_TYPE,
    pin: CK_UTF8CHAR_PTR,
    length: CK_ULONG,
) -> CK_RV {
    note("logins", "login");
    attempt::make_at_login();
    while Fault::now() == Some(Fault::HoldLogin) {
        thread::sleep(Duration::from_millis(5));
    }
    let Some(real) = module().and_then(|module| module.real.C_Login) else {
        return CKR_GENERAL_ERROR;
    };
    // SAFETY: the caller's arguments, as they are.
    let answer = unsafe { real(session, user, pin, length) };
    note("logged-in", "login");
    answer
}

/// Adds a line to a file of the folder. Lines are of a length that no page ends within: one that crosses into another
/// page is torn where the process is killed in that moment.
fn note(name: &str, line: &str) {
    let Some(folder) = folder() else { return };
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join(name));
    // A test counts the lines: one too few is seen.
    let _written = log.and_then(|mut log| log.write_all(format!("{line:<127}\n").as_bytes()));
}

unsafe extern "C" fn sign(
    session: CK_SESSION_HANDLE,
    data: CK_BYTE_PTR,
    data_length: CK_ULONG,
    signature: CK_BYTE_PTR,
    length: CK_ULONG_PTR,
) -> CK_RV {
    let Some(real) = module().and_then(|module| module.real.C_Sign) else {
        return CKR_GENERAL_ERROR;
    };
    attempt::make();
    let fault = Fault::now();
    match fault {
        Some(Fault::DeviceError) => return CKR_DEVICE_ERROR,
        Some(Fault::SessionInvalid) => return CKR_SESSION_HANDLE_INVALID,
        Some(Fault::LoggedOut) => return CKR_USER_NOT_LOGGED_IN,
        Some(Fault::Slow) => thread::sleep(Duration::from_millis(200)),
        Some(Fault::Late) => thread::sleep(Duration::from_millis(1500)),
        Some(Fault::Hang) => loop {
            thread::park();
        },
        Some(Fault::Crash) => std::process::abort(),
        Some(Fault::OtherDigest) if data_length > 0 => {
            // SAFETY: the caller's data has `data_length` bytes.
            let given = unsafe { std::slice::from_raw_parts(data, data_length as usize) };
            let mut other = given.to_vec();
            other[0] ^= 1;
            // SAFETY: the caller's arguments, with data of the same length.
            return unsafe { real(session, other.as_mut_ptr(), data_length, signature, length) };
        }
        _ => {}
    }
    // SAFETY: the caller's arguments, as they are.
    let answer = unsafe { real(session, data, data_length, signature, length) };
    // SAFETY: after CKR_OK `length` says how many bytes the module wrote, if it was given a buffer.
    if answer == CKR_OK && !signature.is_null() && unsafe { *length } == 64 {
        // SAFETY: the caller's data has `data_length` bytes.
        let given = unsafe { std::slice::from_raw_parts(data, data_length as usize) };
        let digits: Vec<String> = given.iter().map(|byte| format!("{byte:02x}")).collect();
        note("signed", &digits.concat());
        // SAFETY: as above.
        let bytes = unsafe { std::slice::from_raw_parts_mut(signature, 64) };
        let nonce = match fault {
            Some(Fault::Nonce(nonce)) => nonce,
            _ => Nonce::Good,
        };
        known::sign(session, given, bytes, nonce);
        match fault {
            Some(Fault::WrongKey) => known::sign_by_another(given, bytes),
            Some(Fault::Corrupt) => bytes[63] ^= 1,
            Some(Fault::ZeroR) => bytes[..32].fill(0),
            Some(Fault::ZeroS) => bytes[32..].fill(0),
            Some(Fault::HighS) if bytes[32] < 0x80 => negate(&mut bytes[32..]),
            // SAFETY: `length` is valid to be written to, as the module has done.
            Some(Fault::Short) => unsafe { *length = 63 },
            _ => {}
        }
    }
    answer
}

/// `s` becomes the order minus `s`.
fn negate(s: &mut [u8]) {
    let mut borrow = 0i16;
    for (byte, order) in s.iter_mut().zip(ORDER).rev() {
        let difference = i16::from(order) - i16::from(*byte) - borrow;
        borrow = i16::from(difference < 0);
        *byte = difference.rem_euclid(256) as u8;
    }
}
