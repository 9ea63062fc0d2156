//! What this module needs of Envoy's ABI for dynamic modules, as Envoy 1.40 has it:
//! <https://github.com/envoyproxy/envoy/blob/v1.40.0/source/extensions/dynamic_modules/abi/abi.h>.
//! The functions are Envoy's own; they are found when it loads the module.

use std::ffi::c_void;
use std::marker::PhantomData;

/// The version of the ABI that the module is made for. Envoy takes the next minor version's
/// modules with a warning, and those of this one as they are.
pub const VERSION: &[u8] = b"v0.2.0\0";

/// Text is bytes of whoever passes them: Envoy's are valid until the next call that changes
/// what they are of.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Text<'a> {
    ptr: *const u8,
    len: usize,
    of: PhantomData<&'a [u8]>,
}

impl<'a> Text<'a> {
    pub const NONE: Text<'static> = Text {
        ptr: std::ptr::null(),
        len: 0,
        of: PhantomData,
    };

    pub fn new(bytes: &'a [u8]) -> Text<'a> {
        Text {
            ptr: bytes.as_ptr(),
            len: bytes.len(),
            of: PhantomData,
        }
    }

    /// # Safety
    /// What it points to must be as long as it says, and stay for `'a`.
    pub unsafe fn bytes(self) -> &'a [u8] {
        if self.ptr.is_null() {
            return &[];
        }
        std::slice::from_raw_parts(self.ptr, self.len)
    }
}

/// Pair is a key and its value.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Pair<'a> {
    pub key: Text<'a>,
    pub value: Text<'a>,
}

/// Where headers and metadata are.
pub const REQUEST_HEADERS: u32 = 0;
pub const RESPONSE_HEADERS: u32 = 2;
pub const METADATA_OF_REQUEST: u32 = 0;
pub const METADATA_OF_ROUTE: u32 = 1;

/// What Envoy tells of a request: why it was answered so, and the address of who sent it.
pub const RESPONSE_CODE_DETAILS: u32 = 16;
pub const SOURCE_ADDRESS: u32 = 24;

/// What a hook answers where the request, or the response, is to go on.
pub const CONTINUE: u32 = 0;

pub const LOG_ERROR: u32 = 4;

extern "C" {
    pub fn envoy_dynamic_module_callback_log(level: u32, message: Text);
    pub fn envoy_dynamic_module_callback_http_get_header(
        envoy: *mut c_void,
        of: u32,
        name: Text,
        value: *mut Text,
        index: usize,
        count: *mut usize,
    ) -> bool;
    /// A value of `Text::NONE` takes the header away.
    pub fn envoy_dynamic_module_callback_http_set_header(envoy: *mut c_void, of: u32, name: Text, value: Text) -> bool;
    pub fn envoy_dynamic_module_callback_http_get_metadata_string(
        envoy: *mut c_void,
        of: u32,
        namespace: Text,
        key: Text,
        value: *mut Text,
    ) -> bool;
    pub fn envoy_dynamic_module_callback_http_set_dynamic_metadata_string_batch(
        envoy: *mut c_void,
        namespace: Text,
        pairs: *const Pair,
        count: usize,
    );
    pub fn envoy_dynamic_module_callback_http_filter_get_attribute_string(envoy: *mut c_void, attribute: u32, value: *mut Text) -> bool;
    pub fn envoy_dynamic_module_callback_http_set_filter_state_bytes(envoy: *mut c_void, key: Text, value: Text) -> bool;
}
