//! Kryoptic as a PKCS#11 module.

use kryoptic_lib::{
    fns::general::fn_get_function_list,
    pkcs11::{CK_FUNCTION_LIST_PTR_PTR, CK_RV},
};

/// By which a PKCS#11 module is known (PKCS#11 3.1, section 5.4.4).
#[unsafe(no_mangle)]
pub extern "C" fn C_GetFunctionList(list: CK_FUNCTION_LIST_PTR_PTR) -> CK_RV {
    fn_get_function_list(list)
}
