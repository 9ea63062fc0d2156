//! Gatewright's dynamic module for Envoy: what its filters need that Envoy's own cannot do as
//! cheaply. Envoy loads it where the config says so; without it everything works, by
//! Envoy's own filters and by calls.
//!
//! Here are the hooks that Envoy calls. What they do is in the other files, which know nothing
//! of Envoy, and have tests.

mod abi;
mod config;
mod counted;
mod host;
mod limit;
mod memory;
mod remember;
mod table;
mod verdict;

use abi::Text;
use host::Envoy;
use limit::Limit;
use memory::{Key, Memory};
use remember::Asked;
use std::ffi::c_void;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Once;
use std::time::{SystemTime, UNIX_EPOCH};
use table::Table;

/// The memory of all listeners and threads. A config that changes forgets nothing: what holds
/// no more, the new one tells by itself.
fn memory() -> &'static Memory {
    static ONCE: Once = Once::new();
    static mut MEMORY: Option<&'static Memory> = None;
    unsafe {
        ONCE.call_once(|| MEMORY = Some(Box::leak(Box::new(Memory::new()))));
        MEMORY.unwrap_or_else(|| unreachable!())
    }
}

/// Calls a hook's code. One that panics does nothing, and Envoy goes on: whatever a filter
/// does not do has Gatewright asked.
fn guarded<T>(otherwise: T, hook: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(hook)).unwrap_or(otherwise)
}

/// A time before 1970 is one at which nothing holds.
fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(u64::MAX, |d| d.as_millis() as u64)
}

/// Filter is the config of a filter in a listener.
pub enum Filter {
    Memory(Table),
    Counted(Limit),
}

impl Filter {
    fn new(name: &[u8], config: &[u8]) -> Result<Filter, String> {
        match name {
            b"memory" => Ok(Filter::Memory(Table::parse(config)?)),
            b"counted" => Ok(Filter::Counted(Limit::parse(config)?)),
            _ => Err("there is no such filter in this module".to_string()),
        }
    }
}

/// Stream is a filter of one request.
pub struct Stream {
    filter: *const Filter,
    /// What the judge tells of the request is remembered under it.
    key: Option<Key>,
}

#[no_mangle]
pub extern "C" fn envoy_dynamic_module_on_program_init() -> *const u8 {
    abi::VERSION.as_ptr()
}

/// Envoy refuses a config for which this is null.
///
/// # Safety
/// As for all hooks: it is Envoy that calls them, with what its ABI says.
#[no_mangle]
pub unsafe extern "C" fn envoy_dynamic_module_on_http_filter_config_new(_: *mut c_void, name: Text, config: Text) -> *const Filter {
    guarded(std::ptr::null(), || match Filter::new(name.bytes(), config.bytes()) {
        Ok(filter) => Box::into_raw(Box::new(filter)) as *const Filter,
        Err(why) => {
            let message = format!("gatewright: filter {:?}: {}", String::from_utf8_lossy(name.bytes()), why);
            abi::envoy_dynamic_module_callback_log(abi::LOG_ERROR, Text::new(message.as_bytes()));
            std::ptr::null()
        }
    })
}

/// # Safety
/// See above. No stream of it is there any more.
#[no_mangle]
pub unsafe extern "C" fn envoy_dynamic_module_on_http_filter_config_destroy(filter: *mut Filter) {
    guarded((), || drop(Box::from_raw(filter)))
}

/// # Safety
/// See above.
#[no_mangle]
pub unsafe extern "C" fn envoy_dynamic_module_on_http_filter_new(filter: *const Filter, _: *mut c_void) -> *mut Stream {
    guarded(std::ptr::null_mut(), || Box::into_raw(Box::new(Stream { filter, key: None })))
}

/// # Safety
/// See above.
#[no_mangle]
pub unsafe extern "C" fn envoy_dynamic_module_on_http_filter_destroy(stream: *mut Stream) {
    guarded((), || drop(Box::from_raw(stream)))
}

/// # Safety
/// See above.
#[no_mangle]
pub unsafe extern "C" fn envoy_dynamic_module_on_http_filter_request_headers(envoy: *mut c_void, stream: *mut Stream, _: bool) -> u32 {
    guarded((), || match &*(*stream).filter {
        Filter::Memory(table) => {
            if let Asked::Yes(key) = remember::find(table, memory(), &mut Envoy::new(envoy), now()) {
                (*stream).key = key;
            }
        }
        Filter::Counted(limit) => counted::announce(limit, &mut Envoy::new(envoy)),
    });
    abi::CONTINUE
}

/// # Safety
/// See above.
#[no_mangle]
pub unsafe extern "C" fn envoy_dynamic_module_on_http_filter_response_headers(envoy: *mut c_void, stream: *mut Stream, _: bool) -> u32 {
    guarded((), || match &*(*stream).filter {
        Filter::Memory(_) => {
            if let Some(key) = (*stream).key.take() {
                remember::remember(memory(), &Envoy::new(envoy), key);
            }
        }
        Filter::Counted(limit) => counted::tell(limit, &mut Envoy::new(envoy)),
    });
    abi::CONTINUE
}

/// The hooks that a module must have, and that there is nothing to do in.
macro_rules! idle {
    ($($name:ident)*) => { $(
        #[no_mangle]
        pub extern "C" fn $name() -> usize {
            abi::CONTINUE as usize
        }
    )* };
}

idle! {
    envoy_dynamic_module_on_http_filter_request_body
    envoy_dynamic_module_on_http_filter_request_trailers
    envoy_dynamic_module_on_http_filter_response_body
    envoy_dynamic_module_on_http_filter_response_trailers
    envoy_dynamic_module_on_http_filter_stream_complete
    envoy_dynamic_module_on_http_filter_scheduled
    envoy_dynamic_module_on_http_filter_local_reply
    envoy_dynamic_module_on_http_filter_downstream_above_write_buffer_high_watermark
    envoy_dynamic_module_on_http_filter_downstream_below_write_buffer_low_watermark
    envoy_dynamic_module_on_http_filter_http_callout_done
    envoy_dynamic_module_on_http_filter_http_stream_complete
    envoy_dynamic_module_on_http_filter_http_stream_data
    envoy_dynamic_module_on_http_filter_http_stream_headers
    envoy_dynamic_module_on_http_filter_http_stream_reset
    envoy_dynamic_module_on_http_filter_http_stream_trailers
    envoy_dynamic_module_on_http_filter_per_route_config_new
    envoy_dynamic_module_on_http_filter_per_route_config_destroy
    envoy_dynamic_module_on_http_filter_config_scheduled
    envoy_dynamic_module_on_http_filter_config_http_callout_done
    envoy_dynamic_module_on_http_filter_config_http_stream_complete
    envoy_dynamic_module_on_http_filter_config_http_stream_data
    envoy_dynamic_module_on_http_filter_config_http_stream_headers
    envoy_dynamic_module_on_http_filter_config_http_stream_reset
    envoy_dynamic_module_on_http_filter_config_http_stream_trailers
}
