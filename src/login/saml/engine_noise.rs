//! Keeps libxmlsec from writing a line to standard error for every bad signature: anybody could fill our log with them.

use std::{ffi::c_int, sync::Once};

#[link(name = "xmlsec1")]
#[expect(unsafe_code, reason = "the declaration of one C function; samael offers no way to it")]
unsafe extern "C" {
    fn xmlSecErrorsDefaultCallbackEnableOutput(enabled: c_int);
}

static SILENCED: Once = Once::new();

/// Turns the printing off, once per process.
pub(super) fn silence() {
    #[expect(unsafe_code, reason = "calls the function declared above")]
    SILENCED.call_once(|| {
        // SAFETY: it stores the flag that the default error callback looks at, and touches nothing else; `Once` makes
        // the write single, and every use of the engine in this process comes after it.
        unsafe { xmlSecErrorsDefaultCallbackEnableOutput(0) }
    });
}
