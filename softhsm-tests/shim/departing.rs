//! A module that departs from what is usual, as some do: the folder's file `departures` names how, one a line, in the
//! words of the quirks of firmware profiles.

use std::{fs, slice};

use cryptoki_sys::{
    CK_ATTRIBUTE, CK_ATTRIBUTE_PTR, CK_FLAGS, CK_MECHANISM_INFO_PTR, CK_MECHANISM_PTR,
    CK_MECHANISM_TYPE, CK_NOTIFY, CK_OBJECT_HANDLE, CK_OBJECT_HANDLE_PTR, CK_RV, CK_SESSION_HANDLE,
    CK_SESSION_HANDLE_PTR, CK_SLOT_ID, CK_ULONG, CK_VOID_PTR, CKA_ALLOWED_MECHANISMS, CKA_DERIVE,
    CKA_LOCAL, CKF_DERIVE, CKF_RW_SESSION, CKR_ATTRIBUTE_TYPE_INVALID, CKR_FUNCTION_NOT_SUPPORTED,
    CKR_GENERAL_ERROR, CKR_OK,
};

use crate::{folder, known, module};

const UNAVAILABLE: CK_ULONG = CK_ULONG::MAX;

/// Whether it departs so.
fn departs(how: &str) -> bool {
    let Some(folder) = folder() else { return false };
    let text = fs::read_to_string(folder.join("departures"));
    text.is_ok_and(|text| text.lines().any(|line| line == how))
}

/// `C_OpenSession`.
pub(crate) unsafe extern "C" fn open_session(
    slot: CK_SLOT_ID,
    flags: CK_FLAGS,
    application: CK_VOID_PTR,
    notify: CK_NOTIFY,
    session: CK_SESSION_HANDLE_PTR,
) -> CK_RV {
    if flags & CKF_RW_SESSION == 0 && departs("only-writing-sessions") {
        return CKR_FUNCTION_NOT_SUPPORTED;
    }
    match module().and_then(|module| module.real.C_OpenSession) {
        // SAFETY: the caller's arguments, as they are.
        Some(real) => unsafe { real(slot, flags, application, notify, session) },
        None => CKR_GENERAL_ERROR,
    }
}

/// `C_GetMechanismInfo`.
pub(crate) unsafe extern "C" fn mechanism_info(
    slot: CK_SLOT_ID,
    mechanism: CK_MECHANISM_TYPE,
    info: CK_MECHANISM_INFO_PTR,
) -> CK_RV {
    let Some(real) = module().and_then(|module| module.real.C_GetMechanismInfo) else {
        return CKR_GENERAL_ERROR;
    };
    // SAFETY: the caller's arguments, as they are.
    let answer = unsafe { real(slot, mechanism, info) };
    if answer == CKR_OK && departs("derives-nothing") {
        // SAFETY: after CKR_OK the module has written to it.
        unsafe { (*info).flags &= !CKF_DERIVE };
    }
    answer
}

/// `C_GenerateKeyPair`.
pub(crate) unsafe extern "C" fn generate_key_pair(
    session: CK_SESSION_HANDLE,
    mechanism: CK_MECHANISM_PTR,
    public: CK_ATTRIBUTE_PTR,
    public_count: CK_ULONG,
    private: CK_ATTRIBUTE_PTR,
    private_count: CK_ULONG,
    public_key: CK_OBJECT_HANDLE_PTR,
    private_key: CK_OBJECT_HANDLE_PTR,
) -> CK_RV {
    let Some(real) = module().and_then(|module| module.real.C_GenerateKeyPair) else {
        return CKR_GENERAL_ERROR;
    };
    // SAFETY: the caller's template has as many attributes as it says.
    let given = unsafe { attributes(private, private_count) };
    let names_mechanisms = given.iter().any(|one| one.type_ == CKA_ALLOWED_MECHANISMS);
    if names_mechanisms && departs("no-allowed-mechanisms") {
        return CKR_ATTRIBUTE_TYPE_INVALID;
    }
    // SAFETY: the caller's arguments, as they are.
    unsafe {
        real(
            session,
            mechanism,
            public,
            public_count,
            private,
            private_count,
            public_key,
            private_key,
        )
    }
}

/// `C_GetAttributeValue`.
pub(crate) unsafe extern "C" fn attribute_value(
    session: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
    template: CK_ATTRIBUTE_PTR,
    count: CK_ULONG,
) -> CK_RV {
    // SAFETY: the caller's arguments, as they are.
    let mut answer = unsafe { known::attribute_value(session, object, template, count) };
    // SAFETY: the caller's template has as many attributes as it says.
    for attribute in unsafe { attributes(template, count) } {
        match attribute.type_ {
            CKA_ALLOWED_MECHANISMS if departs("no-allowed-mechanisms") => {
                attribute.ulValueLen = UNAVAILABLE;
                answer = CKR_ATTRIBUTE_TYPE_INVALID;
            }
            CKA_DERIVE if departs("says-derive") => set(attribute, 1),
            CKA_LOCAL if departs("says-not-local") => set(attribute, 0),
            _ => {}
        }
    }
    answer
}

/// Sets an attribute that is true or false, where the caller has a place for it.
fn set(attribute: &CK_ATTRIBUTE, value: u8) {
    if !attribute.pValue.is_null() && attribute.ulValueLen == 1 {
        // SAFETY: not null, and one byte long by its own length.
        unsafe { *attribute.pValue.cast::<u8>() = value };
    }
}

/// A template as a slice.
///
/// # Safety
/// It is null, or has `count` attributes that nobody else uses.
unsafe fn attributes<'a>(template: CK_ATTRIBUTE_PTR, count: CK_ULONG) -> &'a mut [CK_ATTRIBUTE] {
    if template.is_null() {
        return &mut [];
    }
    // SAFETY: by the caller's promise.
    unsafe { slice::from_raw_parts_mut(template, count as usize) }
}
